//! An acknowledged offset commit is never lost or reordered: what a group finds is the last commit that was acknowledged,
//! or one that was attempted after it.

use std::collections::BTreeMap;

#[derive(Default)]
struct Group {
    acknowledged: i64,
    attempted: i64,
    /// What was found at last: nothing older is ever found again.
    found: i64,
}

/// By group; each commits ascending offsets, one at a time.
#[derive(Default)]
pub struct Commits {
    groups: BTreeMap<String, Group>,
    pub count: u64,
}

impl Commits {
    pub fn attempted(&mut self, group: &str, offset: i64) {
        self.groups.entry(group.to_owned()).or_default().attempted = offset;
    }

    pub fn acknowledged(&mut self, group: &str, offset: i64) {
        self.count += 1;
        self.groups.entry(group.to_owned()).or_default().acknowledged = offset;
    }

    /// -1: none.
    pub fn fetched(&mut self, group: &str, offset: i64) {
        let known = self.groups.entry(group.to_owned()).or_default();
        let offset = offset.max(0);
        let least = known.acknowledged.max(known.found);
        assert!(offset >= least, "{group}: the commit of {least} is lost, {offset} is found");
        assert!(offset <= known.attempted, "{group}: {offset} was never committed");
        known.found = offset;
    }
}
