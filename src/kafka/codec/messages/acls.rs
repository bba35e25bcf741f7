//! DescribeAcls, CreateAcls, DeleteAcls: who may do what.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Which ACLs to tell; null matches any.
    struct DescribeAclsRequest<'a>: DescribeAcls {
        resource_type_filter: i8, 0+;
        resource_name_filter: Option<&'a str>, 0+;
        /// 1 any, 2 match, 3 literal, 4 prefixed.
        pattern_type_filter: i8, 1+, default 3;
        principal_filter: Option<&'a str>, 0+;
        host_filter: Option<&'a str>, 0+;
        operation: i8, 0+;
        permission_type: i8, 0+;
    }

    /// The ACLs by resource.
    struct DescribeAclsResponse<'a>: DescribeAcls {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        resources: Array<'a, DescribeAclsResource<'a>>, 0+;
    }

    /// One resource.
    struct DescribeAclsResource<'a> {
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        pattern_type: i8, 1+, default 3;
        acls: Array<'a, AclDescription<'a>>, 0+;
    }

    /// One ACL of a resource.
    struct AclDescription<'a> {
        principal: &'a str, 0+;
        host: &'a str, 0+;
        operation: i8, 0+;
        permission_type: i8, 0+;
    }

    /// ACLs to create.
    struct CreateAclsRequest<'a>: CreateAcls {
        creations: Array<'a, AclCreation<'a>>, 0+;
    }

    /// One of them.
    struct AclCreation<'a> {
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        resource_pattern_type: i8, 1+, default 3;
        principal: &'a str, 0+;
        host: &'a str, 0+;
        operation: i8, 0+;
        permission_type: i8, 0+;
    }

    /// What became of each, in the order asked.
    struct CreateAclsResponse<'a>: CreateAcls {
        throttle_time_ms: i32, 0+;
        results: Array<'a, AclCreationResult<'a>>, 0+;
    }

    /// One of them.
    struct AclCreationResult<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
    }

    /// Which ACLs to delete.
    struct DeleteAclsRequest<'a>: DeleteAcls {
        filters: Array<'a, DeleteAclsFilter<'a>>, 0+;
    }

    /// One filter; null matches any.
    struct DeleteAclsFilter<'a> {
        resource_type_filter: i8, 0+;
        resource_name_filter: Option<&'a str>, 0+;
        pattern_type_filter: i8, 1+, default 3;
        principal_filter: Option<&'a str>, 0+;
        host_filter: Option<&'a str>, 0+;
        operation: i8, 0+;
        permission_type: i8, 0+;
    }

    /// What each filter met, in the order asked.
    struct DeleteAclsResponse<'a>: DeleteAcls {
        throttle_time_ms: i32, 0+;
        filter_results: Array<'a, DeleteAclsFilterResult<'a>>, 0+;
    }

    /// One filter.
    struct DeleteAclsFilterResult<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        matching_acls: Array<'a, DeleteAclsMatchingAcl<'a>>, 0+;
    }

    /// One ACL that it met.
    struct DeleteAclsMatchingAcl<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        pattern_type: i8, 1+, default 3;
        principal: &'a str, 0+;
        host: &'a str, 0+;
        operation: i8, 0+;
        permission_type: i8, 0+;
    }
}
