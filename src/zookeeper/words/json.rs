//! JSON as it is written: objects and lists whose parts come one after the other.

use std::fmt::{Result, Write};

/// An object or a list that is being written.
pub(super) struct Json<'o> {
    out: &'o mut dyn Write,
    is_first: bool,
    end: char,
}

impl<'o> Json<'o> {
    /// Begins an object.
    pub fn object(out: &'o mut dyn Write) -> std::result::Result<Json<'o>, std::fmt::Error> {
        out.write_char('{')?;
        Ok(Json { out, is_first: true, end: '}' })
    }

    /// Ends it.
    pub fn end(self) -> Result {
        self.out.write_char(self.end)
    }

    fn next(&mut self) -> Result {
        if std::mem::replace(&mut self.is_first, false) { Ok(()) } else { self.out.write_char(',') }
    }

    fn name(&mut self, name: &str) -> Result {
        self.next()?;
        quote(name, self.out)?;
        self.out.write_char(':')
    }

    /// A field that is no text: a number, `true`, `null`.
    pub fn plain(&mut self, name: &str, value: impl std::fmt::Display) -> Result {
        self.name(name)?;
        write!(self.out, "{value}")
    }

    /// A field that is a text.
    pub fn text(&mut self, name: &str, value: &str) -> Result {
        self.name(name)?;
        quote(value, self.out)
    }

    /// A field that is an object.
    pub fn inner(&mut self, name: &str) -> std::result::Result<Json<'_>, std::fmt::Error> {
        self.name(name)?;
        Json::object(self.out)
    }

    /// A field that is a list.
    pub fn list(&mut self, name: &str) -> std::result::Result<Json<'_>, std::fmt::Error> {
        self.name(name)?;
        self.out.write_char('[')?;
        Ok(Json { out: self.out, is_first: true, end: ']' })
    }

    /// An item that is no text.
    pub fn item(&mut self, value: impl std::fmt::Display) -> Result {
        self.next()?;
        write!(self.out, "{value}")
    }

    /// An item that is a text.
    pub fn text_item(&mut self, value: &str) -> Result {
        self.next()?;
        quote(value, self.out)
    }

    /// An item that is an object.
    pub fn object_item(&mut self) -> std::result::Result<Json<'_>, std::fmt::Error> {
        self.next()?;
        Json::object(self.out)
    }
}

fn quote(text: &str, out: &mut dyn Write) -> Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            control if control < ' ' => write!(out, "\\u{:04x}", control as u32)?,
            _ => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read by everybody, whatever the texts are.
    #[test]
    fn round_trip() {
        let mut text = String::new();
        let mut object = Json::object(&mut text).unwrap();
        object.plain("n", 5).unwrap();
        object.text("\"\\\n", "\u{1}ü").unwrap();
        let mut list = object.list("l").unwrap();
        list.item("null").unwrap();
        list.text_item("x").unwrap();
        let mut item = list.object_item().unwrap();
        item.plain("b", true).unwrap();
        item.end().unwrap();
        list.end().unwrap();
        object.inner("o").unwrap().end().unwrap();
        object.end().unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["\"\\\n"], "\u{1}ü");
        assert_eq!(read["l"], serde_json::json!([null, "x", {"b": true}]));
        assert_eq!((&read["n"], &read["o"]), (&serde_json::json!(5), &serde_json::json!({})));
    }
}
