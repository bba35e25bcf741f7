//! Why a group's request is refused, split by blame. Doors translate these into the codes of their protocol.

use crate::broker::AppendError;

/// Why a request about a group is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupError {
    /// Client: a group has a name.
    InvalidGroupId,
    /// Client: outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    InvalidSessionTimeout,
    /// Client: no assignor that every member has, or another protocol type.
    InconsistentProtocol,
    /// Client: the group does not know this member (any more): join without an id.
    UnknownMember,
    /// Client: an older or impossible generation: join again.
    IllegalGeneration,
    /// Client: another process has taken over this instance id.
    FencedInstance,
    /// Client: join again with the id that comes with this.
    MemberIdRequired,
    /// Client: the group is forming its next generation: join again.
    RebalanceInProgress,
    /// Client: the group has members.
    NonEmptyGroup,
    /// Client: a member subscribes to the topic.
    SubscribedToTopic,
    /// Client: there is no such group, or it is of the other kind.
    GroupNotFound,
    /// Client: `group.coordinator.rebalance.protocols` has no consumer groups.
    UnsupportedProtocol,
    /// Client: `group.consumer.assignors` does not have it.
    UnsupportedAssignor,
    /// Client: no regular expression, or a larger one than may be.
    InvalidRegex,
    /// Client: the member is not where it believes to be: give up everything and join again.
    FencedEpoch,
    /// Client: the member has moved on meanwhile: ask again with its new epoch.
    StaleEpoch,
    /// Client: the instance's process has not left.
    UnreleasedInstance,
    /// Client: more metadata than a member or a group may have.
    TooLarge,
    /// View: another node coordinates the group.
    NotCoordinator,
    /// Us: the group's records are being read.
    Loading,
    /// Us: the group has as many members as it may, or their memory is used up.
    GroupFull,
    /// Us: there is no coordinator now, or no memory for another group or offset, or the record was not written. Retry.
    Unavailable,
}

impl From<&AppendError> for GroupError {
    fn from(error: &AppendError) -> GroupError {
        match error {
            AppendError::TooLarge { .. } | AppendError::BadBatch(_) => GroupError::TooLarge,
            AppendError::NotLeader | AppendError::UnknownPartition | AppendError::Stopping => {
                GroupError::NotCoordinator
            }
            _ => GroupError::Unavailable,
        }
    }
}
