//! Mistakes that stop a node before it touches anything: file, line, value, and what is allowed.

use super::{text, text_with_myid};
use tern::config::{Facts, Kind, Layers, keys, resolve};

/// The exact sentences.
#[test]
fn sentences() {
    for (lines, expected) in [
        (
            "num.partitions=x",
            "t.properties line 1: num.partitions=x: it is not a whole number; allowed: a whole number from 1 to 2147483647",
        ),
        (
            "\nnum.partitions=0",
            "t.properties line 2: num.partitions=0: it is out of range; allowed: a whole number from 1 to 2147483647",
        ),
        (
            "delete.topic.enable=yes",
            "t.properties line 1: delete.topic.enable=yes: it is neither true nor false; allowed: true or false",
        ),
        (
            "log.level=loud",
            "t.properties line 1: log.level=loud: it is not one of the words; allowed: error, warn, info, debug, trace",
        ),
        (
            "memory.budget=64 parsecs",
            "t.properties line 1: memory.budget=64 parsecs: it is not a size; allowed: 16 MiB to 2 GiB, as bytes or with KiB, MiB, GiB",
        ),
        (
            "memory.budget=8MiB",
            "t.properties line 1: memory.budget=8MiB: it is out of range; allowed: 16 MiB to 2 GiB, as bytes or with KiB, MiB, GiB",
        ),
        (
            "listeners=9092",
            "t.properties line 1: listeners=9092: \"9092\" is no listener; allowed: NAME://HOST:PORT[,NAME://HOST:PORT...]",
        ),
        (
            "listeners=SSL://:9092",
            "t.properties line 1: listeners=SSL://:9092: the listener SSL asks for SSL, which this version does not speak; allowed: PLAINTEXT",
        ),
        (
            "listeners=IN://:9092",
            "t.properties line 1: listeners=IN://:9092: the listener IN has no protocol; allowed: an entry IN:PLAINTEXT in listener.security.protocol.map",
        ),
        (
            "listeners=IN://:9092\nlistener.security.protocol.map=IN:SASL_SSL",
            "t.properties line 2: listener.security.protocol.map=IN:SASL_SSL: the listener IN asks for SASL_SSL, which this version does not speak; allowed: PLAINTEXT",
        ),
        (
            "listeners=PLAINTEXT://:1,PLAINTEXT://:2",
            "t.properties line 1: listeners=PLAINTEXT://:1,PLAINTEXT://:2: PLAINTEXT stands twice; allowed: each name once",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:1",
            "t.properties line 1: advertised.listeners=PLAINTEXT://0.0.0.0:1: nobody can dial 0.0.0.0:1; allowed: a host name or address that clients reach",
        ),
        (
            "advertised.listeners=OUT://a:1",
            "t.properties line 1: advertised.listeners=OUT://a:1: there is no listener OUT; allowed: PLAINTEXT",
        ),
        (
            "inter.broker.listener.name=IN",
            "t.properties line 1: inter.broker.listener.name=IN: there is no listener of that name; allowed: PLAINTEXT",
        ),
        (
            "mqtt.listeners=ssl://:8883",
            "t.properties line 1: mqtt.listeners=ssl://:8883: \"ssl://:8883\" is no listener; allowed: tcp://HOST:PORT[,tcp://HOST:PORT...] or none",
        ),
        ("http.listener=8080", "t.properties line 1: http.listener=8080: it is no address; allowed: HOST:PORT or none"),
        (
            "http.listener=127.0.0.1:9092",
            "t.properties line 1: http.listener and listeners both want port 9092 (127.0.0.1:9092 and 127.0.0.1:9092); allowed: a port of its own for each",
        ),
        (
            "log.cleanup.policy=burn",
            "t.properties line 1: log.cleanup.policy=burn: it is no policy; allowed: delete, compact, or delete,compact",
        ),
        (
            "create.topics=a:1",
            "t.properties line 1: create.topics=a:1: \"a:1\" is no topic; allowed: NAME:PARTITIONS:REPLICAS[:delete|compact][,...]",
        ),
        (
            "create.topics=a/b:1:1",
            "t.properties line 1: create.topics=a/b:1:1: \"a/b\" is no topic's name; allowed: NAME:PARTITIONS:REPLICAS[:delete|compact][,...]",
        ),
        (
            "server.1=a:2888\nbroker.id=1",
            "t.properties line 1: server.1=a:2888: it names no member; allowed: HOST:2888:3888[:observer] or HOST:2888:3888;CLIENTPORT, an IPv6 address in brackets",
        ),
        (
            "server.1=a:1:2\nserver.2=a:2:3\nbroker.id=1",
            "t.properties line 2: server.2=a:2:3: server.1 has the same host and port; allowed: ports of its own for each member of a host",
        ),
        (
            "server.1=a:1:2;3\nclientPort=4\nbroker.id=1",
            "t.properties line 2: clientPort=4: this node's server line says 3; allowed: the same port in both places",
        ),
        (
            "dataDir=/a\nlog.dirs=/a",
            "t.properties line 1: dataDir=/a: it is log.dirs of t.properties line 2 as well; allowed: two different directories",
        ),
        (
            "minSessionTimeout=9\nmaxSessionTimeout=8",
            "t.properties line 2: maxSessionTimeout=8: the shortest session, 9 ms, is longer than the longest, 8 ms; allowed: minSessionTimeout below maxSessionTimeout",
        ),
        ("=x", "t.properties line 1: \"=x\" has no key; allowed: KEY=VALUE"),
    ] {
        let outcome = text(lines);
        assert_eq!(outcome.errors, [expected], "{lines}");
        assert!(outcome.config.is_none());
    }
}

/// A node has one number: who said which, and the line to change.
#[test]
fn identity() {
    let lines = "dataDir=/d\nserver.0=a:1:2\nserver.1=b:1:2\n";
    let of = |more: &str, myid: Option<&str>| text_with_myid(&format!("{lines}{more}"), myid).errors;
    assert_eq!(
        of("broker.id=0", Some("1")),
        [
            "t.properties line 4 says broker.id=0 and /d/myid says myid=1: a node has one number; change t.properties line 4 to broker.id=1"
        ]
    );
    assert_eq!(
        of("broker.id=1", Some("2")),
        [
            "t.properties line 4 says broker.id=1 and /d/myid says myid=2: a node has one number; change /d/myid to myid=1"
        ]
    );
    assert_eq!(
        of("broker.id=7", None),
        ["t.properties line 4: broker.id=7: there is no line server.7; the lines there are: server.0, server.1"]
    );
    assert_eq!(
        of("", None),
        [
            "which member is this node? There is no file /d/myid and no broker.id; write one of the numbers of server.0, server.1 into /d/myid"
        ]
    );
    assert_eq!(
        of("", Some("one\n")),
        ["/d/myid: \"one\" is not a node's number; allowed: one line with the N of this node's server.N line",]
    );
    assert_eq!(of("broker.id=-1", Some("1")), Vec::<String>::new());
}

/// Every key that has a type is looked at: garbage in it is an error that names it.
#[test]
fn every_typed_key() {
    for key in keys::used().iter().filter(|key| key.kind != Kind::Text) {
        let outcome = text(&format!("{}=garbage", key.name));
        let expected = format!("t.properties line 1: {}=garbage: ", key.name);
        assert_eq!(outcome.errors.len(), 1, "{}: {:?}", key.name, outcome.errors);
        assert!(outcome.errors[0].starts_with(&expected), "{}: {:?}", key.name, outcome.errors);
    }
}

/// All mistakes are told at once, whichever layer they are in.
#[test]
fn all_at_once() {
    let mut layers = Layers::default();
    layers.add_file("a.env", "KAFKA_NUM_PARTITIONS=none\n");
    layers.add_environment([("TERN_TICKTIME".to_owned(), "soon".to_owned())]);
    layers.add_set("syncLimit=-3");
    let outcome = resolve(&layers, &Facts::default());
    assert_eq!(outcome.errors.len(), 3, "{:?}", outcome.errors);
    for place in [
        "a.env line 1 (KAFKA_NUM_PARTITIONS): num.partitions=none: ",
        "environment variable TERN_TICKTIME: tickTime=soon: ",
        "--set: syncLimit=-3: ",
    ] {
        assert!(outcome.errors.iter().any(|error| error.starts_with(place)), "{place} {:?}", outcome.errors);
    }
}
