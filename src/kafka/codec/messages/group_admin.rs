//! DescribeGroups, ListGroups, DeleteGroups.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Groups to describe.
    struct DescribeGroupsRequest<'a>: DescribeGroups {
        groups: Array<'a, &'a str>, 0+;
        include_authorized_operations: bool, 3+;
    }

    /// Each group.
    struct DescribeGroupsResponse<'a>: DescribeGroups {
        throttle_time_ms: i32, 1+;
        groups: Array<'a, DescribedGroup<'a>>, 0+;
    }

    /// One group. One that does not exist is `Dead` until version 5, GROUP_ID_NOT_FOUND from 6.
    struct DescribedGroup<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 6+;
        group_id: &'a str, 0+;
        /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
        group_state: &'a str, 0+;
        protocol_type: &'a str, 0+;
        protocol_data: &'a str, 0+;
        members: Array<'a, DescribedGroupMember<'a>>, 0+;
        /// A bit set; `i32::MIN` when not asked for.
        authorized_operations: i32, 3+, default i32::MIN;
    }

    /// One member and what it reads.
    struct DescribedGroupMember<'a> {
        member_id: &'a str, 0+;
        group_instance_id: Option<&'a str>, 4+;
        client_id: &'a str, 0+;
        client_host: &'a str, 0+;
        member_metadata: &'a [u8], 0+;
        member_assignment: &'a [u8], 0+;
    }

    /// Groups in some states and of some types; an empty filter lets all through.
    struct ListGroupsRequest<'a>: ListGroups {
        states_filter: Array<'a, &'a str>, 4+;
        types_filter: Array<'a, &'a str>, 5+;
    }

    /// The groups that this node coordinates.
    struct ListGroupsResponse<'a>: ListGroups {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 0+;
        groups: Array<'a, ListedGroup<'a>>, 0+;
    }

    /// One group.
    struct ListedGroup<'a> {
        group_id: &'a str, 0+;
        protocol_type: &'a str, 0+;
        group_state: &'a str, 4+;
        group_type: &'a str, 5+;
    }

    /// Groups to forget, with their offsets.
    struct DeleteGroupsRequest<'a>: DeleteGroups {
        groups_names: Array<'a, &'a str>, 0+;
    }

    /// What became of each.
    struct DeleteGroupsResponse<'a>: DeleteGroups {
        throttle_time_ms: i32, 0+;
        results: Array<'a, DeletableGroupResult<'a>>, 0+;
    }

    /// One group.
    struct DeletableGroupResult<'a> {
        group_id: &'a str, 0+;
        error_code: ErrorCode, 0+;
    }
}
