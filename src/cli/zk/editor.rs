//! The line that is being typed: letters, cursor, history. No terminal: what it looks like is a string.

use super::keys::Key;

/// A longer line takes no more letters.
const LETTERS_MAX: usize = 64 * 1024;

/// The line.
#[derive(Debug, Default)]
pub struct Editor {
    letters: Vec<char>,
    cursor: usize,
    /// How far back in the history the line is from; 0 is the one being typed.
    back: usize,
    draft: Vec<char>,
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The line looks different.
    Changed,
    /// It is finished; the editor is empty again.
    Line(String),
    /// Somebody wants to know what may stand here.
    Complete,
    /// The line is given up.
    Cancelled,
    /// There is no more input.
    End,
    /// The screen is to be cleared.
    Clear,
}

impl Editor {
    /// The text before the cursor.
    pub fn before(&self) -> String {
        self.letters.iter().take(self.cursor).collect()
    }

    /// Replaces what is before the cursor from letter `start` on.
    pub fn replace(&mut self, start: usize, text: &str) {
        let start = start.min(self.cursor);
        self.letters.splice(start..self.cursor, text.chars());
        self.cursor = start + text.chars().count();
    }

    /// Takes a key. `history` is in the order in which it was typed.
    pub fn press(&mut self, key: Key, history: &[String]) -> Step {
        let (cursor, end) = (self.cursor, self.letters.len());
        match key {
            Key::Letter(letter) if end < LETTERS_MAX => {
                self.letters.insert(cursor, letter);
                self.cursor += 1;
            }
            Key::Letter(_) => {}
            Key::Left => self.cursor = cursor.saturating_sub(1),
            Key::Right => self.cursor = (cursor + 1).min(end),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = end,
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Backspace => self.cut(cursor.saturating_sub(1), cursor),
            Key::Delete => self.cut(cursor, (cursor + 1).min(end)),
            Key::KillWord => self.cut(self.word_left(), cursor),
            Key::KillBefore => self.cut(0, cursor),
            Key::KillBehind => self.cut(cursor, end),
            Key::Up => self.recall(self.back + 1, history),
            Key::Down if self.back > 0 => self.recall(self.back - 1, history),
            Key::Down => {}
            Key::Tab => return Step::Complete,
            Key::Clear => return Step::Clear,
            Key::Enter => return Step::Line(std::mem::take(self).letters.into_iter().collect()),
            Key::Cancel => {
                *self = Editor::default();
                return Step::Cancelled;
            }
            Key::EndOfInput if self.letters.is_empty() => return Step::End,
            Key::EndOfInput => self.cut(cursor, (cursor + 1).min(end)),
        }
        Step::Changed
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.letters.drain(from..to);
        self.cursor = from;
    }

    fn recall(&mut self, back: usize, history: &[String]) {
        if back > history.len() {
            return;
        }
        if self.back == 0 {
            self.draft = std::mem::take(&mut self.letters);
        }
        self.letters = match back.checked_sub(1) {
            Some(newer) => history.iter().rev().nth(newer).map(|line| line.chars().collect()).unwrap_or_default(),
            None => std::mem::take(&mut self.draft),
        };
        self.back = back;
        self.cursor = self.letters.len();
    }

    fn word_left(&self) -> usize {
        let before = self.letters.get(..self.cursor).unwrap_or_default();
        let word_end = before.iter().rposition(|letter| !is_gap(*letter)).map_or(0, |at| at + 1);
        before.iter().take(word_end).rposition(|letter| is_gap(*letter)).map_or(0, |at| at + 1)
    }

    fn word_right(&self) -> usize {
        let gap = self.letters.iter().skip(self.cursor).take_while(|letter| is_gap(**letter)).count();
        let word = self.letters.iter().skip(self.cursor + gap).take_while(|letter| !is_gap(**letter)).count();
        self.cursor + gap + word
    }

    /// The line behind its prompt in `width` columns, as what to send to a terminal; of a line that is too long, the part
    /// around the cursor.
    pub fn draw(&self, prompt: &str, width: usize) -> String {
        let room = width.saturating_sub(prompt.chars().count() + 1).max(8);
        let first = (self.cursor + 1).saturating_sub(room);
        let shown: String = self.letters.iter().skip(first).take(room).collect();
        let behind = shown.chars().count() - (self.cursor - first);
        let back = if behind > 0 { format!("\x1b[{behind}D") } else { String::new() };
        format!("\r{prompt}{shown}\x1b[K{back}")
    }
}

/// What ends a word: parts of a path are words of their own.
fn is_gap(letter: char) -> bool {
    letter.is_whitespace() || letter == '/'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::default();
        text.chars().for_each(|letter| {
            editor.press(Key::Letter(letter), &[]);
        });
        editor
    }

    fn press(editor: &mut Editor, keys: &[Key]) {
        keys.iter().for_each(|key| {
            editor.press(*key, &[]);
        });
    }

    /// Moving, inserting and deleting, by letters and by words, never beyond the line's ends.
    #[test]
    fn editing() {
        let mut editor = typed("get /a/bü");
        press(&mut editor, &[Key::KillWord, Key::Letter('c'), Key::WordLeft, Key::WordLeft, Key::WordLeft]);
        assert_eq!((editor.cursor, editor.letters.iter().collect::<String>()), (0, "get /a/c".to_owned()));
        press(&mut editor, &[Key::Left, Key::Backspace, Key::WordRight, Key::KillBefore, Key::End, Key::Delete]);
        assert_eq!(editor.before(), " /a/c");
        press(&mut editor, &[Key::Home, Key::Delete, Key::Right, Key::Right, Key::KillBehind, Key::Right]);
        assert_eq!(editor.before(), "/a");
        assert_eq!(editor.press(Key::Enter, &[]), Step::Line("/a".to_owned()));
        assert_eq!(editor.press(Key::EndOfInput, &[]), Step::End);
    }

    /// Up and down walk the history and come back to what was being typed.
    #[test]
    fn recalling() {
        let history = ["one".to_owned(), "two".to_owned()];
        let mut editor = typed("new");
        let mut after = |key| {
            editor.press(key, &history);
            editor.before()
        };
        let seen: Vec<String> =
            [Key::Up, Key::Up, Key::Up, Key::Down, Key::Down, Key::Down].into_iter().map(&mut after).collect();
        assert_eq!(seen, ["two", "one", "one", "two", "new", "new"]);
    }

    /// The cursor stands where the next letter goes; a long line shows the part around it.
    #[test]
    fn drawing() {
        let mut editor = typed("abc");
        press(&mut editor, &[Key::Left]);
        assert_eq!(editor.draw("> ", 80), "\r> abc\x1b[K\x1b[1D");
        let editor = typed(&"x".repeat(100));
        assert_eq!(editor.draw("> ", 20).matches('x').count(), 16);
    }

    /// A completion replaces the word it completes.
    #[test]
    fn completing() {
        let mut editor = typed("get /br x");
        press(&mut editor, &[Key::Left, Key::Left]);
        editor.replace(4, "/brokers/");
        assert_eq!((editor.before().as_str(), editor.letters.len()), ("get /brokers/", 15));
    }
}
