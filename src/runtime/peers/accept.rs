//! The two ports for members: strangers are let go without a word, members are read.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::{HANDSHAKE_TIMEOUT, SILENCE_MAX, address_of, name_of, nonce, prepare};
use crate::effect::Channel;
use crate::limits::PEER_STRANGERS_MAX;
use crate::memory::{Account, Grant};
use crate::metrics::METRICS;
use crate::node::Input;
use crate::node::peers::{
    Acceptor, FINISH_BYTES, FRAME_HEADER_BYTES, HELLO_BYTES, HandshakeError, Opener, Refusal, TAG_BYTES,
    frame_bytes_max,
};
use crate::runtime::shell::Shell;
use crate::types::NodeId;

/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long reading pauses when there is no memory for a message.
const MEMORY_PAUSE: Duration = Duration::from_millis(5);

/// Read at once when no large message is under way.
const READ_BYTES: usize = 16 * 1024;

/// Counts a stranger for as long as it lives.
struct Stranger(Rc<Cell<usize>>);

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Accepts for ever.
pub async fn accept(shell: Rc<RefCell<Shell>>, socket: TcpListener, channel: Channel) {
    let strangers = Rc::new(Cell::new(0));
    loop {
        match socket.accept().await {
            Ok((stream, _)) if strangers.get() < PEER_STRANGERS_MAX => {
                strangers.set(strangers.get() + 1);
                let stranger = Stranger(strangers.clone());
                spawn_local(serve(shell.clone(), stream, channel, stranger));
            }
            Ok(_) => METRICS.peers.strangers.inc(),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(shell: Rc<RefCell<Shell>>, mut stream: TcpStream, channel: Channel, stranger: Stranger) {
    let (name, from) = (name_of(&stream), address_of(&stream));
    match timeout(HANDSHAKE_TIMEOUT, welcome(&shell, &mut stream, channel)).await {
        Ok(Ok((peer, life, opener))) => {
            drop(stranger);
            let (replaced, heard) = match &mut shell.borrow_mut().peers {
                Some(peers) => peers.reading(peer, channel, life),
                None => return,
            };
            tokio::select! {
                end = receive(&shell, &mut stream, peer, channel, opener, &heard) => {
                    if let Err(sentence) = end {
                        tracing::warn!(peer = %peer, "the connection of server {peer} at {name} ends: {sentence}");
                    }
                }
                () = poll_fn(|context| replaced.poll(context)) => {}
            }
        }
        Ok(Err(sentence)) => {
            METRICS.peers.strangers.inc();
            if shell.borrow_mut().peers.as_mut().is_some_and(|peers| peers.is_news(from, &sentence)) {
                tracing::warn!(peer = %name, "{name} is turned away at a port for members: {sentence}");
            }
        }
        Err(_) => METRICS.peers.strangers.inc(),
    }
}

/// The handshake, as the side that was dialed.
async fn welcome(
    shell: &Rc<RefCell<Shell>>,
    stream: &mut TcpStream,
    channel: Channel,
) -> Result<(NodeId, u16, Opener), String> {
    let text = |error: io::Error| error.to_string();
    let Some(identity) = shell.borrow().peers.as_ref().map(|peers| peers.identity.clone()) else {
        return Err("this node is alone".to_owned());
    };
    prepare(stream, channel).map_err(text)?;
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello).await.map_err(text)?;
    let judge = |from: NodeId, life: u16, to: NodeId| match &shell.borrow().peers {
        _ if to != identity.me => Some(Refusal::WrongAddress),
        _ if from == identity.me => Some(Refusal::DuplicateId),
        Some(peers) if peers.is_taken(from, channel, life) => Some(Refusal::NumberTaken),
        Some(peers) if peers.is_known(from) => None,
        _ => Some(Refusal::UnknownMember),
    };
    let nonce = nonce().map_err(text)?;
    let (reply, acceptor) =
        Acceptor::accept(identity.secret.clone(), channel, &hello, nonce, judge).map_err(|error| error.to_string())?;
    stream.write_all(&reply).await.map_err(text)?;
    let acceptor = acceptor.map_err(|error| match error {
        HandshakeError::Refused(refusal) => refusal.to_string(),
        other => other.to_string(),
    })?;
    let mut finish = [0; FINISH_BYTES];
    stream.read_exact(&mut finish).await.map_err(text)?;
    let (peer, life) = (acceptor.from, acceptor.life);
    acceptor.finish(&finish).map(|opener| (peer, life, opener)).map_err(|error| error.to_string())
}

/// Reads messages until the connection ends; an error is worth a word.
async fn receive(
    shell: &Rc<RefCell<Shell>>,
    stream: &mut TcpStream,
    peer: NodeId,
    channel: Channel,
    mut opener: Opener,
    heard: &Cell<Instant>,
) -> Result<(), String> {
    let Some(account) = shell.borrow().peers.as_ref().map(|peers| peers.identity.account.clone()) else {
        return Ok(());
    };
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        let Some(header) = buffer.first_chunk::<FRAME_HEADER_BYTES>() else {
            buffer.reserve(READ_BYTES);
            if !read_more(stream, &mut buffer).await {
                return Ok(());
            }
            continue;
        };
        let body = opener.body_bytes(*header, frame_bytes_max(channel)).map_err(|error| error.to_string())?;
        let grant = memory_for(&account, body).await;
        buffer.reserve((FRAME_HEADER_BYTES + body).saturating_sub(buffer.len()));
        while buffer.len() < FRAME_HEADER_BYTES + body {
            if !read_more(stream, &mut buffer).await {
                return Ok(());
            }
        }
        let mut frame = buffer.split_to(FRAME_HEADER_BYTES + body).split_off(FRAME_HEADER_BYTES);
        opener.open(&frame).map_err(|error| error.to_string())?;
        heard.set(Instant::now());
        frame.truncate(body - TAG_BYTES);
        if !frame.is_empty() {
            METRICS.peers.bytes_in.add(frame.len() as u64);
            let input = Input::PeerMessage { from: peer, channel, bytes: frame.freeze(), grant };
            shell.borrow_mut().step(input);
        }
    }
}

/// False at the end, be it a word or a silence.
async fn read_more(stream: &mut TcpStream, buffer: &mut BytesMut) -> bool {
    matches!(timeout(SILENCE_MAX, stream.read_buf(buffer)).await, Ok(Ok(1..)))
}

/// Waits for it: a member that sends more than there is memory for is read more slowly.
async fn memory_for(account: &Account, bytes: usize) -> Grant {
    let bytes = bytes.min(account.limit_bytes() / 2);
    loop {
        if let Some(grant) = account.take(bytes) {
            return grant;
        }
        METRICS.peers.pauses.inc();
        sleep(MEMORY_PAUSE).await;
    }
}
