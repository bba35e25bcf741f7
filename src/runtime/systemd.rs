//! Tells systemd that the node is ready or stopping: one datagram to `$NOTIFY_SOCKET`, nothing where there is none.
//!
//! Follows sd_notify(3). A socket name that begins with `@` is an abstract one.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The doors accept.
pub const READY: &str = "READY=1";

/// A clean stop has begun.
pub const STOPPING: &str = "STOPPING=1";

/// Sends `state` to the service manager, if one listens. A service manager that does not is no reason to fail.
pub fn notify(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(std::path::Path::new(&*String::from_utf8_lossy(name))),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell systemd: {state}");
    }
}
