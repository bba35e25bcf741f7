//! UpdateFeatures (KIP-584): the levels of features that all members shall speak.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// What is wanted.
    struct UpdateFeaturesRequest<'a>: UpdateFeatures {
        timeout_ms: i32, 0+, default 60_000;
        feature_updates: Array<'a, FeatureUpdateKey<'a>>, 0+;
        validate_only: bool, 1+;
    }

    /// One feature.
    struct FeatureUpdateKey<'a> {
        feature: &'a str, 0+;
        max_version_level: i16, 0+;
        allow_downgrade: bool, 0-0;
        /// 1: upgrade, 2: downgrade that loses nothing, 3: any downgrade.
        upgrade_type: i8, 1+, default 1;
    }

    /// What became of it.
    struct UpdateFeaturesResponse<'a>: UpdateFeatures {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        results: Array<'a, UpdatableFeatureResult<'a>>, 0-1;
    }

    /// Of one feature.
    struct UpdatableFeatureResult<'a> {
        feature: &'a str, 0-1;
        error_code: ErrorCode, 0-1;
        error_message: Option<&'a str>, 0-1;
    }
}
