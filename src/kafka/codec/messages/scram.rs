//! DescribeUserScramCredentials, AlterUserScramCredentials (KIP-554).

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// Whose credentials to tell; null or none means all.
    struct DescribeUserScramCredentialsRequest<'a>: DescribeUserScramCredentials {
        users: Option<Array<'a, ScramUserName<'a>>>, 0+;
    }

    /// A user.
    struct ScramUserName<'a> {
        name: &'a str, 0+;
    }

    /// The users.
    struct DescribeUserScramCredentialsResponse<'a>: DescribeUserScramCredentials {
        throttle_time_ms: i32, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        results: Array<'a, DescribeUserScramCredentialsResult<'a>>, 0+;
    }

    /// A user.
    struct DescribeUserScramCredentialsResult<'a> {
        user: &'a str, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
        credential_infos: Array<'a, ScramCredentialInfo>, 0+;
    }

    /// One credential: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    struct ScramCredentialInfo {
        mechanism: i8, 0+;
        iterations: i32, 0+;
    }

    /// Credentials to delete and to set.
    struct AlterUserScramCredentialsRequest<'a>: AlterUserScramCredentials {
        deletions: Array<'a, ScramCredentialDeletion<'a>>, 0+;
        upsertions: Array<'a, ScramCredentialUpsertion<'a>>, 0+;
    }

    /// One to delete.
    struct ScramCredentialDeletion<'a> {
        name: &'a str, 0+;
        mechanism: i8, 0+;
    }

    /// One to set.
    struct ScramCredentialUpsertion<'a> {
        name: &'a str, 0+;
        mechanism: i8, 0+;
        iterations: i32, 0+;
        salt: &'a [u8], 0+;
        salted_password: &'a [u8], 0+;
    }

    /// What became of each user.
    struct AlterUserScramCredentialsResponse<'a>: AlterUserScramCredentials {
        throttle_time_ms: i32, 0+;
        results: Array<'a, AlterUserScramCredentialsResult<'a>>, 0+;
    }

    /// A user.
    struct AlterUserScramCredentialsResult<'a> {
        user: &'a str, 0+;
        error_code: ErrorCode, 0+;
        error_message: Option<&'a str>, 0+;
    }
}
