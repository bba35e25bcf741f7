//! Listening sockets: bound early, so that a port that is taken is said before anything else happens; accepting only
//! when the node is ready.
//!
//! Each socket's kernel buffers are set from the memory table when it is accepted, so that they are counted. When every
//! place is taken, a new connection is accepted and closed at once: its client sees an end, not a hang.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection;
use super::shell::Shell;
use crate::config::Endpoint;
use crate::engine::Door;
use crate::limits::{KERNEL_HTTP_SOCKET_BYTES_MAX, KERNEL_MQTT_SOCKET_BYTES_MAX};
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
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{host}:{port} is already in use: stop the program that listens there or choose another port")
        }
        io::ErrorKind::PermissionDenied => format!("{host}:{port} may not be used: ports below 1024 need privileges"),
        io::ErrorKind::AddrNotAvailable => format!("{host}:{port} is not an address of this machine"),
        _ => format!("cannot listen on {host}:{port}: {error}"),
    };
    let address = resolve(host, port).map_err(explain)?;
    let socket = open(address).map_err(explain)?;
    let address = socket.local_addr().map_err(explain)?;
    Ok(Bound { listener, address, socket })
}

/// Start-up only, before any door is open: the one place where a name is looked up on this thread.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
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

fn admit(shell: &Rc<RefCell<Shell>>, stream: TcpStream, peer: SocketAddr, listener: Listener, admission: &Admission) {
    // Half of what the kernel is to hold: it doubles what is set.
    let wanted = match listener {
        Listener::Kafka(_) => admission.buffers_wanted_bytes,
        Listener::Mqtt(_) => admission.buffers_wanted_bytes.min(KERNEL_MQTT_SOCKET_BYTES_MAX / 2),
        Listener::Http => admission.buffers_wanted_bytes.min(KERNEL_HTTP_SOCKET_BYTES_MAX / 2),
    };
    let buffers = admission.accounts.socket_buffers(wanted);
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
    set_option(stream, libc::SO_RCVBUF, buffers.receive_bytes)?;
    set_option(stream, libc::SO_SNDBUF, buffers.send_bytes)
}

fn set_option(stream: &TcpStream, option: libc::c_int, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let (pointer, size) = (&raw const value, size_of_val(&value) as libc::socklen_t);
    // SAFETY: the descriptor is open, and the pointer and the size are those of `value`.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, option, pointer.cast(), size) };
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
