//! What the handlers of groups share: from the engine's refusals to the protocol's codes, and who asks.

use super::Context;
use crate::engine::{GroupError, MemberOf};
use crate::kafka::errors::ErrorCode;

/// What a refused request about a group is called on the wire.
pub fn group_code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        GroupError::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::InconsistentProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::UnknownMember => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::FencedInstance => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
        GroupError::SubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        GroupError::GroupNotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::TooLarge => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        GroupError::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::GroupFull => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::Unavailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}

/// The code of a result.
pub fn result_code(result: Result<(), GroupError>) -> ErrorCode {
    result.map_or_else(group_code, |()| ErrorCode::NONE)
}

/// A member's request of a generation.
pub fn member_of<'a>(group: &'a str, generation: i32, member: &'a str, instance: Option<&'a str>) -> MemberOf<'a> {
    MemberOf { group, member, instance, generation }
}

/// The client's host as DescribeGroups shows it: Java's form of an address.
pub fn client_host(cx: &Context<'_>) -> String {
    format!("/{}", cx.peer)
}

/// Operations on a group that nobody is kept from: read, delete, describe.
pub const AUTHORIZED_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
