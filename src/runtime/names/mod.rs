//! From a host's name to its addresses, `board1.local` included: the C library of a static binary knows no multicast DNS.
//!
//! A name that ends in `.local` is looked for in /etc/hosts, then on the links themselves, for two seconds at most, and at
//! last, as all others are at once, where the system looks. Some networks have name servers that know such names, so that
//! they are asked, too; but one that is silent costs five seconds each time, so that after such a silence the system is
//! asked for no `.local` name for a minute. Only the first look-up of a minute pays for a router that is off.
//!
//! Everything here blocks: the runtime asks by `lookup_aside`. Two look-ups run at once, whoever waits for the next place
//! takes no thread, and a place is free when its thread is, not when its asker gave up: look-ups never take all of the
//! runtime's blocking threads.

mod message;
mod multicast;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// A hosts file larger than this is not looked at.
const HOSTS_BYTES_MAX: u64 = 1 << 20;

/// Look-ups that run at once; fewer than the runtime has blocking threads.
pub(super) const LOOKUPS_MAX: usize = 2;
static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);

/// The system knows nothing after longer than this: its name servers are silent.
const SLOW: Duration = Duration::from_secs(1);

/// How long it is not asked for `.local` names then.
const SILENT: Duration = Duration::from_secs(60);
static SILENCE: Mutex<Silence> = Mutex::new(Silence(None));

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
        return at_last(host, port);
    }
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// The same on a thread of its own; `LOOKUPS_MAX` at once, the others wait in line.
pub async fn lookup_aside(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    aside(&LOOKUPS, move || lookup(&host, port)).await?
}

/// Does a job on a thread when there is a place for it, which is taken until the job is done: nothing cancels a thread.
async fn aside<T: Send + 'static>(
    places: &'static Semaphore,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let place = places.acquire().await.map_err(io::Error::other)?;
    let job = move || {
        let _place = place;
        job()
    };
    tokio::task::spawn_blocking(job).await.map_err(io::Error::other)
}

/// Asks the system for a name that the links do not know. The error is the same whether it was asked or not, so that who
/// tries again and again has no news to tell.
fn at_last(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let silence = || SILENCE.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = Instant::now();
    if silence().is_over(asked) {
        let found: Vec<_> = (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        silence().learn(asked, Instant::now(), !found.is_empty());
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "nobody in this network answers to that name: is its board on?"))
}

/// Since when the system's name servers are silent.
struct Silence(Option<Instant>);

impl Silence {
    /// True when the system may be asked. One asker finds out whether a silence is over, the others do without.
    fn is_over(&mut self, now: Instant) -> bool {
        let is_over = self.0.is_none_or(|since| now.duration_since(since) >= SILENT);
        if is_over {
            self.0 = self.0.map(|_| now);
        }
        is_over
    }

    fn learn(&mut self, asked: Instant, now: Instant, is_known: bool) {
        let is_slow = now.duration_since(asked) > SLOW;
        self.0 = (is_slow && !is_known).then_some(now);
    }
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
    use std::task::Poll;

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

    /// Who gives up waiting does not free the place of a thread that still works, and who waits takes no thread.
    #[test]
    fn places() {
        static PLACES: Semaphore = Semaphore::const_new(1);
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let given_up = aside(&PLACES, move || finished.recv());
            let mut given_up = Box::pin(given_up);
            assert!(std::future::poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context).is_pending())).await);
            drop(given_up);
            assert_eq!(PLACES.available_permits(), 0);
            let mut next = Box::pin(aside(&PLACES, || 7));
            assert!(std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await);
            assert_eq!(tokio::task::spawn_blocking(|| 3).await.unwrap(), 3, "the other thread is free for others");
            finish.send(()).unwrap();
            assert_eq!(next.await.unwrap(), 7);
        });
        assert_eq!(PLACES.available_permits(), 1);
    }

    /// A silent system is left alone for a minute, then asked by one; a quick "no" and a slow "yes" are no silence.
    #[test]
    fn silence() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence(None);
        assert!(silence.is_over(at(0)) && silence.is_over(at(0)));
        silence.learn(at(0), at(0), false);
        silence.learn(at(0), at(5), true);
        assert!(silence.is_over(at(5)));
        silence.learn(at(5), at(10), false);
        assert!(!silence.is_over(at(10)) && !silence.is_over(at(69)));
        assert!(silence.is_over(at(70)) && !silence.is_over(at(70)));
        silence.learn(at(70), at(70), false);
        assert!(silence.is_over(at(71)));
    }

    /// Addresses and this machine's own name need no question to the link.
    #[test]
    fn others() {
        assert_eq!(lookup("127.0.0.1", 7).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert!(lookup("localhost", 7).unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
