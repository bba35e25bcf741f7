//! What a voter must never forget, in one small file that is replaced atomically: term and vote, the membership, and
//! which snapshot is the current one; and whose disk this is: the cluster, the member, the incarnation.
//!
//! A member's raft id is its server id + 1 with the incarnation of its disk in the upper half, drawn when the disk was
//! empty. So a member whose disk was lost comes back under an id that nobody has counted yet, and no vote and no entry of
//! its former self is ever taken for its own.
//!
//! Layout: magic (4), version (1), CRC-32C of the rest (4, big-endian), postcard. A file that cannot be understood stops
//! the node: a voter that forgets its vote could elect two leaders.

use serde::{Deserialize, Serialize};

use crate::types::crc32c::crc32c;

/// Its name in the coordinator's root.
pub const STATE_FILE: &str = "quorum-state";
/// More than any membership needs.
pub const STATE_FILE_BYTES_MAX: usize = 64 * 1024;

const MAGIC: &[u8; 4] = b"TQST";
const VERSION: u8 = 2;
/// Before ensembles: without the last four fields.
const VERSION_ALONE: u8 = 1;
const HEADER_BYTES: usize = 9;

/// Its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The latest term this node has heard of.
    pub term: u64,
    /// Whom it voted for in that term; 0: nobody.
    pub vote: u64,
    /// What it knew to be committed when the file was written; entries know better.
    pub commit: u64,
    /// Who decides.
    pub membership: Membership,
    /// The entry up to which `membership` is complete.
    pub membership_index: u64,
    /// What stands for all entries up to its index.
    pub snapshot: Option<SnapshotMark>,
    /// This member's raft id.
    pub me: u64,
    /// The cluster's identity; empty in a file of an earlier format, and before the first formation.
    pub cluster_id: String,
    /// False while an empty disk waits for the first formation, or for the ensemble that it shall join.
    pub is_formed: bool,
    /// The log still holds what the snapshot, received from another member, has made void.
    pub restarts_log: bool,
}

/// The format before ensembles.
#[derive(Deserialize)]
struct StateAlone {
    term: u64,
    vote: u64,
    commit: u64,
    membership: Membership,
    membership_index: u64,
    snapshot: Option<SnapshotMark>,
}

impl From<StateAlone> for State {
    fn from(old: StateAlone) -> State {
        let me = old.membership.voters.first().copied().unwrap_or_default();
        State {
            term: old.term,
            vote: old.vote,
            commit: old.commit,
            membership: old.membership,
            membership_index: old.membership_index,
            snapshot: old.snapshot,
            me,
            cluster_id: String::new(),
            is_formed: true,
            restarts_log: false,
        }
    }
}

/// Raft's configuration, ids being server ids + 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    pub voters_outgoing: Vec<u64>,
    pub learners_next: Vec<u64>,
    pub auto_leave: bool,
}

impl Membership {
    /// Everybody in it.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next].into_iter().flatten().copied()
    }

    /// True for members of any kind.
    pub fn contains(&self, id: u64) -> bool {
        self.ids().any(|member| member == id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids().count()
    }

    /// True before the first formation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a complete snapshot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMark {
    /// The last entry it contains.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// Which of the two files.
    pub slot: u8,
    /// The file's length.
    pub bytes: u64,
}

/// The file's bytes.
pub fn encode(state: &State) -> Vec<u8> {
    // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
    let body = postcard::to_extend(state, Vec::new()).unwrap_or_default();
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

/// Reads and checks the file's bytes; the sentence says what is wrong.
pub fn decode(bytes: &[u8]) -> Result<State, String> {
    let wrong = |what: &str| Err(format!("{STATE_FILE} {what}"));
    let (Some(header), Some(body)) = (bytes.first_chunk::<HEADER_BYTES>(), bytes.get(HEADER_BYTES..)) else {
        return wrong("is too short");
    };
    let [m0, m1, m2, m3, version, c0, c1, c2, c3] = *header;
    if [m0, m1, m2, m3] != *MAGIC {
        return wrong("is not a file of this program");
    }
    if ![VERSION, VERSION_ALONE].contains(&version) {
        return wrong(&format!(
            "has format {version}, this program reads {VERSION_ALONE} and {VERSION}: start the version that wrote it"
        ));
    }
    if u32::from_be_bytes([c0, c1, c2, c3]) != crc32c(body) {
        return wrong("is damaged: its checksum does not match");
    }
    let taken = match version {
        VERSION_ALONE => postcard::take_from_bytes::<StateAlone>(body).map(|(old, rest)| (old.into(), rest)),
        _ => postcard::take_from_bytes::<State>(body),
    };
    let state = match taken {
        Ok((state, [])) => state,
        _ => return wrong("cannot be read"),
    };
    let snapshot_index = state.snapshot.map_or(0, |snapshot| snapshot.index);
    if state.term > i32::MAX as u64 || snapshot_index > i64::MAX as u64 || state.membership.voters.contains(&0) {
        return wrong("contradicts itself");
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cut and every changed byte of the file is noticed.
    #[test]
    fn damage_is_noticed() {
        let state = State {
            term: 300,
            vote: 2,
            commit: 70_000,
            membership: Membership { voters: vec![1, 2, 3], ..Membership::default() },
            membership_index: 5,
            snapshot: Some(SnapshotMark { index: 66_000, term: 299, slot: 1, bytes: 1 << 33 }),
            me: 7 << 32 | 2,
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".into(),
            is_formed: true,
            restarts_log: false,
        };
        let bytes = encode(&state);
        assert_eq!(decode(&bytes), Ok(state));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err());
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            assert!(decode(&damaged).is_err(), "{place}");
        }
    }

    /// A file of the format before ensembles is a member that was alone, under the id that it had.
    #[test]
    fn earlier_format() {
        let membership = Membership { voters: vec![3], ..Membership::default() };
        let body =
            postcard::to_extend(&(4u64, 3u64, 9u64, &membership, 0u64, None::<SnapshotMark>), Vec::new()).unwrap();
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION_ALONE);
        bytes.extend_from_slice(&crc32c(&body).to_be_bytes());
        bytes.extend_from_slice(&body);
        let state = decode(&bytes).unwrap();
        assert_eq!((state.term, state.me, state.is_formed, state.membership), (4, 3, true, membership));
    }
}
