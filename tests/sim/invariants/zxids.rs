//! Zxids and session order: within a session zxids never fall, over all sessions a write that began when another had been
//! acknowledged has the greater zxid, and no two writes have the same.

use std::collections::BTreeMap;

/// Acknowledged writes.
#[derive(Default)]
pub struct Zxids {
    writes: BTreeMap<i64, u64>,
    /// When writes were acknowledged, and the greatest zxid of any until then.
    greatest: Vec<(u64, i64)>,
}

impl Zxids {
    /// A reply on a client's session.
    pub fn seen(&mut self, client: usize, last: &mut i64, zxid: i64) {
        assert!(zxid >= *last, "client {client} is told zxid {zxid:x} after {last:x}");
        *last = zxid;
    }

    /// A write that was asked at one moment and acknowledged at another.
    pub fn wrote(&mut self, zxid: i64, asked: u64, acknowledged: u64) {
        assert!(self.writes.insert(zxid, asked).is_none(), "two writes have the zxid {zxid:x}");
        let before = self.greatest.partition_point(|(at, _)| *at < asked);
        if let Some((at, greatest)) = before.checked_sub(1).map(|place| self.greatest[place]) {
            assert!(greatest < zxid, "{greatest:x} was acknowledged at {at}, {zxid:x} was asked at {asked}");
        }
        let greatest = self.greatest.last().map_or(zxid, |(_, greatest)| zxid.max(*greatest));
        self.greatest.push((acknowledged, greatest));
    }

    pub fn count(&self) -> usize {
        self.writes.len()
    }
}
