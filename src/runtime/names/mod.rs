//! From a host's name to its addresses, `board1.local` included: the C library of a static binary knows no multicast DNS.
//!
//! A name that ends in `.local` is looked for in /etc/hosts, then on the links themselves, for two seconds at most, and at
//! last, as all others are at once, where the system looks. Everything here blocks: the runtime asks by `lookup_aside`.

mod message;
mod multicast;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// A hosts file larger than this is not looked at.
const HOSTS_BYTES_MAX: u64 = 1 << 20;

/// All addresses of `host`, with `port`. Blocks; for the command line and for threads that nobody waits for.
pub fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if is_link_local(host) {
        let mut found = hosts(host);
        if found.is_empty() {
            found = multicast::ask(host)?;
        }
        if !found.is_empty() {
            return Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect());
        }
    }
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// The same on a thread of its own.
pub async fn lookup_aside(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    tokio::task::spawn_blocking(move || lookup(&host, port)).await.map_err(io::Error::other)?
}

/// RFC 6762: names below `local.` are for the link to answer.
fn is_link_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let suffix = host.len().checked_sub(".local".len()).and_then(|at| host.get(at..));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(".local")) && host.len() > ".local".len()
}

fn hosts(host: &str) -> Vec<IpAddr> {
    const PATH: &str = "/etc/hosts";
    let is_small = std::fs::metadata(PATH).is_ok_and(|metadata| metadata.len() <= HOSTS_BYTES_MAX);
    let text = if is_small { std::fs::read_to_string(PATH).unwrap_or_default() } else { String::new() };
    in_hosts(&text, host)
}

/// The addresses in a hosts(5) file.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what ends in the label `local` is asked for on the links.
    #[test]
    fn suffix() {
        for name in ["board1.local", "Board1.LOCAL", "a.b.local."] {
            assert!(is_link_local(name), "{name}");
        }
        for name in ["", "local", ".local", "board1", "board1.locale", "board1.local.lan", "xlocal", "ü.loca"] {
            assert!(!is_link_local(name), "{name}");
        }
    }

    /// Comments, several names in a line and several lines of a name, as hosts(5) has them.
    #[test]
    fn hosts_file() {
        let text =
            "127.0.0.1 localhost\n# 10.0.0.9 a.local\n10.0.0.1\ta.local b.local # c.local\nfe80::1 A.local\nx a.local";
        assert_eq!(in_hosts(text, "a.local."), ["10.0.0.1".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(in_hosts(text, "b.local").len(), 1);
        assert!(in_hosts(text, "c.local").is_empty());
    }

    /// Addresses and this machine's own name need no question to the link.
    #[test]
    fn others() {
        assert_eq!(lookup("127.0.0.1", 7).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert!(lookup("localhost", 7).unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
