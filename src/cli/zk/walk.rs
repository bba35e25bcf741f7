//! Whole trees: listed, drawn, deleted. What goes away meanwhile is passed over.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::client::Client;
use super::error_code;
use crate::zookeeper::errors::Code;

/// Longer data is not drawn.
const SHOWN_LETTERS_MAX: usize = 100;

/// Between two words on how far a deletion has got.
const PROGRESS: Duration = Duration::from_secs(1);

/// The path of a child.
pub(super) fn child(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}

/// `None` when the znode has gone.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error_code(&error) == Some(Code::NO_NODE) => Ok(None),
        other => other.map(Some),
    }
}

/// Prints the paths of a whole tree, parents first.
pub(super) fn list(client: &mut Client, path: &str, out: &mut dyn Write) -> io::Result<()> {
    walk(client, path, &mut |path| writeln!(out, "{path}"))
}

/// All paths of a tree, parents first; none when it is not there.
pub(super) fn paths(client: &mut Client, path: &str) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    unless_gone(walk(client, path, &mut |path| {
        paths.push(path.to_owned());
        Ok(())
    }))?;
    Ok(paths)
}

/// Calls `visit` with every path, parents first, children in the order of their names.
fn walk(client: &mut Client, path: &str, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let (mut names, _) = client.children(path, false)?;
    visit(path)?;
    let mut waiting: Vec<String> = names.drain(..).rev().map(|name| child(path, &name)).collect();
    while let Some(path) = waiting.pop() {
        visit(&path)?;
        if let Some((names, _)) = unless_gone(client.children(&path, false))? {
            waiting.extend(names.iter().rev().map(|name| child(&path, name)));
        }
    }
    Ok(())
}

/// Deletes a whole tree, children first.
pub(super) fn delete(client: &mut Client, path: &str) -> io::Result<()> {
    client.children(path, false)?; // whose error says what to do
    let paths = paths(client, path)?;
    let shows_progress = io::stderr().is_terminal();
    let mut shown = Instant::now();
    for (count, path) in paths.iter().rev().enumerate() {
        unless_gone(client.delete(path, -1))?;
        if shows_progress && shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            eprint!("\r{count} of {} deleted ", paths.len());
        }
    }
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    Ok(())
}

/// A znode that is still to be drawn.
struct Branch {
    path: String,
    name: String,
    /// What stands before the children of its parent.
    indent: String,
    is_last: bool,
    depth: usize,
}

/// Draws a tree, `depth` levels deep.
pub(super) fn tree(
    client: &mut Client,
    path: &str,
    depth: Option<usize>,
    data: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    client.children(path, false)?; // whose error says what to do
    let root = Branch { path: path.to_owned(), name: path.to_owned(), indent: String::new(), is_last: true, depth: 0 };
    let mut waiting = vec![root];
    while let Some(branch) = waiting.pop() {
        let Some((names, _)) = unless_gone(client.children(&branch.path, false))? else { continue };
        let shown = if data { shown_data(client, &branch.path)? } else { String::new() };
        let (arm, indent) = match (branch.depth, branch.is_last) {
            (0, _) => ("", String::new()),
            (_, true) => ("└── ", format!("{}    ", branch.indent)),
            (_, false) => ("├── ", format!("{}│   ", branch.indent)),
        };
        let is_cut = depth.is_some_and(|depth| branch.depth >= depth) && !names.is_empty();
        let more = if is_cut { format!("  ({} below)", names.len()) } else { String::new() };
        writeln!(out, "{}{arm}{}{shown}{more}", branch.indent, branch.name)?;
        if is_cut {
            continue;
        }
        let last = names.len().saturating_sub(1);
        waiting.extend(names.into_iter().enumerate().rev().map(|(number, name)| Branch {
            path: child(&branch.path, &name),
            name,
            indent: indent.clone(),
            is_last: number == last,
            depth: branch.depth + 1,
        }));
    }
    Ok(())
}

/// ` = DATA`, when that is one line of text, else its size.
fn shown_data(client: &mut Client, path: &str) -> io::Result<String> {
    let Some((data, _)) = unless_gone(client.data(path, false))? else { return Ok(String::new()) };
    Ok(match data {
        None => String::new(),
        Some(data) if data.is_empty() => String::new(),
        Some(data) => match std::str::from_utf8(&data) {
            Ok(text) if text.chars().count() <= SHOWN_LETTERS_MAX && !text.contains(char::is_control) => {
                format!(" = {text}")
            }
            _ => format!(" ({} bytes)", data.len()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root has no slash of its own in the paths of its children.
    #[test]
    fn children() {
        assert_eq!((child("/", "a"), child("/a", "b")), ("/a".to_owned(), "/a/b".to_owned()));
    }
}
