//! Tables on standard output: columns for people, or one JSON object a row for programs.

use serde_json::{Map, Value};

use crate::config::Size;

/// What stands in a place of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Words, at the left edge.
    Text(String),
    /// A number, at the right edge.
    Number(i64),
    /// Bytes: `64 MiB` for people, the number for programs.
    Bytes(i64),
    /// Nothing is known: `-` for people, null for programs.
    Absent,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Cell {
        cell.map_or(Cell::Absent, Into::into)
    }
}

impl Cell {
    fn for_people(&self) -> String {
        match self {
            Cell::Text(text) if text.is_empty() => "-".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => number.to_string(),
            Cell::Bytes(bytes) => Size(*bytes).to_string(),
            Cell::Absent => "-".to_owned(),
        }
    }

    fn for_programs(&self) -> Value {
        match self {
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Number(number) | Cell::Bytes(number) => Value::from(*number),
            Cell::Absent => Value::Null,
        }
    }
}

/// Rows under the names of their columns.
pub struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table. Names of columns are in small letters; with JSON they are the keys, `-` becomes `_`.
    pub fn new(columns: &'static [&'static str]) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row: a cell a column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole, a newline after each line.
    pub fn render(&self, json: bool) -> String {
        if json {
            return self.rows.iter().map(|row| format!("{}\n", self.object(row))).collect();
        }
        let head = self.columns.iter().map(|name| name.to_uppercase()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(head)
            .chain(self.rows.iter().map(|row| row.iter().map(Cell::for_people).collect()))
            .collect();
        let letters = |line: &Vec<String>, column: usize| line.get(column).map_or(0, |cell| cell.chars().count());
        let is_right = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| **cell != Cell::Absent);
            !self.rows.is_empty() && cells.all(|cell| matches!(cell, Cell::Number(_) | Cell::Bytes(_)))
        };
        let columns = 0..self.columns.len();
        let shape: Vec<(usize, bool)> = columns
            .map(|column| (lines.iter().map(|line| letters(line, column)).max().unwrap_or(0), is_right(column)))
            .collect();
        let mut out = String::new();
        for line in &lines {
            let padded = line.iter().zip(&shape).map(|(cell, &(width, right))| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    fn object(&self, row: &[Cell]) -> Value {
        let pairs = self.columns.iter().zip(row);
        Value::Object(pairs.map(|(name, cell)| (name.replace('-', "_"), cell.for_programs())).collect::<Map<_, _>>())
    }

    /// The rows as a JSON list.
    pub fn objects(&self) -> Value {
        self.rows.iter().map(|row| self.object(row)).collect()
    }

    /// Prints it.
    pub fn print(&self, json: bool) {
        print!("{}", self.render(json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns are as wide as they must be, numbers stand right, unknown is `-`; programs get keys and numbers.
    #[test]
    fn both_forms() {
        let mut table = Table::new(&["topic", "end-offset", "size"]);
        table.row(vec!["a".into(), 7.into(), Cell::Bytes(1 << 20)]);
        table.row(vec!["longer".into(), Cell::Absent, Cell::Bytes(5)]);
        assert_eq!(
            table.render(false),
            "TOPIC   END-OFFSET   SIZE\na                7  1 MiB\nlonger           -    5 B\n"
        );
        assert_eq!(
            table.render(true),
            "{\"end_offset\":7,\"size\":1048576,\"topic\":\"a\"}\n{\"end_offset\":null,\"size\":5,\"topic\":\"longer\"}\n"
        );
    }
}
