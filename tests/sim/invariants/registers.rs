//! Znode registers are linearizable. Each write gives its znode a version, so that the order of a register's writes is
//! known and no search for one is needed: a history is linearizable exactly when
//! * each version has one value and one zxid, whoever sees it, and a value that somebody tried to write;
//! * a write that began after another was acknowledged has the greater version;
//! * a read behind a sync sees the versions that were acknowledged when the sync began.
//!
//! Reads without a sync may be late, as in ZooKeeper, and never go back within a session (the client checks that).

use std::collections::{BTreeMap, BTreeSet};

use tern::engine::Tree;

/// A state of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub version: i32,
    pub mzxid: i64,
}

#[derive(Default)]
struct Register {
    attempted: BTreeSet<Vec<u8>>,
    states: BTreeMap<i32, (Vec<u8>, i64)>,
    versions: BTreeMap<Vec<u8>, i32>,
    /// When writes were acknowledged, and the greatest version of any until then.
    greatest: Vec<(u64, i32)>,
}

impl Register {
    fn is(&mut self, path: &str, value: &[u8], written: Written) {
        let text = String::from_utf8_lossy(value).into_owned();
        if written.version > 0 {
            assert!(self.attempted.contains(value), "{path}: nobody wrote {text:?}");
            let version = *self.versions.entry(value.to_vec()).or_insert(written.version);
            assert_eq!(version, written.version, "{path}: {text:?} was written twice");
        }
        let state = self.states.entry(written.version).or_insert_with(|| (value.to_vec(), written.mzxid));
        let known = String::from_utf8_lossy(&state.0);
        let is_same = state.0 == value && state.1 == written.mzxid;
        assert!(is_same, "{path} {written:?}: {text:?} here, {known:?} with zxid {:x} elsewhere", state.1);
    }

    /// The greatest version acknowledged before a moment.
    fn acknowledged_before(&self, moment: u64) -> i32 {
        let count = self.greatest.partition_point(|(at, _)| *at < moment);
        count.checked_sub(1).map_or(0, |place| self.greatest[place].1)
    }
}

/// By path.
#[derive(Default)]
pub struct Registers {
    registers: BTreeMap<String, Register>,
}

impl Registers {
    pub fn attempted(&mut self, path: &str, value: &[u8]) {
        self.registers.entry(path.to_owned()).or_default().attempted.insert(value.to_vec());
    }

    /// A write was acknowledged; asked and answered when.
    pub fn wrote(&mut self, path: &str, value: &[u8], written: Written, (asked, answered): (u64, u64)) {
        let register = self.registers.entry(path.to_owned()).or_default();
        register.is(path, value, written);
        let before = register.acknowledged_before(asked);
        assert!(before < written.version, "{path}: version {before} was acknowledged before {written:?} was asked");
        let greatest = register.greatest.last().map_or(written.version, |(_, greatest)| written.version.max(*greatest));
        register.greatest.push((answered, greatest));
    }

    /// A read; behind a sync that was asked at that moment.
    pub fn read(&mut self, path: &str, value: &[u8], written: Written, synced: Option<u64>) {
        let register = self.registers.entry(path.to_owned()).or_default();
        register.is(path, value, written);
        if let Some(asked) = synced {
            let least = register.acknowledged_before(asked);
            assert!(
                written.version >= least,
                "{path}: a read behind a sync finds {written:?}, version {least} is older"
            );
        }
    }

    /// A tree when everything has healed.
    pub fn check(&mut self, tree: &Tree) {
        for (path, register) in &mut self.registers {
            let acknowledged = register.greatest.last().map_or(0, |(_, version)| *version);
            let Some(znode) = tree.get(path) else { panic!("{path} is lost") };
            let stat = znode.stat();
            let written = Written { version: stat.version, mzxid: stat.mzxid.0 };
            register.is(path, znode.data().unwrap_or_default(), written);
            assert!(written.version >= acknowledged, "{path}: version {acknowledged} is lost, there is {written:?}");
        }
    }
}
