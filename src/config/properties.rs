//! Properties files as Java reads them, so that `zoo.cfg` and `server.properties` mean here what they mean there.
//!
//! Comments start with `#` or `!`, a backslash at the end of a line continues it, `=`, `:` or white space ends the key,
//! `\t \n \r \f \uXXXX` are escapes and any other escaped character stands for itself. Unlike Java, a value loses
//! the white space at its end, as both programs strip it later anyway.

/// One `key=value` with the number of the line it began on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub line: u32,
    pub key: String,
    pub value: String,
}

/// A line that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub line: u32,
    pub sentence: String,
}

/// Reads a whole file. Order is kept, and so are repeated keys.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<BadLine>) {
    let mut entries = Vec::new();
    let mut bad = Vec::new();
    for (line, logical) in logical_lines(text) {
        let (raw_key, raw_value) = split(&logical);
        match (unescape(raw_key), unescape(raw_value)) {
            (Ok(key), Ok(_)) if key.is_empty() => {
                bad.push(BadLine { line, sentence: format!("\"{logical}\" has no key; allowed: KEY=VALUE") });
            }
            (Ok(key), Ok(value)) => entries.push(Entry { line, key, value: value.trim_end().to_owned() }),
            (Err(escape), _) | (_, Err(escape)) => {
                let sentence = format!("\"{escape}\" is not an escape; allowed: \\u and four hexadecimal digits");
                bad.push(BadLine { line, sentence });
            }
        }
    }
    (entries, bad)
}

/// Joins continued lines and leaves out comments and blank lines.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1u32..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start_matches([' ', '\t', '\x0c']);
        if !open && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
        let continued = backslashes % 2 == 1;
        let content = if continued { &line[..line.len() - 1] } else { line };
        match out.last_mut() {
            Some((_, logical)) if open => logical.push_str(content),
            _ => out.push((number, content.to_owned())),
        }
        open = continued;
    }
    out.retain(|(_, logical)| !logical.is_empty());
    out
}

/// Cuts a logical line into key and value, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .find(|letter: char| {
            let ends = !escaped && (matches!(letter, '=' | ':') || is_space(letter));
            escaped = letter == '\\' && !escaped;
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_space))
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\x0c')
}

/// Replaces escapes; the error is the one that makes no sense.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\x0c'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                out.push(unit.and_then(char::from_u32).ok_or_else(|| format!("\\u{digits}"))?);
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(u32, String, String)> {
        let (entries, bad) = parse(text);
        assert_eq!(bad, []);
        entries.into_iter().map(|entry| (entry.line, entry.key, entry.value)).collect()
    }

    /// The examples of Java's own documentation, and what editors leave behind.
    #[test]
    fn java_rules() {
        for (text, key, value) in [
            ("Truth = Beauty", "Truth", "Beauty"),
            (" Truth:Beauty", "Truth", "Beauty"),
            ("Truth                    :Beauty", "Truth", "Beauty"),
            ("fruits   apple, banana, \\\n   cantaloupe,\\\n\tkiwi", "fruits", "apple, banana, cantaloupe,kiwi"),
            ("cheeses", "cheeses", ""),
            ("\u{feff}a=b\r", "a", "b"),
            ("a\\ b\\=c = d\\u0041\\t.\\q ", "a b=c", "dA\t.q"),
            ("path=c:\\\\tmp\\\\", "path", "c:\\tmp\\"),
            ("a==b", "a", "=b"),
            ("a=b=c:d", "a", "b=c:d"),
        ] {
            assert_eq!(pairs(text), [(1, key.to_owned(), value.to_owned())], "{text:?}");
        }
    }

    /// Comments and blank lines count as lines but say nothing; a comment never continues.
    #[test]
    fn comments() {
        let read = pairs("# one \\\n! two\n\n  # three\nkey=value # not a comment\n\\\n\nlast=1");
        let expected = [(5, "key", "value # not a comment"), (8, "last", "1")];
        assert_eq!(read, expected.map(|(line, key, value)| (line, key.to_owned(), value.to_owned())));
    }

    /// Lines without a key and impossible escapes are told with their number; the rest is read.
    #[test]
    fn bad_lines() {
        let (entries, bad) = parse("a=1\n=x\nb=\\u12\nc=2\nd=\\ud800\n\\");
        assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(bad[0].sentence, "\"=x\" has no key; allowed: KEY=VALUE");
    }
}
