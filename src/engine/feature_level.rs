//! What all members understand: raised when somebody asks for it, and watched by those who do not understand it.
//!
//! A new cluster begins with the level of the program that founds it. After that the level stays when programs are
//! exchanged, member by member, so that a program that turns out to be bad can be exchanged back; then somebody raises
//! it (`kafka-features.sh upgrade --feature tern.version=N`), when every member is registered with a program that
//! understands it. A member that meets a level above its own ends before it applies what it would misread.

use super::proposals::Purpose;
use super::{Engine, Waiter};
use crate::coordinator::{Op, Txn, cluster::json, features};
use crate::effect::{Effect, Effects};
use crate::types::{NodeId, Now};

/// Why the level is not raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeatureError {
    /// Client: it is below the one in use.
    Lower { now: u16 },
    /// Client: nobody knows it here.
    Unknown { highest: u16 },
    /// Cluster: this member does not understand it, or is not there to tell.
    NotUnderstood { member: NodeId, highest: Option<u16> },
    /// Node: too much is being proposed.
    Busy,
}

impl std::fmt::Display for FeatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FeatureError::Lower { now } => {
                write!(f, "the level is {now} already, and what was written with it stays: it cannot be lowered")
            }
            FeatureError::Unknown { highest } => write!(f, "the highest level of this program is {highest}"),
            FeatureError::NotUnderstood { member, highest: Some(highest) } => {
                write!(f, "server {member} understands levels up to {highest}: upgrade its program first")
            }
            FeatureError::NotUnderstood { member, highest: None } => {
                write!(f, "server {member} is not there: start it first, or remove it (tern node remove {member})")
            }
            FeatureError::Busy => f.write_str("too much is under way: try again"),
        }
    }
}

impl Engine {
    /// The level that all members speak, and the version of what says so.
    pub fn feature_level(&self) -> (u16, i64) {
        let version = self.tree().get(features::PATH).map_or(-1, |znode| znode.stat().version.into());
        (self.view().feature_level, version)
    }

    /// Raises the level. `Ok(true)`: a `Completion::Proposed` follows; `Ok(false)`: it is so already, or only asked for.
    pub fn raise_feature_level(
        &mut self,
        now: Now,
        level: u16,
        validate_only: bool,
        waiter: Waiter,
    ) -> Result<bool, FeatureError> {
        let current = self.view().feature_level;
        if level < current {
            return Err(FeatureError::Lower { now: current });
        }
        if level > features::LEVEL {
            return Err(FeatureError::Unknown { highest: features::LEVEL });
        }
        let own = [self.node_id()];
        let members: Vec<NodeId> = self.members().iter().map(|member| member.id).collect();
        for &member in if members.is_empty() { &own[..] } else { &members[..] } {
            let highest = self.view().brokers.get(&member).map(|broker| broker.feature_level_max);
            if highest.is_none_or(|highest| highest < level) {
                return Err(FeatureError::NotUnderstood { member, highest });
            }
        }
        if level == current || validate_only {
            return Ok(false);
        }
        let version = self.tree().get(features::PATH).map_or(-1, |znode| znode.stat().version);
        let data = Some(json::features(level));
        let txn = Txn::by_node(Op::SetData { path: features::PATH.into(), data, version });
        if self.begin_proposal(now, &txn, Purpose::Door(waiter)) { Ok(true) } else { Err(FeatureError::Busy) }
    }

    /// Ends a program that does not understand what the others write.
    pub(super) fn check_feature_level(&self, fx: &mut Effects) {
        let level = self.view().feature_level;
        if level > features::LEVEL {
            fx.push(Effect::Fatal {
                sentence: format!(
                    "the cluster's data has format level {level}, this program understands {} to {}: start the version of \
                     Tern that the other members run",
                    features::FIRST,
                    features::LEVEL
                ),
            });
        }
    }
}
