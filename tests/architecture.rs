//! The house's walls, as a test: who may import whom, what only `runtime/` may touch, and what every file owes its reader.
//!
//! A failure names the file, the line and the rule. Change a rule here only together with the map in README.md.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up, as in `src/lib.rs`: a room imports only itself and rooms before it.
const ROOMS: &[&str] = &[
    "types",
    "limits",
    "config",
    "metrics",
    "memory",
    "effect",
    "record",
    "log",
    "quorum",
    "coordinator",
    "broker",
    "engine",
    "kafka",
    "zookeeper",
    "mqtt",
    "http",
    "node",
    "runtime",
    "cli",
    "main",
];

/// Doors speak protocols; below the waist they see nothing.
const DOORS: &[&str] = &["kafka", "zookeeper", "mqtt", "http"];

/// What a door may import beside itself.
const DOORS_SEE: &[&str] = &["types", "limits", "config", "metrics", "memory", "effect", "record", "engine"];

/// Imports forbidden although the order would allow them.
const FORBIDDEN: &[(&str, &str)] = &[("coordinator", "quorum"), ("quorum", "coordinator"), ("broker", "quorum")];

/// Rooms that touch the world: the shell, and the client side of the command line.
const WORLDLY: &[&str] = &["runtime", "cli", "main"];

/// What purity forbids, and why.
const BANNED: &[(&str, &str)] = &[
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("std::fs", "files are asked for by effect"),
    ("std::thread", "threads belong to the runtime"),
    ("std::env", "the environment is read by the command line"),
    ("TcpStream", "sockets belong to the runtime"),
    ("TcpListener", "sockets belong to the runtime"),
    ("tokio::", "the machine is not asynchronous"),
    ("rand::", "chance is an argument"),
    ("RandomState", "maps must iterate alike in every run"),
    ("collections::HashMap", "maps must iterate alike in every run"),
    ("collections::HashSet", "sets must iterate alike in every run"),
    ("println!", "the machine does not print"),
];

/// A file longer than this is a room too full to see through.
const LINES_MAX: usize = 800;

struct Source {
    path: PathBuf,
    room: String,
    /// Everything above `#[cfg(test)]` at the left margin; nothing of a file that is a test as a whole.
    code: Vec<String>,
    all: Vec<String>,
}

/// Imports respect the order of the rooms and the walls between doors.
#[test]
fn walls_stand() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.code.iter().enumerate() {
            for target in imported_rooms(line) {
                if let Some(why) = wall(&source.room, &target) {
                    broken.push(format!("{}:{}: {why}", source.path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "broken walls:\n{}", broken.join("\n"));
}

fn wall(room: &str, target: &str) -> Option<String> {
    let place = |name: &str| ROOMS.iter().position(|&room| room == name);
    let (from, to) = (place(room)?, place(target)?);
    if room == target {
        return None;
    }
    if to > from {
        return Some(format!("`{room}` imports `{target}`, which lies above it"));
    }
    if FORBIDDEN.contains(&(room, target)) {
        return Some(format!("`{room}` must not know `{target}`"));
    }
    if DOORS.contains(&room) && !DOORS_SEE.contains(&target) {
        return Some(format!("the door `{room}` must not see `{target}`"));
    }
    None
}

/// Rooms named after `crate::` (or `tern::` in the binary) in a line of code.
fn imported_rooms(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut rooms = Vec::new();
    for prefix in ["crate::", "tern::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            let names = rest.strip_prefix('{').map_or(rest, |inside| inside.split('}').next().unwrap_or(""));
            let several = rest.starts_with('{');
            for name in names.split(',').take(if several { usize::MAX } else { 1 }) {
                let word: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                rooms.push(word);
            }
        }
    }
    rooms
}

/// No clock, file, socket, thread or chance outside the shell.
#[test]
fn purity_holds() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !WORLDLY.contains(&source.room.as_str())) {
        for (number, line) in source.code.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for (word, why) in BANNED.iter().filter(|(word, _)| code.contains(word)) {
                broken.push(format!("{}:{}: {word}: {why}", source.path.display(), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "impure:\n{}", broken.join("\n"));
}

/// `unwrap` and `expect` stand only where a comment proves that they cannot fail.
#[test]
fn unwraps_are_proven() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !["cli", "main"].contains(&source.room.as_str())) {
        for (number, line) in source.code.iter().enumerate() {
            let bare = line.contains(".unwrap()") || line.contains(".expect(");
            let above = number.checked_sub(1).map_or("", |above| source.code[above].trim_start());
            if bare && !line.contains("//") && !above.starts_with("//") {
                broken.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "unwrap without a proof in a comment:\n{}", broken.join("\n"));
}

/// Each file says what it is, stays short enough to see through, and finishes what it starts.
#[test]
fn files_are_fit_to_read() {
    let mut broken = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if !source.all.first().is_some_and(|line| line.starts_with("//!")) {
            broken.push(format!("{path}: does not open with what it is (`//!`)"));
        }
        if source.all.len() > LINES_MAX {
            broken.push(format!("{path}: {} lines, at most {LINES_MAX}", source.all.len()));
        }
        for (number, line) in source.all.iter().enumerate() {
            if line.contains(concat!("todo", "!(")) || line.contains(concat!("unimplemented", "!(")) {
                broken.push(format!("{path}:{}: unfinished", number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "unfit:\n{}", broken.join("\n"));
}

/// Each test says its purpose in the line before it.
#[test]
fn tests_say_their_purpose() {
    let mut broken = Vec::new();
    let mut files = sources();
    files.extend(rust_files(&root().join("tests")).into_iter().map(|path| read(path, "tests")));
    for source in files {
        for (number, line) in source.all.iter().enumerate() {
            let is_test = line.trim() == "#[test]";
            let above = number.checked_sub(1).map_or("", |above| source.all[above].trim_start());
            if is_test && !above.starts_with("///") {
                broken.push(format!("{}:{}", source.path.display(), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "tests without a purpose:\n{}", broken.join("\n"));
}

/// The room map in the README and the modules of the crate are the rooms, in this order.
#[test]
fn the_map_is_true() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rooms: Vec<&str> = ROOMS.iter().copied().filter(|&room| room != "main").collect();
    assert_eq!(modules, rooms, "src/lib.rs and the rooms of this test differ");

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut rest = readme.split("## The rooms").nth(1).expect("README.md has a part `## The rooms`");
    for room in ROOMS {
        let line = format!("`{room}`");
        let at = rest.find(&line).unwrap_or_else(|| panic!("README.md: room {line} missing or out of order"));
        rest = &rest[at + line.len()..];
    }
}

/// The top level holds exactly what the project's shape says.
#[test]
fn top_level_is_kept() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "boards",
        "cross",
        "systemd",
        "tests",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "target",
        "rustfmt.toml",
        "clippy.toml",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "`{name}` does not belong at the top level");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let files = rust_files(&src).into_iter().map(|path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        let room = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
        read(path, &room)
    });
    files.collect()
}

fn read(path: PathBuf, room: &str) -> Source {
    let all: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let is_test = path.components().any(|part| part.as_os_str() == "tests")
        || path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .is_some_and(|stem| stem.ends_with("_test") || stem == "tests" || stem == "testing");
    let code = all.iter().take_while(|line| !is_test && !line.starts_with("#[cfg(test)]")).cloned().collect();
    Source { path, room: room.to_owned(), code, all }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
