//! `tern-checkpoint`: what a log remembers beside Kafka's files.

use std::fs;
use std::io;
use std::path::Path;

use super::Findings;
use crate::cli::moment;
use crate::log::LogFile;

/// Prints it.
pub(super) fn inspect(path: &Path, findings: &mut Findings) -> io::Result<()> {
    match LogFile::parse(&fs::read(path)?) {
        Some(file) => lines(&file).iter().for_each(|line| println!("  {line}")),
        None => findings.broken("it is cut, or its CRC is not that of its bytes".to_owned()),
    }
    Ok(())
}

fn lines(file: &LogFile) -> Vec<String> {
    let mut lines = vec![format!("records of the journal from sequence number {}", file.journal_floor)];
    if let Some((offset, bytes)) = &file.producer_snapshot {
        lines.push(format!("producers as of offset {offset}, {} bytes", bytes.len()));
    }
    if let Some(offset) = file.restart_at {
        lines.push(format!("it is being emptied, to begin again at offset {offset}"));
    }
    lines.push(format!("times as of end offset {}", file.noted_end));
    for (base, created, appended) in &file.segments {
        let (created, appended) = (moment::format(*created), moment::format(*appended));
        lines.push(format!("segment {base}: first append {created}, last {appended}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Offset, Timestamp};

    /// What is rendered is told; a flipped bit is broken.
    #[test]
    fn files() {
        let file = LogFile {
            journal_floor: 7,
            producer_snapshot: Some((Offset(9), vec![1, 2])),
            restart_at: None,
            noted_end: Offset(60),
            journal_base: Offset(0),
            segments: vec![(Offset(0), Timestamp(0), Timestamp(1000))],
        };
        assert_eq!(lines(&file)[1], "producers as of offset 9, 2 bytes");
        assert!(lines(&file)[3].ends_with("first append 1970-01-01T00:00:00.000Z, last 1970-01-01T00:00:01.000Z"));
        let path = std::env::temp_dir().join(format!("tern-inspect-log-file-{}", std::process::id()));
        let mut bytes = file.render().to_vec();
        bytes[7] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut findings = Findings::default();
        inspect(&path, &mut findings).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(findings.broken.len(), 1);
    }
}
