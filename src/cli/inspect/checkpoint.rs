//! Kafka's checkpoint files: a version, a count, and as many lines of words.

use std::fs;
use std::io;
use std::path::Path;

use super::Findings;

/// Prints the lines under the names of their words; the last word of a line must be a number.
pub(super) fn inspect(path: &Path, words: &[&str], findings: &mut Findings) -> io::Result<()> {
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let mut lines = text.lines();
    match lines.next().map(str::parse::<u32>) {
        Some(Ok(0)) => {}
        _ => findings.broken("line 1 is not version 0".to_owned()),
    }
    let Some(Ok(count)) = lines.next().map(str::parse::<usize>) else {
        findings.broken("line 2 is not the number of entries".to_owned());
        return Ok(());
    };
    let mut found = 0;
    for (number, line) in (3..).zip(lines) {
        found += 1;
        let parts: Vec<&str> = line.split(' ').collect();
        let is_number = parts.last().is_some_and(|part| part.parse::<i64>().is_ok());
        if parts.len() != words.len() || !is_number {
            findings.broken(format!("line {number} is not {}: {line:?}", words.join(", ")));
            continue;
        }
        let named: Vec<String> = words.iter().zip(&parts).map(|(word, part)| format!("{word} {part}")).collect();
        println!("  {}", named.join(", "));
    }
    if found != count {
        findings.broken(format!("line 2 promises {count} entries, there are {found}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole file is whole; a cut one, a wrong version and a line of other words are named.
    #[test]
    fn files() {
        let path = std::env::temp_dir().join(format!("tern-inspect-checkpoint-{}", std::process::id()));
        let check = |text: &str| {
            fs::write(&path, text).unwrap();
            let mut findings = Findings::default();
            inspect(&path, &["epoch", "start offset"], &mut findings).unwrap();
            findings.broken
        };
        assert_eq!(check("0\n2\n0 0\n1 50\n"), Vec::<String>::new());
        assert_eq!(check("0\n2\n0 0\n"), ["line 2 promises 2 entries, there are 1"]);
        assert_eq!(check("\0\0\0"), ["line 1 is not version 0", "line 2 is not the number of entries"]);
        assert_eq!(check("0\n1\n0 x\n"), ["line 3 is not epoch, start offset: \"0 x\""]);
        fs::remove_file(&path).unwrap();
    }
}
