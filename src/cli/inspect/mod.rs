//! `tern inspect`: reads a file of a node and says what is in it, what is broken and where.
//!
//! Reads with little memory and writes nothing; a node may be running on the same files, whose tail then moves.

mod checkpoint;
mod entry;
mod index;
mod journal;
mod log_file;
mod producers;
mod quorum;
mod segment;

use std::fs;
use std::io;
use std::path::Path;

use super::arguments::InspectArguments;

/// How far down directories are read: a node's own, its logs', a partition's.
const DEPTH_MAX: usize = 3;

/// What was found in one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Sentences about what is broken.
    pub broken: Vec<String>,
}

impl Findings {
    /// Prints and remembers a sentence.
    fn broken(&mut self, sentence: String) {
        println!("BROKEN: {sentence}");
        self.broken.push(sentence);
    }
}

/// Prints a file or the files of a directory; `Ok(false)` when something is broken.
pub fn run(arguments: &InspectArguments) -> io::Result<bool> {
    let path = &arguments.path;
    let name = path.display();
    let metadata = fs::metadata(path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    let mut findings = Findings::default();
    if metadata.is_dir() {
        directory(path, arguments.records, DEPTH_MAX, &mut findings)?;
    } else {
        inspect(path, arguments.records, &mut findings)?;
    }
    match findings.broken.len() {
        0 => println!("nothing is broken"),
        1 => println!("1 thing is broken"),
        count => println!("{count} things are broken"),
    }
    Ok(findings.broken.is_empty())
}

/// Prints the files of a directory and of those below it.
fn directory(path: &Path, records: bool, depth: usize, findings: &mut Findings) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind_of_file, path) = (entry.file_type()?, entry.path());
        if kind_of_file.is_dir() && depth > 0 {
            directory(&path, records, depth - 1, findings)?;
        } else if kind_of_file.is_file() && kind(&path) != Kind::Unknown {
            inspect(&path, records, findings)?;
            println!();
        }
    }
    Ok(())
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Segment,
    OffsetIndex,
    TimeIndex,
    LeaderEpochs,
    OffsetCheckpoint,
    TimeCheckpoint,
    Producers,
    QuorumState,
    QuorumSnapshot,
    Journal,
    LogFile,
    Properties,
    Unknown,
}

fn kind(path: &Path) -> Kind {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "leader-epoch-checkpoint" => Kind::LeaderEpochs,
        "recovery-point-offset-checkpoint" | "log-start-offset-checkpoint" | "replication-offset-checkpoint" => {
            Kind::OffsetCheckpoint
        }
        "broker-time-checkpoint" => Kind::TimeCheckpoint,
        crate::quorum::STATE_FILE => Kind::QuorumState,
        crate::log::LOG_FILE => Kind::LogFile,
        "journal" => Kind::Journal,
        "meta.properties" | "partition.metadata" => Kind::Properties,
        _ if name.ends_with(".log") && segment::base_offset(path).is_some() => Kind::Segment,
        _ if name.starts_with("quorum-snapshot-") => Kind::QuorumSnapshot,
        _ if name.ends_with(".snapshot") => Kind::Producers,
        _ if name.ends_with(".timeindex") => Kind::TimeIndex,
        _ if name.ends_with(".index") => Kind::OffsetIndex,
        _ => Kind::Unknown,
    }
}

fn inspect(path: &Path, records: bool, findings: &mut Findings) -> io::Result<()> {
    let size = fs::metadata(path)?.len();
    println!("{}: {}", path.display(), crate::config::Size(size as i64));
    match kind(path) {
        Kind::Segment => segment::inspect(path, records, findings),
        Kind::OffsetIndex => index::inspect_offsets(path, findings),
        Kind::TimeIndex => index::inspect_times(path, findings),
        Kind::LeaderEpochs => checkpoint::inspect(path, &["epoch", "start offset"], findings),
        Kind::OffsetCheckpoint => checkpoint::inspect(path, &["topic", "partition", "offset"], findings),
        Kind::TimeCheckpoint => checkpoint::inspect(path, &["milliseconds"], findings),
        Kind::Producers => producers::inspect(path, findings),
        Kind::QuorumState => quorum::inspect_state(path, findings),
        Kind::QuorumSnapshot => quorum::inspect_snapshot(path, findings),
        Kind::Journal => journal::inspect(path, records, findings),
        Kind::LogFile => log_file::inspect(path, findings),
        Kind::Properties => {
            print!("{}", fs::read_to_string(path)?);
            Ok(())
        }
        Kind::Unknown => Err(io::Error::other(format!(
            "{}: what kind of file this is, its name does not say; known are *.log, *.index, *.timeindex, *.snapshot, \
             checkpoints, the journal and quorum files",
            path.display()
        ))),
    }
}
