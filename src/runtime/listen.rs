//! Listening sockets: bound early, so that a port that is taken is said before anything else happens; accepting only
//! when the node is ready.
//!
//! Each socket's kernel buffers are set from the memory table when it is accepted, so that they are counted. When every
//! place is taken, a new connection is accepted and closed at once: its client sees an end, not a hang.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection;
use super::shell::Shell;
use crate::config::Endpoint;
use crate::engine::Door;
use crate::limits::{KERNEL_HTTP_SOCKET_BYTES_MAX, KERNEL_MQTT_SOCKET_BYTES_MAX, KERNEL_ZOOKEEPER_SOCKET_BYTES_MAX};
use crate::memory::{Accounts, SocketBuffers};
use crate::metrics::{DoorMetrics, METRICS};
use crate::node::Listener;

/// Connections waiting to be accepted; more are the kernel's to refuse.
const BACKLOG: u32 = 1024;

/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket and the door behind it.
pub struct Bound {
    /// Where connections go.
    pub listener: Listener,
    /// The address that was really bound, with its port when the configuration said 0.
    pub address: SocketAddr,
    socket: TcpListener,
}

/// Binds `host:port`. The error is a sentence that names the address and says what to do.
pub fn bind(listener: Listener, endpoint: &Endpoint) -> Result<Bound, String> {
    bind_socket(endpoint).map(|(socket, address)| Bound { listener, address, socket })
}

/// The same without a door behind it.
pub fn bind_socket(endpoint: &Endpoint) -> Result<(TcpListener, SocketAddr), String> {
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{endpoint} is already in use: stop the program that listens there or choose another port")
        }
        io::ErrorKind::PermissionDenied => format!("{endpoint} may not be used: ports below 1024 need privileges"),
        io::ErrorKind::AddrNotAvailable => format!("{endpoint} is not an address of this machine"),
        _ => format!("cannot listen on {endpoint}: {error}"),
    };
    let socket = match host {
        "" | "*" => open_all(port).map_err(explain)?,
        host => resolve(host, port).and_then(open).map_err(explain)?,
    };
    let address = socket.local_addr().map_err(explain)?;
    Ok((socket, address))
}

/// Start-up only, before any door is open: the one place where a name is looked up on this thread. Of a name with
/// several addresses an IPv4 one counts, as in Java.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first()).copied().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// All interfaces: both protocols by one socket, or IPv4 alone where the kernel has no other.
fn open_all(port: u16) -> io::Result<TcpListener> {
    let both = open((Ipv6Addr::UNSPECIFIED, port).into());
    match both {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => open((Ipv4Addr::UNSPECIFIED, port).into()),
        other => other,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() && address.ip().is_unspecified() {
        set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What admission draws from.
#[derive(Clone)]
pub struct Admission {
    /// The memory table's accounts.
    pub accounts: Accounts,
    /// SO_RCVBUF and SO_SNDBUF together, if there is room for so much.
    pub buffers_wanted_bytes: usize,
}

/// Accepts for ever. Runs on the `LocalSet`.
pub async fn accept(shell: Rc<RefCell<Shell>>, bound: Bound, admission: Admission) {
    loop {
        announce_window(&bound, &admission);
        match bound.socket.accept().await {
            Ok((stream, peer)) => admit(&shell, stream, peer, bound.listener, &admission),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(peer = "anyone", %error, "cannot accept connections on {}", bound.address);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Has the next connection begin with the receive buffer that it will get. One that shrinks after it was accepted has
/// promised its peer a window that it does not keep, and where segments are larger than it (64 KiB on the loopback) the
/// peer then sends nothing but probes, five a second.
fn announce_window(bound: &Bound, admission: &Admission) {
    let next = admission.accounts.socket_buffers(admission.wanted_bytes(bound.listener));
    let _ = set_option(&bound.socket, libc::SOL_SOCKET, libc::SO_RCVBUF, next.receive_bytes); // slow, not wrong
}

impl Admission {
    /// Half of what the kernel is to hold for a connection: it doubles what is set.
    fn wanted_bytes(&self, listener: Listener) -> usize {
        match listener {
            Listener::Kafka(_) => self.buffers_wanted_bytes,
            Listener::Mqtt(_) => self.buffers_wanted_bytes.min(KERNEL_MQTT_SOCKET_BYTES_MAX / 2),
            Listener::ZooKeeper => self.buffers_wanted_bytes.min(KERNEL_ZOOKEEPER_SOCKET_BYTES_MAX / 2),
            Listener::Http => self.buffers_wanted_bytes.min(KERNEL_HTTP_SOCKET_BYTES_MAX / 2),
        }
    }
}

fn admit(shell: &Rc<RefCell<Shell>>, stream: TcpStream, peer: SocketAddr, listener: Listener, admission: &Admission) {
    let buffers = admission.accounts.socket_buffers(admission.wanted_bytes(listener));
    if stream.set_nodelay(true).is_err() || set_buffers(&stream, &buffers).is_err() {
        return;
    }
    let admitted = shell.borrow_mut().accepted(stream, listener, buffers.grant);
    match admitted {
        Some((conn, stream, bell)) => {
            door_metrics(listener).connections_accepted.inc();
            tokio::task::spawn_local(connection::serve(shell.clone(), conn, stream, bell));
        }
        None => {
            door_metrics(listener).connections_refused.inc();
            tracing::warn!(peer = %peer, "connection refused: every place in the memory table's line is taken");
        }
    }
}

fn set_buffers(stream: &TcpStream, buffers: &SocketBuffers) -> io::Result<()> {
    set_option(stream, libc::SOL_SOCKET, libc::SO_RCVBUF, buffers.receive_bytes)?;
    set_option(stream, libc::SOL_SOCKET, libc::SO_SNDBUF, buffers.send_bytes)
}

/// Sets an option of a socket.
pub fn set_option(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    let (pointer, size) = (&raw const value, size_of_val(&value) as libc::socklen_t);
    // SAFETY: the descriptor is open, and the pointer and the size are those of `value`.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer.cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn door_metrics(listener: Listener) -> &'static DoorMetrics {
    match listener.door().0 {
        Door::Kafka => &METRICS.kafka,
        Door::Mqtt => &METRICS.mqtt,
        Door::ZooKeeper => &METRICS.zookeeper,
        Door::Http => &METRICS.http,
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All interfaces take both protocols, a name takes one, and a port that is taken is told in a sentence.
    #[test]
    fn binds() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let all = bind(Listener::Http, &Endpoint::new("", 0)).unwrap();
        let port = all.address.port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        if all.address.is_ipv6() {
            assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
        }
        let named = bind(Listener::Http, &Endpoint::new("localhost", 0)).unwrap();
        assert!(named.address.ip().is_loopback());
        let taken = bind(Listener::Http, &Endpoint::new("127.0.0.1", port)).err().unwrap();
        assert!(taken.starts_with(&format!("127.0.0.1:{port} is already in use")), "{taken}");
        let foreign = bind(Listener::Http, &Endpoint::new("192.0.2.1", 0)).err().unwrap();
        assert_eq!(foreign, "192.0.2.1:0 is not an address of this machine");
    }
}
