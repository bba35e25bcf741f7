//! What a group subscribes to, as topics that exist: names, regular expressions, and a hash that tells of changes.
//!
//! A regular expression must match a topic's whole name, as in Kafka; its engine takes time linear in the name. Internal
//! topics are not matched. Patterns are bounded in length, in the size that they compile to, and in number for each
//! group, so that a look at all topics stays short; topics are looked at again only when the metadata has changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assign::Sizes;
use super::store::Item;
use super::{Consumer, ConsumerMember, Context};
use crate::broker::groups::GroupError;
use crate::broker::is_internal;
use crate::coordinator::Cluster;
use crate::limits::{GROUP_REGEX_BYTES_MAX, GROUP_REGEX_PROGRAM_BYTES_MAX, GROUP_REGEXES_MAX};
use crate::memory::Grant;
use crate::types::{Timestamp, TopicId};

/// How deep groups of a pattern may stand in one another.
const NESTING_MAX: u32 = 32;

/// What a topic of a pattern's result takes.
const MATCH_BYTES: usize = 24;

/// The topics that there are.
pub trait Topics {
    /// A topic's identity and number of partitions.
    fn find(&self, name: &str) -> Option<(TopicId, i32)>;

    /// A topic's name.
    fn name(&self, id: TopicId) -> Option<&Arc<str>>;

    /// All names.
    fn each(&self, visit: &mut dyn FnMut(&Arc<str>));
}

impl Topics for Cluster {
    fn find(&self, name: &str) -> Option<(TopicId, i32)> {
        let topic = self.topic(name)?;
        Some((topic.id, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)))
    }

    fn name(&self, id: TopicId) -> Option<&Arc<str>> {
        self.topic_names.get(&id)
    }

    fn each(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.topics.keys().for_each(visit);
    }
}

/// The topics, and a number that changes whenever they do.
#[derive(Clone, Copy)]
pub struct TopicView<'a> {
    /// The topics.
    pub topics: &'a dyn Topics,
    /// Another one than before when topics have come, gone or grown.
    pub version: u64,
}

/// A pattern that members subscribe by, and what it means.
#[derive(Debug, Default)]
pub(super) struct Regex {
    /// How many members have it.
    pub members: usize,
    /// The topics that it matches, sorted.
    pub topics: Vec<Arc<str>>,
    /// The metadata that it was matched with.
    pub seen: Option<u64>,
    /// In broker time.
    pub at: Timestamp,
    pub held: Grant,
}

impl Regex {
    pub fn has(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|name| (**name).cmp(topic)).is_ok()
    }
}

/// Compiles a pattern that must match a whole name.
pub(super) fn compile(pattern: &str) -> Result<regex_lite::Regex, GroupError> {
    if pattern.len() > GROUP_REGEX_BYTES_MAX {
        return Err(GroupError::InvalidRegex);
    }
    let compiled = regex_lite::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(GROUP_REGEX_PROGRAM_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build();
    compiled.map_err(|_| GroupError::InvalidRegex)
}

impl Consumer {
    /// Looks at the topics again if the subscriptions or the metadata have changed since; raises the group's epoch if
    /// that makes a difference, or if `is_changed`.
    pub(super) fn look_at_topics(
        &mut self,
        cx: &Context,
        at: Timestamp,
        view: TopicView<'_>,
        is_changed: bool,
    ) -> Result<(), GroupError> {
        let mut is_changed = is_changed;
        if is_changed || self.seen != Some(view.version) {
            self.match_regexes(cx, at, view)?;
            let hash = self.hash_of(view);
            // An assignment that is still to be made will be made from what there is now.
            is_changed |= hash != self.hash && self.epoch == self.assignment_epoch;
            if std::mem::replace(&mut self.hash, hash) != hash {
                self.unsaved.insert(Item::Group);
            }
            self.seen = Some(view.version);
        }
        if is_changed {
            self.raise_epoch();
        }
        Ok(())
    }

    /// Who shall read what is to be thought over.
    pub(super) fn raise_epoch(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.unsaved.insert(Item::Group);
    }

    fn match_regexes(&mut self, cx: &Context, at: Timestamp, view: TopicView<'_>) -> Result<(), GroupError> {
        for (pattern, regex) in &mut self.regexes {
            if regex.seen == Some(view.version) {
                continue;
            }
            // One from the log of another broker may mean nothing here: it matches nothing, and the group goes on.
            let compiled = compile(pattern).ok();
            let mut topics = Vec::new();
            view.topics.each(&mut |name| {
                if !is_internal(name) && compiled.as_ref().is_some_and(|regex| regex.is_match(name)) {
                    topics.push(name.clone());
                }
            });
            regex.held = cx.take(pattern.len() + topics.len() * MATCH_BYTES).ok_or(GroupError::Unavailable)?;
            regex.seen = Some(view.version);
            if regex.topics != topics || regex.at == Timestamp::default() {
                (regex.topics, regex.at) = (topics, at);
                self.unsaved.insert(Item::Regex(pattern.clone()));
            }
        }
        Ok(())
    }

    /// Changes when a topic that is subscribed to comes, goes, grows or is another one of the same name.
    fn hash_of(&self, view: TopicView<'_>) -> i64 {
        let by_regex = self.regexes.values().flat_map(|regex| &regex.topics);
        let names: BTreeSet<&Arc<str>> = self.names.keys().chain(by_regex).collect();
        let mut hash = Fnv::default();
        for name in names {
            if let Some((id, partitions)) = view.topics.find(name) {
                hash.add(name.as_bytes());
                hash.add(&id.0);
                hash.add(&partitions.to_be_bytes());
            }
        }
        hash.value()
    }

    /// The existing topics that a member subscribes to, sorted; their sizes are added to `sizes`.
    pub(super) fn topics_of(&self, member: &ConsumerMember, view: TopicView<'_>, sizes: &mut Sizes) -> Vec<TopicId> {
        let regex = member.regex.as_ref().and_then(|pattern| self.regexes.get(pattern));
        let names = member.topics.iter().chain(regex.into_iter().flat_map(|regex| &regex.topics));
        let mut topics: Vec<TopicId> = names
            .filter_map(|name| {
                let (id, partitions) = view.topics.find(name)?;
                sizes.insert(id, partitions);
                Some(id)
            })
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Counts a member's subscriptions in.
    pub(super) fn count_in(&mut self, topics: &[Arc<str>], regex: Option<&Arc<str>>) {
        for topic in topics {
            *self.names.entry(topic.clone()).or_default() += 1;
        }
        if let Some(pattern) = regex {
            self.regexes.entry(pattern.clone()).or_default().members += 1;
        }
    }

    /// Counts them out again.
    pub(super) fn count_out(&mut self, topics: &[Arc<str>], regex: Option<&Arc<str>>) {
        for topic in topics {
            if let Some(count) = self.names.get_mut(topic) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.names.remove(topic);
                }
            }
        }
        if let Some(pattern) = regex
            && let Some(known) = self.regexes.get_mut(pattern)
        {
            known.members = known.members.saturating_sub(1);
            if known.members == 0 {
                self.regexes.remove(pattern);
                self.unsaved.insert(Item::Regex(pattern.clone()));
            }
        }
    }

    /// Whether a member may bring this pattern.
    pub(super) fn check_regex(&self, pattern: &str) -> Result<(), GroupError> {
        compile(pattern)?;
        match self.regexes.contains_key(pattern) || self.regexes.len() < GROUP_REGEXES_MAX {
            true => Ok(()),
            false => Err(GroupError::GroupFull),
        }
    }
}

/// The 64-bit hash of Fowler, Noll and Vo: stable over restarts, which is all that is asked of it.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn value(&self) -> i64 {
        self.0 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern matches whole names; what is no pattern, or too much of one, is refused.
    #[test]
    fn patterns() {
        let compiled = compile("a.*|b").unwrap();
        assert!(compiled.is_match("a") && compiled.is_match("abc") && compiled.is_match("b"));
        assert!(!compiled.is_match("bc") && !compiled.is_match("xa"));
        assert!(compile("^a").unwrap().is_match("a") && !compile("^a").unwrap().is_match("ab"));
        for bad in ["(", "[", "a{1000}{1000}", &"(".repeat(300), &"a".repeat(GROUP_REGEX_BYTES_MAX + 1)] {
            assert_eq!(compile(bad).map(|_| ()), Err(GroupError::InvalidRegex), "{bad}");
        }
    }
}
