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
        GroupError::UnsupportedProtocol => ErrorCode::UNSUPPORTED_VERSION,
        GroupError::UnsupportedAssignor => ErrorCode::UNSUPPORTED_ASSIGNOR,
        GroupError::InvalidRegex => ErrorCode::INVALID_REGULAR_EXPRESSION,
        GroupError::FencedEpoch => ErrorCode::FENCED_MEMBER_EPOCH,
        GroupError::StaleEpoch => ErrorCode::STALE_MEMBER_EPOCH,
        GroupError::UnreleasedInstance => ErrorCode::UNRELEASED_INSTANCE_ID,
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        GroupError::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::GroupFull => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::Unavailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}

/// The same for people, where the protocol has a place for it.
pub fn group_sentence(error: GroupError) -> &'static str {
    match error {
        GroupError::InvalidGroupId => "a group has a name of at most 16 KiB",
        GroupError::UnknownMember => "the group has no such member: join again",
        GroupError::FencedInstance => "another process has taken over this instance id",
        GroupError::GroupNotFound => "there is no such consumer group, or its members keep to the classic protocol",
        GroupError::UnsupportedProtocol => "group.coordinator.rebalance.protocols has no consumer groups",
        GroupError::UnsupportedAssignor => "group.consumer.assignors does not have this assignor",
        GroupError::InvalidRegex => "SubscribedTopicRegex is no regular expression, or a larger one than may be",
        GroupError::FencedEpoch => "the member is not at this epoch: it must give up its partitions and join again",
        GroupError::StaleEpoch => "the member has another epoch by now",
        GroupError::UnreleasedInstance => "the member that has this instance id has not left",
        GroupError::NotCoordinator => "another node coordinates the group",
        GroupError::Loading => "the group is being loaded",
        GroupError::GroupFull => "the group has as many members as it may, or their memory is used up",
        _ => "the coordinator is not available now",
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
