//! Configurations as people have them: what is accepted, what is told, and the exact words when something is wrong.

mod accepted;
mod hostile;
mod refused;
mod warned;

use tern::config::{Config, Facts, Layers, Outcome, resolve};

/// A fixture by its file name.
fn fixture(name: &str) -> &'static str {
    match name {
        "pi-zoo.cfg" => include_str!("fixtures/pi-zoo.cfg"),
        "pi-server.properties" => include_str!("fixtures/pi-server.properties"),
        "book-zoo.cfg" => include_str!("fixtures/book-zoo.cfg"),
        "onehost-zookeeper.properties" => include_str!("fixtures/onehost-zookeeper.properties"),
        "onehost-server.properties" => include_str!("fixtures/onehost-server.properties"),
        "compose-zoo-1.env" => include_str!("fixtures/compose-zoo-1.env"),
        "compose-kafka-1.env" => include_str!("fixtures/compose-kafka-1.env"),
        other => panic!("no fixture {other}"),
    }
}

/// Resolves fixtures in order, with the file `myid` as given.
fn fixtures(names: &[&str], myid: Option<&str>) -> Outcome {
    let mut layers = Layers::default();
    for name in names {
        layers.add_file(name, fixture(name));
    }
    resolve(&layers, &facts(myid))
}

/// Resolves one text under the name `t.properties`.
fn text(text: &str) -> Outcome {
    text_with_myid(text, None)
}

fn text_with_myid(text: &str, myid: Option<&str>) -> Outcome {
    let mut layers = Layers::default();
    layers.add_file("t.properties", text);
    resolve(&layers, &facts(myid))
}

fn facts(myid: Option<&str>) -> Facts {
    Facts { hostname: "board7".to_owned(), myid: myid.map(str::to_owned) }
}

/// The configuration of an outcome that must have one.
fn good(outcome: Outcome) -> Config {
    assert_eq!(outcome.errors, Vec::<String>::new());
    outcome.config.expect("an outcome without errors has a configuration")
}
