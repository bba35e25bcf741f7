//! DescribeClientQuotas, AlterClientQuotas: how much a client may ask of the brokers (KIP-546).

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Whose quotas to tell.
    struct DescribeClientQuotasRequest<'a>: DescribeClientQuotas {
        components: Array<'a, QuotaFilterComponent<'a>>, 0+;
        /// Leave out entities with other parts than those asked for.
        strict: bool, 0+;
    }

    /// One part of an entity: `user`, `client-id` or `ip`.
    struct QuotaFilterComponent<'a> {
        entity_type: &'a str, 0+;
        /// 0 exactly `_match`, 1 the default, 2 any.
        match_type: i8, 0+;
        _match: Option<&'a str>, 0+;
    }

    /// The entities with their quotas.
    struct DescribeClientQuotasResponse<'a>: DescribeClientQuotas {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        entries: Option<Array<'a, QuotaEntry<'a>>>, 0+;
    }

    /// One entity.
    struct QuotaEntry<'a> {
        entity: Array<'a, QuotaEntity<'a>>, 0+;
        values: Array<'a, QuotaValue<'a>>, 0+;
    }

    /// One part of it; no name is the default.
    struct QuotaEntity<'a> {
        entity_type: &'a str, 0+;
        entity_name: Option<&'a str>, 0+;
    }

    /// One quota.
    struct QuotaValue<'a> {
        key: &'a str, 0+;
        value: f64, 0+;
    }

    /// Quotas to set or remove.
    struct AlterClientQuotasRequest<'a>: AlterClientQuotas {
        entries: Array<'a, AlterQuotaEntry<'a>>, 0+;
        validate_only: bool, 0+;
    }

    /// One entity.
    struct AlterQuotaEntry<'a> {
        entity: Array<'a, QuotaEntity<'a>>, 0+;
        ops: Array<'a, QuotaOperation<'a>>, 0+;
    }

    /// One change.
    struct QuotaOperation<'a> {
        key: &'a str, 0+;
        value: f64, 0+;
        remove: bool, 0+;
    }

    /// What became of each.
    struct AlterClientQuotasResponse<'a>: AlterClientQuotas {
        throttle_time_ms: i32, 0+;
        entries: Array<'a, AlteredQuotaEntry<'a>>, 0+;
    }

    /// One entity.
    struct AlteredQuotaEntry<'a> {
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        entity: Array<'a, QuotaEntity<'a>>, 0+;
    }
}
