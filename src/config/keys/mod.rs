//! The table of keys: what is read, what is known and of no use here, and what nobody knows.
//!
//! One line a key. The table alone decides types, bounds and defaults; `build` only picks values up.
//! Invariant: no name stands twice, and every key in use is picked up (tested).

mod unusable;
mod used;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Bool,
    /// A whole number within bounds, both allowed.
    Int { min: i64, max: i64 },
    /// A number of bytes with or without a unit: `65536`, `64KiB`, `64MiB`, `64m`, `1GiB`.
    Size { min: i64, max: i64 },
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// Text whose form `build` knows.
    Text,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is in `Config`. The text is the value without a file; empty: derived, or none.
    Default(&'static str),
    /// It is known and does nothing here, for this reason.
    Unusable(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written in files. `#` stands for a number and a final `*` for anything.
    pub name: &'static str,
    /// What a value must look like.
    pub kind: Kind,
    /// Whether it does anything.
    pub usage: Use,
    /// What it means, in half a sentence; empty for keys of no use.
    pub meaning: &'static str,
}

/// The keys in use, in the order in which `check-config` prints them.
pub fn used() -> &'static [Key] {
    used::KEYS
}

/// The line of the table that `name` falls under, patterns included.
pub fn find(name: &str) -> Option<&'static Key> {
    let exact = used::KEYS.iter().chain(unusable::KEYS).find(|key| key.name == name);
    exact.or_else(|| used::KEYS.iter().chain(unusable::KEYS).find(|key| matches(key.name, name)))
}

/// The key whose letters and digits are those of `name`, whatever the dots, underscores and capitals.
pub(super) fn find_by_letters(name: &str) -> Option<&'static Key> {
    used::KEYS.iter().chain(unusable::KEYS).find(|key| !is_pattern(key.name) && same_letters(key.name, name))
}

/// The known key that `name` was most likely meant to be, for a warning.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let all = used::KEYS.iter().chain(unusable::KEYS).filter(|key| !is_pattern(key.name));
    let distance_max = 1 + name.len() / 8;
    // Of equally near ones the longer: people forget letters more often than they add some.
    all.map(|key| (distance(key.name, name), std::cmp::Reverse(key.name.len()), key.name))
        .min()
        .filter(|(distance, ..)| *distance <= distance_max)
        .map(|(.., name)| name)
}

fn is_pattern(name: &str) -> bool {
    name.ends_with(['#', '*'])
}

fn matches(pattern: &str, name: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('#') {
        let number = name.strip_prefix(prefix);
        return number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    }
    pattern.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix))
}

fn same_letters(left: &str, right: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = u8> {
        text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
    }
    letters(left).eq(letters(right))
}

/// Levenshtein's distance without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

impl Kind {
    /// What is allowed, for the end of a sentence.
    pub fn allowed(self) -> String {
        match self {
            Kind::Bool => "true or false".to_owned(),
            Kind::Int { min, max: i64::MAX } => format!("a whole number from {min}"),
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max } => {
                format!("{} to {}, as bytes or with KiB, MiB, GiB", super::Size(min), super::Size(max))
            }
            Kind::OneOf(words) => words.join(", "),
            Kind::Text => "text".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing stands twice, also not in letters alone, and every default is a value of its own kind.
    #[test]
    fn table() {
        let all: Vec<&Key> = used::KEYS.iter().chain(unusable::KEYS).collect();
        for (i, key) in all.iter().enumerate() {
            let twin = all[..i].iter().find(|other| same_letters(other.name, key.name));
            assert_eq!(twin, None, "{}", key.name);
        }
        for key in used::KEYS {
            let Use::Default(text) = key.usage else { panic!("{} is not in use", key.name) };
            assert!(!key.meaning.is_empty(), "{}", key.name);
            if let Kind::Int { min, max } | Kind::Size { min, max } = key.kind {
                assert!(min < max && (text.is_empty() || (min..=max).contains(&text.parse().unwrap())), "{}", key.name);
            }
        }
        for key in unusable::KEYS {
            assert!(matches!(key.usage, Use::Unusable(reason) if !reason.is_empty()), "{}", key.name);
        }
    }

    /// Patterns match numbers or beginnings, misspellings find their key, other words find none.
    #[test]
    fn look_up() {
        assert_eq!(find("server.12").map(|key| key.name), Some("server.#"));
        assert_eq!(find("server.x"), None);
        assert_eq!(find("ssl.protocol").map(|key| key.name), Some("ssl.*"));
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("clientport"), Some("clientPort"));
        assert_eq!(nearest("log.dirz"), Some("log.dirs"));
        assert_eq!(nearest("log.retention.hour"), Some("log.retention.hours"));
        assert_eq!(nearest("colour.of.the.bikeshed"), None);
    }
}
