//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup: the life of a classic group's member.

use crate::kafka::codec::Array;
use crate::kafka::errors::ErrorCode;

table! {
    /// A member asks to be in the group's next generation.
    struct JoinGroupRequest<'a>: JoinGroup {
        group_id: &'a str, 0+;
        session_timeout_ms: i32, 0+;
        /// -1: the session timeout.
        rebalance_timeout_ms: i32, 1+, default -1;
        /// Empty at first.
        member_id: &'a str, 0+;
        group_instance_id: Option<&'a str>, 5+;
        protocol_type: &'a str, 0+;
        protocols: Array<'a, JoinGroupRequestProtocol<'a>>, 0+;
        reason: Option<&'a str>, 8+;
    }

    /// An assignor that the member has, with its metadata for it.
    struct JoinGroupRequestProtocol<'a> {
        name: &'a str, 0+;
        metadata: &'a [u8], 0+;
    }

    /// The generation that the member is in; the leader learns who else is.
    struct JoinGroupResponse<'a>: JoinGroup {
        throttle_time_ms: i32, 2+;
        error_code: ErrorCode, 0+;
        generation_id: i32, 0+, default -1;
        protocol_type: Option<&'a str>, 7+;
        protocol_name: Option<&'a str>, 0+, null 7+;
        leader: &'a str, 0+;
        skip_assignment: bool, 9+;
        member_id: &'a str, 0+;
        members: Array<'a, JoinGroupResponseMember<'a>>, 0+;
    }

    /// A member, for the leader's assignor.
    struct JoinGroupResponseMember<'a> {
        member_id: &'a str, 0+;
        group_instance_id: Option<&'a str>, 5+;
        metadata: &'a [u8], 0+;
    }

    /// The leader brings assignments, the others ask for theirs.
    struct SyncGroupRequest<'a>: SyncGroup {
        group_id: &'a str, 0+;
        generation_id: i32, 0+;
        member_id: &'a str, 0+;
        group_instance_id: Option<&'a str>, 3+;
        protocol_type: Option<&'a str>, 5+;
        protocol_name: Option<&'a str>, 5+;
        assignments: Array<'a, SyncGroupRequestAssignment<'a>>, 0+;
    }

    /// What one member shall read.
    struct SyncGroupRequestAssignment<'a> {
        member_id: &'a str, 0+;
        assignment: &'a [u8], 0+;
    }

    /// What this member shall read. Type and name are the group's own, or null; never empty.
    struct SyncGroupResponse<'a>: SyncGroup {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 0+;
        protocol_type: Option<&'a str>, 5+;
        protocol_name: Option<&'a str>, 5+;
        assignment: &'a [u8], 0+;
    }

    /// A member is alive.
    struct HeartbeatRequest<'a>: Heartbeat {
        group_id: &'a str, 0+;
        generation_id: i32, 0+;
        member_id: &'a str, 0+;
        group_instance_id: Option<&'a str>, 3+;
    }

    /// Whether the generation still stands.
    struct HeartbeatResponse: Heartbeat {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 0+;
    }

    /// One member leaves, or from version 3 several are removed.
    struct LeaveGroupRequest<'a>: LeaveGroup {
        group_id: &'a str, 0+;
        member_id: &'a str, 0-2;
        members: Array<'a, MemberIdentity<'a>>, 3+;
    }

    /// A member by its id, or a static one by its instance id.
    struct MemberIdentity<'a> {
        member_id: &'a str, 3+;
        group_instance_id: Option<&'a str>, 3+;
        reason: Option<&'a str>, 5+;
    }

    /// What became of each.
    struct LeaveGroupResponse<'a>: LeaveGroup {
        throttle_time_ms: i32, 1+;
        error_code: ErrorCode, 0+;
        members: Array<'a, MemberResponse<'a>>, 3+;
    }

    /// One member.
    struct MemberResponse<'a> {
        member_id: &'a str, 3+;
        group_instance_id: Option<&'a str>, 3+;
        error_code: ErrorCode, 3+;
    }
}
