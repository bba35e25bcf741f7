//! Makes the `Debug` texts of two implementations of a message comparable: field by field, by name.
//!
//! Newtypes are taken off, byte strings become lists of numbers, UUIDs hexadecimal digits, and what the oracle keeps of
//! unknown tags is left out.

use std::collections::BTreeMap;

use tern::types::TopicId;

/// A value as `Debug` printed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Null,
    Leaf(String),
    List(Vec<Tree>),
    Fields(BTreeMap<String, Tree>),
}

impl Tree {
    /// Parses what `{:?}` printed.
    pub fn parse(text: &str) -> Tree {
        let mut parser = Parser { rest: text };
        let tree = parser.value();
        assert_eq!(parser.rest, "", "all of the text is understood");
        tree
    }

    /// True for null, an empty text and an empty list.
    pub fn is_empty(&self) -> bool {
        match self {
            Tree::Null => true,
            Tree::Leaf(text) => text == "\"\"",
            Tree::List(list) => list.is_empty(),
            Tree::Fields(_) => false,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Tree {
        if self.eat("b\"") {
            return Tree::List(self.byte_string());
        }
        if self.rest.starts_with('"') {
            return Tree::Leaf(self.quoted().to_owned());
        }
        if self.eat("[") {
            return Tree::List(self.list("]"));
        }
        let word = self.word();
        if self.eat("(") {
            let mut inner = self.list(")");
            assert_eq!(inner.len(), 1, "{word} wraps one value");
            return match (word, inner.pop().unwrap()) {
                ("TopicId", Tree::Leaf(id)) => Tree::Leaf(hexadecimal(&TopicId::parse(&id).unwrap().0)),
                (_, tree) => tree,
            };
        }
        if self.eat(" {") || self.eat("{") {
            return Tree::Fields(self.fields());
        }
        match word {
            "None" | "Null" => Tree::Null,
            _ if word.len() == 36 && word.matches('-').count() == 4 => Tree::Leaf(word.replace('-', "")),
            _ => Tree::Leaf(word.to_owned()),
        }
    }

    fn fields(&mut self) -> BTreeMap<String, Tree> {
        let mut fields = BTreeMap::new();
        while !self.eat("}") {
            self.eat(" ");
            let name = self.word();
            assert!(self.eat(": "), "a value follows {name} in {}", self.rest);
            let value = self.value();
            if name != "unknown_tagged_fields" {
                fields.insert(name.to_owned(), value);
            }
            self.eat(",");
            self.eat(" ");
        }
        fields
    }

    fn list(&mut self, end: &str) -> Vec<Tree> {
        let mut list = Vec::new();
        while !self.eat(end) {
            list.push(self.value());
            self.eat(", ");
        }
        list
    }

    fn quoted(&mut self) -> &'a str {
        let mut escaped = true; // the opening quote
        let end = self.rest.char_indices().find(|&(_, character)| {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        let (text, rest) = self.rest.split_at(end.expect("a closing quote").0 + 1);
        self.rest = rest;
        text
    }

    fn byte_string(&mut self) -> Vec<Tree> {
        let mut bytes = Vec::new();
        let mut characters = self.rest.char_indices();
        loop {
            let byte = match characters.next().expect("a closing quote").1 {
                '"' => break,
                '\\' => match characters.next().unwrap().1 {
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    '0' => 0,
                    'x' => {
                        let digits: String =
                            [characters.next().unwrap().1, characters.next().unwrap().1].iter().collect();
                        u8::from_str_radix(&digits, 16).unwrap()
                    }
                    other => other as u8,
                },
                character => character as u8,
            };
            bytes.push(Tree::Leaf(byte.to_string()));
        }
        self.rest = &self.rest[characters.next().map_or(self.rest.len(), |(at, _)| at)..];
        bytes
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|character: char| !character.is_alphanumeric() && !"_-.".contains(character));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn eat(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
