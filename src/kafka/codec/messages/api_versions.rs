//! ApiVersions: the first request of a connection. Its response never has a tagged header.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Who asks (KIP-511).
    struct ApiVersionsRequest<'a>: ApiVersions {
        client_software_name: &'a str, 3+;
        client_software_version: &'a str, 3+;
    }

    /// What may be asked. With UNSUPPORTED_VERSION it is written in version 0, whatever was asked.
    struct ApiVersionsResponse<'a>: ApiVersions {
        error_code: ErrorCode, 0+;
        api_keys: Array<'a, ApiVersion>, 0+;
        throttle_time_ms: i32, 1+;
        supported_features: Array<'a, SupportedFeatureKey<'a>>, 3+, tag 0;
        finalized_features_epoch: i64, 3+, tag 1, default -1;
        finalized_features: Array<'a, FinalizedFeatureKey<'a>>, 3+, tag 2;
        zk_migration_ready: bool, 3+, tag 3;
    }

    /// The versions of one API.
    struct ApiVersion {
        api_key: i16, 0+;
        min_version: i16, 0+;
        max_version: i16, 0+;
    }

    /// A feature that this node could have.
    struct SupportedFeatureKey<'a> {
        name: &'a str, 3+;
        min_version: i16, 3+;
        max_version: i16, 3+;
    }

    /// A feature that the cluster has.
    struct FinalizedFeatureKey<'a> {
        name: &'a str, 3+;
        max_version_level: i16, 3+;
        min_version_level: i16, 3+;
    }
}
