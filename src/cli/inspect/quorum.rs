//! The quorum's own files: term, vote, membership, and the snapshot that they name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::Findings;
use crate::coordinator::{Restore, TreeLimits};
use crate::quorum::{Piece, QuorumState, STATE_FILE, SnapshotReader, decode_state};

/// What is read of a snapshot at once.
const PART_BYTES: usize = 256 * 1024;

/// A tree takes more room in memory than in its snapshot, but no more than so many times.
const TREE_TIMES: usize = 32;
const TREE_BYTES_MIN: usize = 64 * 1024 * 1024;

/// Prints `quorum-state`. Ids in it are server ids + 1, as raft has them; they are printed as server ids.
pub(super) fn inspect_state(path: &Path, findings: &mut Findings) -> io::Result<()> {
    match decode_state(&fs::read(path)?) {
        Ok(state) => print_state(&state),
        Err(sentence) => findings.broken(sentence),
    }
    Ok(())
}

fn print_state(state: &QuorumState) {
    let server = |id: u64| id.checked_sub(1).map_or("nobody".to_owned(), |id| format!("server {id}"));
    let servers = |ids: &[u64]| ids.iter().map(|&id| server(id)).collect::<Vec<_>>().join(", ");
    println!("  term {}, vote for {}, committed up to {}", state.term, server(state.vote), state.commit);
    println!("  voters: {}; as of entry {}", servers(&state.membership.voters), state.membership_index);
    for (name, ids) in [("learners", &state.membership.learners), ("leaving", &state.membership.voters_outgoing)] {
        if !ids.is_empty() {
            println!("  {name}: {}", servers(ids));
        }
    }
    match state.snapshot {
        Some(mark) => {
            println!("  snapshot {} up to entry {} of term {}, {} bytes", mark.slot, mark.index, mark.term, mark.bytes);
        }
        None => println!("  no snapshot"),
    }
}

/// Checks every slice of a snapshot, if it is the one that `quorum-state` beside it names.
pub(super) fn inspect_snapshot(path: &Path, findings: &mut Findings) -> io::Result<()> {
    let slot = path.to_string_lossy().rsplit('-').next().and_then(|slot| slot.parse::<u8>().ok());
    let state = fs::read(path.with_file_name(STATE_FILE)).ok().and_then(|bytes| decode_state(&bytes).ok());
    let mark = state.and_then(|state| state.snapshot).filter(|mark| Some(mark.slot) == slot);
    let Some(mark) = mark else {
        println!("  {STATE_FILE} does not name it: an older snapshot, or one that is being written");
        return Ok(());
    };
    let mut input = File::open(path)?;
    let mut reader = SnapshotReader::new(mark);
    let mut part = vec![0; PART_BYTES];
    let limits = TreeLimits { bytes: TREE_BYTES_MIN.max(mark.bytes as usize * TREE_TIMES), sessions: usize::MAX };
    let (mut restore, mut slices, mut bytes) = (Restore::new(limits, 0), 0, 0);
    loop {
        match reader.piece() {
            Ok(Piece::Slice(slice)) => {
                slices += 1;
                bytes += slice.len();
                if let Err(error) = restore.slice(&slice) {
                    findings.broken(format!("slice {slices}: {error}"));
                    return Ok(());
                }
            }
            Ok(Piece::More) => {
                let count = input.read(&mut part)?;
                if let Err(sentence) = reader.feed(part.get(..count).unwrap_or_default()) {
                    findings.broken(sentence);
                    return Ok(());
                }
            }
            Ok(Piece::End) => break,
            Err(sentence) => {
                findings.broken(sentence);
                return Ok(());
            }
        }
    }
    println!("  up to entry {} of term {}: {slices} slices, {bytes} bytes of state", mark.index, mark.term);
    match restore.finish() {
        Ok(state) => {
            let (znodes, sessions) = (state.tree().node_count(), state.sessions().len());
            println!("  zxid {:#x}: {znodes} znodes, {sessions} sessions", state.last_zxid().0);
        }
        Err(error) => findings.broken(error.to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Garbage is named, and a snapshot that nobody names is none to complain about.
    #[test]
    fn files() {
        let directory = std::env::temp_dir().join(format!("tern-inspect-quorum-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut findings = Findings::default();
        let snapshot = directory.join("quorum-snapshot-0");
        fs::write(&snapshot, [1; 100]).unwrap();
        inspect_snapshot(&snapshot, &mut findings).unwrap();
        assert_eq!(findings.broken.len(), 0);
        let state = directory.join(STATE_FILE);
        fs::write(&state, [0; 40]).unwrap();
        inspect_state(&state, &mut findings).unwrap();
        assert_eq!(findings.broken, ["quorum-state is not a file of this program"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
