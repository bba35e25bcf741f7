//! The lines typed so far, in memory and in a file of the user's own. Lines with credentials are never written.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// How many lines are kept.
const LINES_MAX: usize = 1000;

/// A longer line is not kept in the file.
const LINE_BYTES_MAX: usize = 4096;

/// The lines.
#[derive(Debug, Default)]
pub struct History {
    lines: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// Reads `tern/zk-history` below the user's state directory, when there is one. Trouble with the file is no reason
    /// not to go on: then there is no history.
    pub fn load() -> History {
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
        state.or_else(home).map(|directory| History::at(directory.join("tern/zk-history"))).unwrap_or_default()
    }

    fn at(file: PathBuf) -> History {
        let text = fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() > LINES_MAX {
            lines.drain(..lines.len() - LINES_MAX);
            let _ = fs::write(&file, lines.join("\n") + "\n"); // a shorter file is a convenience
        }
        History { lines, file: Some(file) }
    }

    /// All lines, in the order in which they were typed.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds a line, unless it repeats the last one.
    pub fn add(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() >= LINES_MAX {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
        let is_secret = ["addauth", "--auth", "digest:"].iter().any(|word| line.contains(word));
        if let Some(file) = self.file.as_ref().filter(|_| !is_secret && line.len() <= LINE_BYTES_MAX) {
            let directory =
                file.parent().map(|parent| fs::DirBuilder::new().recursive(true).mode(0o700).create(parent));
            let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(file);
            // A disk that takes no history is told by whoever needs it.
            if let (Some(Ok(())), Ok(mut file)) = (directory, opened) {
                let _ = writeln!(file, "{line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Lines come back, repetitions and secrets do not, the file is private and bounded.
    #[test]
    fn file() {
        let directory = std::env::temp_dir().join(format!("tern-history-{}", std::process::id()));
        let path = directory.join("tern/zk-history");
        let mut history = History::at(path.clone());
        for line in ["ls /", "ls /", "addauth digest:me:secret", " get /a ", ""] {
            history.add(line);
        }
        assert_eq!(history.lines(), ["ls /", "addauth digest:me:secret", "get /a"]);
        assert_eq!(History::at(path.clone()).lines(), ["ls /", "get /a"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "x\ny\n".repeat(LINES_MAX)).unwrap();
        assert_eq!(History::at(path.clone()).lines().len(), LINES_MAX);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), LINES_MAX);
        fs::remove_dir_all(&directory).unwrap();
    }
}
