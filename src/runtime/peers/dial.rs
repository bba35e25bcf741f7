//! One channel to one member: look its name up, connect, prove, send; and again when it ends.
//!
//! The name is looked up at each attempt, on a thread of its own, because a board's address changes with its router. A
//! channel has one look-up under way at most, which it waits for, because nothing ends a look-up early.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{HANDSHAKE_TIMEOUT, Identity, KEEP_ALIVE, Link, name_of, nonce, prepare};
use crate::metrics::METRICS;
use crate::node::Input;
use crate::node::peers::{ACCEPT_BYTES, Dialer, HandshakeError, Sealer};
use crate::runtime::names;
use crate::runtime::shell::Shell;

/// Pauses between attempts grow from the first to the last, each drawn from half of it to all of it.
const PAUSE_MS_MIN: u64 = 50;
const PAUSE_MS_MAX: u64 = 1000;

/// Frames are gathered up to here before they are written.
const GATHERED_BYTES: usize = 32 * 1024;

/// Keeps the channel connected until its member leaves.
pub async fn keep(shell: Rc<RefCell<Shell>>, link: Rc<Link>, identity: Rc<Identity>) {
    let mut pause_ms = PAUSE_MS_MIN;
    let mut said = String::new();
    while !link.is_over.get() {
        match attempt(&link, &identity).await {
            Ok((stream, sealer)) => {
                pause_ms = PAUSE_MS_MIN;
                said.clear();
                serve(&shell, &link, stream, sealer).await;
            }
            Err(sentence) => complain(&link, &sentence, &mut said),
        }
        sleep(Duration::from_millis(pause_ms / 2 + jitter(pause_ms / 2))).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

/// The same complaint is made once.
fn complain(link: &Link, sentence: &str, said: &mut String) {
    if said != sentence {
        let address = link.address.borrow();
        let (peer, host, port) = (link.peer, &address.host, address.port(link.channel));
        tracing::warn!(peer = %peer, "server {peer} at {host}:{port} is not connected: {sentence}");
        sentence.clone_into(said);
    }
}

fn jitter(below: u64) -> u64 {
    let word = nonce().ok().and_then(|nonce| nonce.first_chunk().map(|word| u64::from_le_bytes(*word)));
    word.unwrap_or(0) % below.max(1)
}

async fn attempt(link: &Link, identity: &Identity) -> Result<(TcpStream, Sealer), String> {
    let (host, port) = {
        let address = link.address.borrow();
        (address.host.clone(), address.port(link.channel))
    };
    // Not under the timeout: the thread would go on, and the next attempt would ask for another one.
    let addresses = names::lookup_aside(&host, port).await.map_err(|error| error.to_string())?;
    let connected = timeout(HANDSHAKE_TIMEOUT, connect(link, identity, &addresses)).await;
    connected.unwrap_or_else(|_| Err("it does not answer".to_owned()))
}

async fn connect(link: &Link, identity: &Identity, addresses: &[SocketAddr]) -> Result<(TcpStream, Sealer), String> {
    let mut stream = open(addresses).await.map_err(|error| error.to_string())?;
    prepare(&stream, link.channel).map_err(|error| error.to_string())?;
    prove(&mut stream, link, identity).await.map(|sealer| (stream, sealer))
}

/// All addresses of the name, one after the other.
async fn open(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name leads nowhere");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn prove(stream: &mut TcpStream, link: &Link, identity: &Identity) -> Result<Sealer, String> {
    let nonce = nonce().map_err(|error| error.to_string())?;
    let dialer = Dialer::new(identity.secret.clone(), identity.me, identity.life, link.peer, link.channel, nonce);
    let mut accept = [0; ACCEPT_BYTES];
    stream.write_all(dialer.hello()).await.map_err(|error| error.to_string())?;
    if let Err(error) = stream.read_exact(&mut accept).await {
        return Err(match error.kind() {
            // Who cannot prove itself is told nothing.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => format!(
                "it hangs up: {}, unless another program or another version answers there",
                HandshakeError::WrongSecret
            ),
            _ => error.to_string(),
        });
    }
    let (finish, sealer) = dialer.finish(&accept).map_err(|error| error.to_string())?;
    stream.write_all(&finish).await.map_err(|error| error.to_string())?;
    Ok(sealer)
}

/// Sends what is queued until the connection ends.
async fn serve(shell: &Rc<RefCell<Shell>>, link: &Rc<Link>, mut stream: TcpStream, mut sealer: Sealer) {
    let (peer, channel) = (link.peer, link.channel);
    tracing::info!(peer = %peer, "connected to server {peer} at {}, {channel:?}", name_of(&stream));
    METRICS.peers.connections.add(1);
    link.is_up.set(true);
    shell.borrow_mut().step(Input::PeerUp { peer, channel });
    let mut gathered = Vec::new();
    while !link.is_over.get() {
        if send_queued(link, &mut stream, &mut sealer, &mut gathered).await.is_err() {
            break;
        }
        let rung = poll_fn(|context| link.bell.poll(context));
        tokio::select! {
            () = rung => {}
            is_open = stays_open(&stream) => if !is_open { break },
            () = sleep(KEEP_ALIVE) => sealer.seal(&[], &mut gathered),
        }
    }
    link.is_up.set(false);
    link.queue.borrow_mut().clear();
    METRICS.peers.connections.add(-1);
    tracing::info!(peer = %peer, "server {peer} is no longer connected, {channel:?}");
    shell.borrow_mut().step(Input::PeerDown { peer, channel });
}

async fn send_queued(
    link: &Link,
    stream: &mut TcpStream,
    sealer: &mut Sealer,
    gathered: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let next = link.queue.borrow_mut().pop_front();
        let Some((bytes, _grant)) = next else { break };
        if bytes.len() <= GATHERED_BYTES {
            sealer.seal(&bytes, gathered);
        } else {
            let (header, tag) = sealer.around(&bytes);
            gathered.extend_from_slice(&header);
            stream.write_all(gathered).await?;
            gathered.clear();
            stream.write_all(&bytes).await?;
            gathered.extend_from_slice(&tag);
        }
        if gathered.len() > GATHERED_BYTES {
            stream.write_all(gathered).await?;
            gathered.clear();
        }
    }
    stream.write_all(gathered).await?;
    gathered.clear();
    Ok(())
}

/// The other side never sends here: what can be read is the end.
async fn stays_open(stream: &TcpStream) -> bool {
    loop {
        if stream.readable().await.is_err() {
            return false;
        }
        match stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return false,
        }
    }
}
