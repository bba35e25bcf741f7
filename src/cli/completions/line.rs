//! A command line as it stands before Tab: its words by a shell's rules, the last of them not finished.

/// The words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Those that are finished, the program's name first.
    pub words: Vec<String>,
    /// The one at the cursor, empty behind a blank.
    pub last: String,
    /// How many letters it takes as it was typed, with its quotes.
    pub last_letters: usize,
}

impl Line {
    /// Splits at blanks, except within quotes and behind a backslash. A quote that is open belongs to the last word.
    pub fn read(text: &str) -> Line {
        let mut line = Line::default();
        let mut quote = None;
        let mut is_word = false;
        let mut letters = text.chars();
        let count = text.chars().count();
        let mut start = 0;
        while let Some(letter) = letters.next() {
            match (letter, quote) {
                (letter, Some(open)) if letter == open => quote = None,
                ('\\', None | Some('"')) => line.last.extend(letters.next()),
                ('"' | '\'', None) => {
                    quote = Some(letter);
                    is_word = true;
                }
                (letter, None) if letter.is_whitespace() => {
                    if is_word || !line.last.is_empty() {
                        line.words.push(std::mem::take(&mut line.last));
                    }
                    is_word = false;
                    start = count - letters.clone().count();
                }
                (letter, _) => line.last.push(letter),
            }
        }
        line.last_letters = count - start;
        line
    }

    /// All words, for lines that are finished.
    pub fn into_words(mut self) -> Vec<String> {
        if !self.last.is_empty() {
            self.words.push(self.last);
        }
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blanks, quotes, backslashes, an empty word, an open quote.
    #[test]
    fn splitting() {
        let read = |text: &str| {
            let line = Line::read(text);
            (line.words.join("|"), line.last)
        };
        assert_eq!(read(""), (String::new(), String::new()));
        assert_eq!(read("tern to"), ("tern".into(), "to".into()));
        assert_eq!(read("tern topic "), ("tern|topic".into(), String::new()));
        assert_eq!(read(r#"set /a "b c" d\ e 'f"g' "h\"i" "#), (r#"set|/a|b c|d e|f"g|h"i"#.into(), String::new()));
        assert_eq!(read("set '' x"), ("set|".into(), "x".into()));
        assert_eq!(read("get \"/a b"), ("get".into(), "/a b".into()));
        assert_eq!(Line::read("get \"/a b").last_letters, 5);
        assert_eq!(Line::read("a b ").last_letters, 0);
        assert_eq!(Line::read("a b").into_words(), ["a", "b"]);
    }
}
