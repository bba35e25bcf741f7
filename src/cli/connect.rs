//! Connections to a node's doors, and what to say when there is none: which address, and what decides it on both sides.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::runtime::lookup;

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same when somebody waits at a prompt.
pub const PROMPT: Duration = Duration::from_millis(500);

/// A door of a node, for people.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// What is looked for.
    pub name: &'static str,
    /// The node's configuration key that says where it is.
    pub key: &'static str,
    /// This command's option that says where to look.
    pub option: &'static str,
    /// The port when an address names none.
    pub port: u16,
}

/// The Kafka door.
pub const KAFKA: Door = Door { name: "broker", key: "listeners", option: "--bootstrap", port: 9092 };

/// The HTTP door.
pub const HTTP: Door = Door { name: "status page", key: "http.listener", option: "--http", port: 8080 };

/// The ZooKeeper door.
pub const ZOOKEEPER: Door = Door { name: "ZooKeeper server", key: "clientPort", option: "--server", port: 2181 };

/// Connects to `host:port`, or to the door's usual port of `host`, within `patience` or ten seconds.
pub fn connect(address: &str, door: Door, patience: Option<Duration>) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in resolve(address, door)? {
        match TcpStream::connect_timeout(&address, patience.unwrap_or(PATIENCE)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(address, door, &last))
}

fn resolve(address: &str, door: Door) -> io::Result<Vec<SocketAddr>> {
    let with_port = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = with_port.unwrap_or((address, door.port));
    lookup(host.trim_matches(['[', ']']), port).map_err(|error| {
        let option = door.option;
        io::Error::new(error.kind(), format!("{option} {address}: no such host ({error}); allowed: HOST:PORT"))
    })
}

fn unreachable(address: &str, door: Door, error: &io::Error) -> io::Error {
    let Door { name, key, option, .. } = door;
    let sentence = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "no {name} at {address}: connection refused; is a node running there (tern serve)? Its key {key} says where \
             it listens, {option} where this command looks"
        ),
        io::ErrorKind::TimedOut => format!(
            "no {name} at {address}: no answer; is the host up, and does its firewall let the port through? {option} \
             says where this command looks"
        ),
        _ => format!("no {name} at {address}: {error}; {option} says where this command looks"),
    };
    io::Error::new(error.kind(), sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A closed port is told with the address and with what decides it on both sides.
    #[test]
    fn refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let sentence = connect(&address, KAFKA, None).unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("no broker at {address}: connection refused; ")), "{sentence}");
        assert!(sentence.contains("listeners") && sentence.contains("--bootstrap"), "{sentence}");
    }

    /// The door's usual port stands in for a missing one, in every notation.
    #[test]
    fn default_port() {
        let port = |text| resolve(text, KAFKA).unwrap()[0].port();
        assert_eq!((port("127.0.0.1"), port("127.0.0.1:7"), port("[::1]"), port("[::1]:7")), (9092, 7, 9092, 7));
    }
}
