//! What the service manager is told: one datagram each to `$NOTIFY_SOCKET`, nothing where there is none.
//!
//! Follows sd_notify(3) and sd_watchdog_enabled(3). A socket name that begins with `@` is an abstract one. The watchdog is
//! fed by a timer of the runtime's own thread: when that thread hangs, systemd starts the node anew.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The doors accept.
pub const READY: &str = "READY=1\nSTATUS=serving";

/// The ports are bound and the status page answers; the other doors open once a majority of the members is there.
pub const READY_WITHOUT_QUORUM: &str = "READY=1\nSTATUS=waiting for a majority of the members; then the doors open";

/// The configuration is being read again; `READY` follows.
pub const RELOADING: &str = "RELOADING=1";

/// That is done.
pub const RELOADED: &str = "READY=1";

/// A clean stop has begun.
pub const STOPPING: &str = "STOPPING=1\nSTATUS=handing over what this node leads";

/// The runtime's thread turns.
const WATCHDOG: &str = "WATCHDOG=1";

/// Sends `state` to the service manager, if one listens. A service manager that does not is no reason to fail.
pub fn notify(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(std::path::Path::new(&*String::from_utf8_lossy(name))),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?; // nobody waits for a service manager that is busy
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell systemd: {state}");
    }
}

/// Tells the watchdog, twice in each of its periods, that the thread which this runs on still turns; ends at once where
/// no watchdog waits.
pub async fn feed_watchdog() {
    let Some(period) = watchdog_period(|name| env::var(name).ok(), std::process::id()) else { return };
    let mut timer = tokio::time::interval(period / 2);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        timer.tick().await;
        notify(WATCHDOG);
    }
}

/// `$WATCHDOG_USEC`, unless `$WATCHDOG_PID` names another process.
fn watchdog_period(variable: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    if variable("WATCHDOG_PID").is_some_and(|text| text.parse() != Ok(process)) {
        return None;
    }
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros >= 2000).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A period counts for the process that it is meant for, and nonsense means no watchdog.
    #[test]
    fn period() {
        let of = |usec: Option<&str>, pid: Option<&str>| {
            let find = |name: &str| if name == "WATCHDOG_USEC" { usec } else { pid }.map(str::to_owned);
            watchdog_period(find, 7)
        };
        assert_eq!(of(Some("30000000"), Some("7")), Some(Duration::from_secs(30)));
        assert_eq!(of(Some("30000000"), None), Some(Duration::from_secs(30)));
        assert_eq!(of(Some("30000000"), Some("8")), None);
        assert_eq!(of(Some("30000000"), Some("x")), None);
        assert_eq!((of(Some("0"), None), of(Some("-1"), None), of(None, None)), (None, None, None));
    }
}
