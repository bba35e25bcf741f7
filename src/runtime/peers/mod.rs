//! Connections between the members of an ensemble: dialed again and again, proven at both ends, sealed message by message.
//!
//! A member sends on the connections that it has dialed and receives on those that it has accepted. What happens here is
//! told to the node as `PeerUp`, `PeerDown` and `PeerMessage`; what the node says leaves by `Peers::send`.
//!
//! Bounds: `PEER_QUEUE_MESSAGES_MAX` messages for one member and channel, the next one is dropped and counted; the bytes
//! are under the senders' grants. A receiver without memory for a message stops reading until there is some. Strangers
//! cost `PEER_STRANGERS_MAX` tasks of `HELLO_BYTES` each at a port, for five seconds at most, and get no byte.

mod accept;
mod dial;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::listen;
use super::shell::{Bell, Shell};
use crate::config::{Config, Endpoint, is_loopback};
use crate::effect::{CHANNELS, Channel, PeerAddress};
use crate::limits::PEER_QUEUE_MESSAGES_MAX;
use crate::memory::{Account, Grant};
use crate::metrics::METRICS;
use crate::node::peers::{Nonce, Secret};
use crate::types::NodeId;

/// How long a handshake may take, and connecting before it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is sent and not acknowledged for so long ends a connection; Wi-Fi stalls for less.
const UNACKNOWLEDGED_MS_MAX: usize = 5000;

/// An empty message is sent when nothing else was for so long.
const KEEP_ALIVE: Duration = Duration::from_millis(1000);

/// Silence after which an accepted connection is closed.
const SILENCE_MAX: Duration = Duration::from_millis(10_000);

/// A member that was heard of so lately is there: nobody else takes its place.
const PRESENT: Duration = Duration::from_millis(2500);

/// The same words about the same address are not repeated for so long.
const REPEATED: Duration = Duration::from_secs(60);

/// SO_SNDBUF or SO_RCVBUF of a connection, by channel.
const SOCKET_BYTES: [usize; 2] = [64 * 1024, 256 * 1024];

/// What all peer tasks know.
pub struct Identity {
    /// This node.
    me: NodeId,
    /// Tells this process from another one of the same number; never 0.
    life: u16,
    secret: Secret,
    account: Account,
}

/// One channel to one member.
struct Link {
    peer: NodeId,
    channel: Channel,
    address: RefCell<PeerAddress>,
    queue: RefCell<VecDeque<(Bytes, Grant)>>,
    bell: Bell,
    /// Messages are taken.
    is_up: Cell<bool>,
    /// The member has left: the task shall end.
    is_over: Cell<bool>,
}

/// An accepted connection, as others see it.
struct Reader {
    /// Rung when it shall end.
    bell: Rc<Bell>,
    life: u16,
    /// When it was last heard of; gone with its task.
    heard: Weak<Cell<Instant>>,
}

/// All of them.
pub struct Peers {
    identity: Rc<Identity>,
    links: BTreeMap<(NodeId, Channel), Rc<Link>>,
    /// Links whose tasks are to be started.
    fresh: Vec<Rc<Link>>,
    /// The task that reads from a member; a newer connection ends an older one.
    readers: BTreeMap<(NodeId, Channel), Reader>,
    /// Who was last turned away, with which words, and when.
    turned_away: Option<(Option<IpAddr>, String, Instant)>,
    /// Rung when there are fresh links.
    pub changed: Rc<Bell>,
}

impl Peers {
    /// Nobody is known yet.
    pub fn new(me: NodeId, secret: Secret, account: Account) -> Peers {
        let life = nonce().ok().and_then(|nonce| nonce.first_chunk().map(|word| u16::from_be_bytes(*word)));
        let identity = Rc::new(Identity { me, life: life.unwrap_or_default().max(1), secret, account });
        let (links, readers) = (BTreeMap::new(), BTreeMap::new());
        Peers { identity, links, fresh: Vec::new(), readers, turned_away: None, changed: Rc::default() }
    }

    /// Queues a message; dropped when the member is not connected or its queue is full.
    pub fn send(&mut self, to: NodeId, channel: Channel, bytes: Bytes, grant: Grant) {
        let Some(link) = self.links.get(&(to, channel)).filter(|link| link.is_up.get()) else { return };
        let mut queue = link.queue.borrow_mut();
        if queue.len() >= PEER_QUEUE_MESSAGES_MAX {
            METRICS.peers.messages_dropped.inc();
            return;
        }
        METRICS.peers.bytes_out.add(bytes.len() as u64);
        queue.push_back((bytes, grant));
        drop(queue);
        link.bell.ring();
    }

    /// Dials these and no others.
    pub fn set(&mut self, wanted: Vec<PeerAddress>) {
        self.links.retain(|(node, _), link| {
            let stays = wanted.iter().any(|address| address.node == *node);
            if !stays {
                link.is_over.set(true);
                link.bell.ring();
            }
            stays
        });
        self.readers.retain(|(node, _), reader| {
            let stays = wanted.iter().any(|address| address.node == *node);
            if !stays {
                reader.bell.ring();
            }
            stays
        });
        for address in wanted {
            for channel in CHANNELS {
                self.want(address.clone(), channel);
            }
        }
        self.changed.ring();
    }

    fn want(&mut self, address: PeerAddress, channel: Channel) {
        if let Some(link) = self.links.get(&(address.node, channel)) {
            link.address.replace(address);
            return;
        }
        let link = Rc::new(Link {
            peer: address.node,
            channel,
            address: RefCell::new(address),
            queue: RefCell::default(),
            bell: Bell::default(),
            is_up: Cell::new(false),
            is_over: Cell::new(false),
        });
        self.links.insert((link.peer, channel), link.clone());
        self.fresh.push(link);
    }

    fn is_known(&self, node: NodeId) -> bool {
        self.links.keys().any(|(known, _)| *known == node)
    }

    /// True while another process with that number is there.
    fn is_taken(&self, node: NodeId, channel: Channel, life: u16) -> bool {
        self.readers.get(&(node, channel)).is_some_and(|reader| {
            ![0, life].contains(&reader.life)
                && life != 0
                && reader.heard.upgrade().is_some_and(|heard| heard.get().elapsed() < PRESENT)
        })
    }

    /// A connection from a member is proven: one that it had before ends. The bell says when this one shall, the cell
    /// wants to know when it was heard of.
    fn reading(&mut self, peer: NodeId, channel: Channel, life: u16) -> (Rc<Bell>, Rc<Cell<Instant>>) {
        let (bell, heard) = (Rc::<Bell>::default(), Rc::new(Cell::new(Instant::now())));
        let reader = Reader { bell: bell.clone(), life, heard: Rc::downgrade(&heard) };
        if let Some(older) = self.readers.insert((peer, channel), reader) {
            older.bell.ring();
        }
        (bell, heard)
    }

    /// True when this is worth a word: boards that are turned away come again every second.
    fn is_news(&mut self, from: Option<IpAddr>, sentence: &str) -> bool {
        let last = self.turned_away.as_ref();
        let is_old = last.is_some_and(|(ip, said, at)| *ip == from && said == sentence && at.elapsed() < REPEATED);
        if !is_old {
            self.turned_away = Some((from, sentence.to_owned(), Instant::now()));
        }
        !is_old
    }
}

/// The two bound ports.
pub struct Ports(Vec<(Channel, TcpListener)>);

impl Ports {
    /// True for a node alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Binds this node's ports: none when it is alone. The error is a sentence.
pub fn bind(config: &Config) -> Result<Ports, String> {
    let Some(own) = config.ensemble.iter().find(|member| member.id == config.node_id) else {
        return Ok(Ports(Vec::new()));
    };
    if config.ensemble.len() < 2 {
        return Ok(Ports(Vec::new()));
    }
    // On one machine its loopback; otherwise every interface, because a board's own name often leads to its loopback.
    let is_local = config.ensemble.iter().all(|member| is_loopback(&member.host));
    let host = match &config.peers.bind {
        Some(host) => host,
        None if is_local => own.host.as_str(),
        None => "",
    };
    let open = |channel: Channel, port: u16| {
        listen::bind_socket(&Endpoint { host: host.to_owned(), port }).map(|(socket, _)| (channel, socket))
    };
    Ok(Ports(vec![open(Channel::Quorum, own.quorum_port)?, open(Channel::Data, own.data_port)?]))
}

/// Reads the secret; the error is a sentence.
pub fn read_secret(config: &Config) -> Result<Secret, String> {
    let Some(path) = &config.peers.secret_file else { return Ok(Secret::default()) };
    let name = path.display();
    let wrong = |what: String| format!("tern.peer.secret.file={name}: {what}");
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    if bytes.trim_ascii().len() < SECRET_BYTES_MIN || bytes.len() > SECRET_BYTES_MAX {
        return Err(wrong(format!(
            "it has {} bytes; allowed: {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}, for instance from \
             `head -c 32 /dev/urandom | base64`",
            bytes.len()
        )));
    }
    Ok(Secret::new(&bytes))
}

const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 4096;

/// Starts accepting and dialing.
pub fn start(shell: &Rc<RefCell<Shell>>, ports: Ports) {
    for (channel, socket) in ports.0 {
        spawn_local(accept::accept(shell.clone(), socket, channel));
    }
    spawn_local(start_dialing(shell.clone()));
}

async fn start_dialing(shell: Rc<RefCell<Shell>>) {
    let Some(changed) = shell.borrow().peers.as_ref().map(|peers| peers.changed.clone()) else { return };
    loop {
        let (fresh, identity) = match &mut shell.borrow_mut().peers {
            Some(peers) => (std::mem::take(&mut peers.fresh), peers.identity.clone()),
            None => return,
        };
        for link in fresh {
            spawn_local(dial::keep(shell.clone(), link, identity.clone()));
        }
        std::future::poll_fn(|context| changed.poll(context)).await;
    }
}

/// Small writes leave at once, and what nobody acknowledges ends the connection.
fn prepare(stream: &TcpStream, channel: Channel) -> std::io::Result<()> {
    let bytes = SOCKET_BYTES.get(channel as usize).copied().unwrap_or(64 * 1024);
    stream.set_nodelay(true)?;
    listen::set_option(stream, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)?;
    listen::set_option(stream, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes)?;
    listen::set_option(stream, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
}

/// Chance that nobody can foretell.
fn nonce() -> std::io::Result<Nonce> {
    let mut nonce = [0; 32];
    // SAFETY: the pointer and the length are those of `nonce`.
    let got = unsafe { libc::getrandom(nonce.as_mut_ptr().cast(), nonce.len(), 0) };
    if got == nonce.len() as isize { Ok(nonce) } else { Err(std::io::Error::last_os_error()) }
}

fn address_of(stream: &TcpStream) -> Option<IpAddr> {
    stream.peer_addr().ok().map(|address| address.ip())
}

/// For messages to people; the descriptor tells connections of one member apart.
fn name_of(stream: &TcpStream) -> String {
    stream.peer_addr().map_or_else(|_| format!("descriptor {}", stream.as_raw_fd()), |address| address.to_string())
}
