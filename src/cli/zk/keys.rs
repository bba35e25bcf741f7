//! Bytes of a terminal as keys.

/// A key, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter to insert.
    Letter(char),
    Left,
    Right,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    WordLeft,
    WordRight,
    /// Delete the word before the cursor.
    KillWord,
    /// Delete what is before the cursor.
    KillBefore,
    /// Delete what is behind the cursor.
    KillBehind,
    Tab,
    Enter,
    /// Clear the screen.
    Clear,
    /// Ctrl-C.
    Cancel,
    /// Ctrl-D.
    EndOfInput,
}

/// Sequences of several bytes, as terminals send them.
const SEQUENCES: [(&[u8], Key); 18] = [
    (b"\x1b[D", Key::Left),
    (b"\x1b[C", Key::Right),
    (b"\x1b[A", Key::Up),
    (b"\x1b[B", Key::Down),
    (b"\x1b[H", Key::Home),
    (b"\x1b[F", Key::End),
    (b"\x1bOH", Key::Home),
    (b"\x1bOF", Key::End),
    (b"\x1b[1~", Key::Home),
    (b"\x1b[4~", Key::End),
    (b"\x1b[7~", Key::Home),
    (b"\x1b[8~", Key::End),
    (b"\x1b[3~", Key::Delete),
    (b"\x1b[1;5D", Key::WordLeft),
    (b"\x1b[1;5C", Key::WordRight),
    (b"\x1bb", Key::WordLeft),
    (b"\x1bf", Key::WordRight),
    (b"\x1b\x7f", Key::KillWord),
];

/// Turns bytes into keys; what is not complete waits.
#[derive(Debug, Default)]
pub struct Keys {
    pending: Vec<u8>,
}

impl Keys {
    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next key, if it is there whole. Unknown sequences and bytes that are no text are passed over.
    pub fn next(&mut self) -> Option<Key> {
        loop {
            let &first = self.pending.first()?;
            let (taken, key) = match first {
                0x1b => self.sequence()?,
                0x20..=0x7e => (1, Some(Key::Letter(char::from(first)))),
                0x80.. => self.letter()?,
                _ => (1, control(first)),
            };
            self.pending.drain(..taken);
            if key.is_some() {
                return key;
            }
        }
    }

    fn sequence(&self) -> Option<(usize, Option<Key>)> {
        if let Some((bytes, key)) = SEQUENCES.iter().find(|(bytes, _)| self.pending.starts_with(bytes)) {
            return Some((bytes.len(), Some(*key)));
        }
        // Unknown ones end with a letter or a tilde.
        match self.pending.get(1)? {
            b'[' | b'O' => {
                let end = self.pending.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte))?;
                Some((end + 3, None))
            }
            _ => Some((2, None)),
        }
    }

    fn letter(&self) -> Option<(usize, Option<Key>)> {
        let whole = self.pending.get(..self.pending.len().min(4)).unwrap_or_default();
        let valid = match std::str::from_utf8(whole) {
            Ok(text) => text,
            Err(error) if error.valid_up_to() > 0 => {
                std::str::from_utf8(whole.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
            }
            Err(error) => return error.error_len().map(|count| (count, None)),
        };
        let letter = valid.chars().next()?;
        Some((letter.len_utf8(), Some(Key::Letter(letter))))
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Cancel,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        0x09 => Key::Tab,
        0x0a | 0x0d => Key::Enter,
        0x0b => Key::KillBehind,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::KillBefore,
        0x17 => Key::KillWord,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters of one byte and of several, arrows, control keys; unknown sequences vanish, cut ones wait.
    #[test]
    fn decoding() {
        let mut keys = Keys::default();
        keys.feed(b"a\x1b[D\xc3");
        assert_eq!((keys.next(), keys.next(), keys.next()), (Some(Key::Letter('a')), Some(Key::Left), None));
        keys.feed(b"\xbc\x1b[200~\x01\x1b");
        assert_eq!((keys.next(), keys.next(), keys.next()), (Some(Key::Letter('ü')), Some(Key::Home), None));
        keys.feed(b"[3~\xff\x7f\r");
        assert_eq!(
            (keys.next(), keys.next(), keys.next()),
            (Some(Key::Delete), Some(Key::Backspace), Some(Key::Enter))
        );
    }
}
