//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources: effective configuration and where it comes from.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Resources to describe.
    struct DescribeConfigsRequest<'a>: DescribeConfigs {
        resources: Array<'a, DescribeConfigsResource<'a>>, 0+;
        include_synonyms: bool, 1+;
        include_documentation: bool, 3+;
    }

    /// A topic (2) or a broker (4); null keys mean all.
    struct DescribeConfigsResource<'a> {
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        configuration_keys: Option<Array<'a, &'a str>>, 0+;
    }

    /// The configuration of each.
    struct DescribeConfigsResponse<'a>: DescribeConfigs {
        throttle_time_ms: i32, 0+;
        results: Array<'a, DescribeConfigsResult<'a>>, 0+;
    }

    /// One resource.
    struct DescribeConfigsResult<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        configs: Array<'a, DescribeConfigsResourceResult<'a>>, 0+;
    }

    /// One key. Sources: 1 topic, 2 dynamic broker, 3 dynamic default, 4 static broker, 5 default. Types: 0 unknown,
    /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
    struct DescribeConfigsResourceResult<'a> {
        name: &'a str, 0+;
        value: Option<&'a str>, 0+;
        read_only: bool, 0+;
        config_source: i8, 1+, default -1;
        is_sensitive: bool, 0+;
        synonyms: Array<'a, DescribeConfigsSynonym<'a>>, 1+;
        config_type: i8, 3+;
        documentation: Option<&'a str>, 3+;
    }

    /// A key of another resource that would hold if this one were not set.
    struct DescribeConfigsSynonym<'a> {
        name: &'a str, 1+;
        value: Option<&'a str>, 1+;
        source: i8, 1+;
    }

    /// The whole configuration of each resource: what is not named goes back to its default.
    struct AlterConfigsRequest<'a>: AlterConfigs {
        resources: Array<'a, AlterConfigsResource<'a>>, 0+;
        validate_only: bool, 0+;
    }

    /// A topic (2) or a broker (4).
    struct AlterConfigsResource<'a> {
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        configs: Array<'a, AlterableConfig<'a>>, 0+;
    }

    /// One key.
    struct AlterableConfig<'a> {
        name: &'a str, 0+;
        value: Option<&'a str>, 0+;
    }

    /// What became of each.
    struct AlterConfigsResponse<'a>: AlterConfigs {
        throttle_time_ms: i32, 0+;
        responses: Array<'a, AlterConfigsResourceResponse<'a>>, 0+;
    }

    /// One resource. Also in incremental responses.
    struct AlterConfigsResourceResponse<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
    }

    /// Changes; what is not named stays (KIP-339).
    struct IncrementalAlterConfigsRequest<'a>: IncrementalAlterConfigs {
        resources: Array<'a, IncrementalAlterConfigsResource<'a>>, 0+;
        validate_only: bool, 0+;
    }

    /// A topic (2) or a broker (4).
    struct IncrementalAlterConfigsResource<'a> {
        resource_type: i8, 0+;
        resource_name: &'a str, 0+;
        configs: Array<'a, ConfigOperation<'a>>, 0+;
    }

    /// One change: 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
    struct ConfigOperation<'a> {
        name: &'a str, 0+;
        config_operation: i8, 0+;
        value: Option<&'a str>, 0+;
    }

    /// What became of each.
    struct IncrementalAlterConfigsResponse<'a>: IncrementalAlterConfigs {
        throttle_time_ms: i32, 0+;
        responses: Array<'a, AlterConfigsResourceResponse<'a>>, 0+;
    }

    /// Which kinds of resources to list; none means all. Version 0 lists client metrics only.
    struct ListConfigResourcesRequest<'a>: ListConfigResources {
        resource_types: Array<'a, i8>, 1+;
    }

    /// The resources that have a configuration.
    struct ListConfigResourcesResponse<'a>: ListConfigResources {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        config_resources: Array<'a, ListedConfigResource<'a>>, 0+;
    }

    /// One of them.
    struct ListedConfigResource<'a> {
        resource_name: &'a str, 0+;
        resource_type: i8, 1+, default 16;
    }
}
