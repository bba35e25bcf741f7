//! A small ZooKeeper client: one session, one request at a time, blocking.
//!
//! A connection that breaks is made anew at any server of the list, and the session with its watches taken up again; an
//! operation whose answer was lost is an error, because it may have happened.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::cli::arguments::ZkServer;
use crate::cli::connect::{ZOOKEEPER, connect};
use crate::cli::{interrupt, usage};
use crate::zookeeper::codec::{
    ConnectRequest, ConnectResponse, EventType, Jute, Opcode, PASSWORD_BYTES, Reply, ReplyHeader, Request,
    RequestHeader, SetWatches, WatchedEvent, XID_AUTH, XID_EVENT, XID_PING, XID_SET_WATCHES, begin_frame, end_frame,
};
use crate::zookeeper::errors::Code;

/// The largest answer that is read.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long an operation may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries to reach a server again.
const PAUSE: Duration = Duration::from_millis(500);

/// A change that a watch told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Option<EventType>,
    /// To which znode.
    pub path: String,
}

/// What a watch looks at; the order is that of the lists in `SetWatches2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watching {
    /// `getData`, once.
    Data,
    /// `exists` on what is not there, once.
    Exist,
    /// `getChildren`, once.
    Children,
    /// Until removed.
    Persistent,
    /// Until removed, with everything below.
    Recursive,
}

/// A session with a server.
pub struct Client {
    servers: Vec<String>,
    server: String,
    read_only: bool,
    patience: Duration,
    credentials: Vec<(String, Vec<u8>)>,
    stream: TcpStream,
    session: i64,
    password: [u8; PASSWORD_BYTES],
    timeout: Duration,
    xid: i32,
    last_zxid: i64,
    sent: Instant,
    frame: Vec<u8>,
    events: VecDeque<Event>,
    watches: BTreeSet<(Watching, String)>,
}

impl Client {
    /// A new session with the first server that answers; every answer within `patience`, or half a minute.
    pub fn connect(options: &ZkServer, patience: Option<Duration>) -> io::Result<Client> {
        let servers: Vec<String> = options.server.split(',').map(|server| server.trim().to_owned()).collect();
        let timeout = Duration::from_secs(u64::from(options.timeout.clamp(1, 3600)));
        let (server, stream) = reach(&servers, patience)?;
        let mut client = Client {
            servers,
            server,
            read_only: options.read_only,
            patience: patience.unwrap_or(PATIENCE),
            credentials: Vec::new(),
            stream,
            session: 0,
            password: [0; PASSWORD_BYTES],
            timeout,
            xid: 0,
            last_zxid: 0,
            sent: Instant::now(),
            frame: Vec::new(),
            events: VecDeque::new(),
            watches: BTreeSet::new(),
        };
        client.shake_hands()?;
        for text in &options.auth {
            client.authenticate(text)?;
        }
        Ok(client)
    }

    /// Id, granted timeout, and the server that serves it.
    pub fn session(&self) -> (i64, Duration, &str) {
        (self.session, self.timeout, &self.server)
    }

    /// The newest transaction that this client has seen.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// What to wait for, for those who wait for several things.
    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// After so long without a request a ping is due.
    pub fn ping_in(&self) -> Duration {
        (self.timeout / 3).saturating_sub(self.sent.elapsed())
    }

    /// Adds credentials, `SCHEME:TEXT`, now and after each reconnection.
    pub fn authenticate(&mut self, text: &str) -> io::Result<()> {
        let (scheme, secret) = text.split_once(':').filter(|(scheme, _)| !scheme.is_empty()).ok_or_else(|| {
            usage("--auth: there is no scheme; allowed: SCHEME:TEXT, such as digest:USER:PASSWORD".into())
        })?;
        self.send_credentials(scheme, secret.as_bytes())?;
        self.credentials.push((scheme.to_owned(), secret.as_bytes().to_vec()));
        Ok(())
    }

    fn send_credentials(&mut self, scheme: &str, credentials: &[u8]) -> io::Result<()> {
        self.send(XID_AUTH, &Request::Auth { scheme, credentials })?;
        let header = self.receive(XID_AUTH)?;
        check(header.error, &format!("credentials of scheme {scheme}"))
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        let start = begin_frame(&mut out);
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: self.timeout.as_millis() as i32,
            session_id: self.session,
            password: self.password.to_vec(),
            read_only: Some(self.read_only),
        };
        request.encode(&mut out);
        end_frame(&mut out, start);
        self.stream.set_read_timeout(Some(self.patience))?;
        self.stream.write_all(&out)?;
        self.read_frame()?;
        let response = ConnectResponse::decode(&self.frame).map_err(|_| not_zookeeper())?;
        if response.session_id == 0 {
            return Err(io::Error::other("the session has expired; its ephemeral znodes are gone"));
        }
        self.session = response.session_id;
        self.password = response.password;
        self.timeout = Duration::from_millis(response.timeout_ms.max(1000) as u64);
        self.sent = Instant::now();
        Ok(())
    }

    /// Takes the session up again at any server, with its credentials and watches, for as long as it lives.
    pub fn reconnect(&mut self) -> io::Result<()> {
        let lost = Instant::now();
        loop {
            interrupt::check()?;
            let result = self.try_reconnect();
            match result {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Other || lost.elapsed() >= self.timeout => {
                    return Err(error);
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn try_reconnect(&mut self) -> io::Result<()> {
        (self.server, self.stream) = reach(&self.servers, None)?;
        self.shake_hands()?;
        for (scheme, secret) in self.credentials.clone() {
            self.send_credentials(&scheme, &secret)?;
        }
        if self.watches.is_empty() {
            return Ok(());
        }
        let watches = self.watches.clone();
        let list = |kind| watches.iter().filter(|(of, _)| *of == kind).map(|(_, path)| path.as_str()).collect();
        let again = SetWatches {
            relative_zxid: self.last_zxid,
            data: list(Watching::Data),
            exist: list(Watching::Exist),
            child: list(Watching::Children),
            persistent: list(Watching::Persistent),
            recursive: list(Watching::Recursive),
        };
        self.send(XID_SET_WATCHES, &Request::SetWatches(Opcode::SetWatches2, again))?;
        let header = self.receive(XID_SET_WATCHES)?;
        check(header.error, "the watches of the session")
    }

    fn send(&mut self, xid: i32, request: &Request<'_>) -> io::Result<()> {
        let mut out = Vec::new();
        let start = begin_frame(&mut out);
        RequestHeader { xid, opcode: request.opcode().code() }.encode(&mut out);
        request.encode(&mut out);
        end_frame(&mut out, start);
        self.sent = Instant::now();
        self.stream.write_all(&out)
    }

    fn read_frame(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(silence)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(not_zookeeper());
        }
        self.frame.resize(length, 0);
        self.stream.read_exact(&mut self.frame).map_err(silence)
    }

    /// Reads frames up to the answer of `xid`, which stays in `frame`; events on the way are kept.
    fn receive(&mut self, xid: i32) -> io::Result<ReplyHeader> {
        loop {
            self.read_frame()?;
            let mut jute = Jute::new(&self.frame);
            let header = ReplyHeader::decode(&mut jute).map_err(|_| not_zookeeper())?;
            if header.xid == XID_EVENT {
                let event = WatchedEvent::decode(&mut jute).map_err(|_| not_zookeeper())?;
                let (kind, path) = (event.kind, event.path.to_owned());
                self.happened(kind, path);
            } else {
                self.last_zxid = self.last_zxid.max(header.zxid);
                if header.xid == xid {
                    return Ok(header);
                }
                if header.xid != XID_PING {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the server answered another request"));
                }
            }
        }
    }

    fn happened(&mut self, kind: i32, path: String) {
        let kinds = [EventType::Created, EventType::Deleted, EventType::DataChanged, EventType::ChildrenChanged];
        let kind = kinds.into_iter().find(|known| *known as i32 == kind);
        let spent: &[Watching] = match kind {
            Some(EventType::Created) => &[Watching::Exist],
            Some(EventType::Deleted) => &[Watching::Data, Watching::Exist, Watching::Children],
            Some(EventType::DataChanged) => &[Watching::Data, Watching::Exist],
            Some(EventType::ChildrenChanged) => &[Watching::Children],
            None => &[],
        };
        spent.iter().for_each(|&watching| {
            self.watches.remove(&(watching, path.clone()));
        });
        self.events.push_back(Event { kind, path });
    }

    /// Sends one request and reads its answer; the error of an operation names `what`.
    pub fn call(&mut self, request: &Request<'_>, what: &str) -> io::Result<Reply<'_>> {
        interrupt::check()?;
        self.xid = if self.xid == i32::MAX { 1 } else { self.xid + 1 };
        let xid = self.xid;
        self.stream.set_read_timeout(Some(self.patience))?;
        self.send(xid, request)?;
        let header = self.receive(xid)?;
        check(header.error, what)?;
        Reply::decode(request.opcode(), &self.frame).map_err(|_| not_zookeeper())
    }

    /// The next event, waiting up to `wait`; pings when that is due.
    pub fn event(&mut self, wait: Duration) -> io::Result<Option<Event>> {
        let until = Instant::now() + wait;
        loop {
            interrupt::check()?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.ping_in().is_zero() {
                self.send(XID_PING, &Request::Ping)?;
            }
            let left = until.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.min(self.ping_in()).max(Duration::from_millis(1))))?;
            let mut first = [0];
            match self.stream.peek(&mut first) {
                Ok(_) => {
                    self.stream.set_read_timeout(Some(self.patience))?;
                    self.take_unasked()?;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
            if left.is_zero() && self.events.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Reads one frame that nobody asked for: an event, or the answer to a ping.
    fn take_unasked(&mut self) -> io::Result<()> {
        self.read_frame()?;
        let mut jute = Jute::new(&self.frame);
        let header = ReplyHeader::decode(&mut jute).map_err(|_| not_zookeeper())?;
        if header.xid != XID_EVENT {
            self.last_zxid = self.last_zxid.max(header.zxid);
            return Ok(());
        }
        let event = WatchedEvent::decode(&mut jute).map_err(|_| not_zookeeper())?;
        let (kind, path) = (event.kind, event.path.to_owned());
        self.happened(kind, path);
        Ok(())
    }

    /// Whether this came and was not taken yet.
    pub(super) fn awaits(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    /// No longer sets a watch again.
    pub(super) fn forget(&mut self, watching: Watching, path: &str) {
        self.watches.remove(&(watching, path.to_owned()));
    }

    /// Remembers a watch, to set it again after a reconnection.
    pub(super) fn note(&mut self, watching: Watching, path: &str, is_watched: bool) {
        if is_watched {
            self.watches.insert((watching, path.to_owned()));
        }
    }

    /// Ends the session: its ephemeral znodes go.
    pub fn close(mut self) -> io::Result<()> {
        interrupt::forget();
        self.call(&Request::CloseSession, "the session").map(|_| ())
    }
}

fn reach(servers: &[String], patience: Option<Duration>) -> io::Result<(String, TcpStream)> {
    let mut last = usage("--server: no address; allowed: HOST:PORT[,...]".to_owned());
    for server in servers.iter().filter(|server| !server.is_empty()) {
        match connect(server, ZOOKEEPER, patience) {
            Ok(stream) => return Ok((server.clone(), stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// An operation's error code, for those who want to know.
#[derive(Debug)]
struct Refused {
    code: Code,
    sentence: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refused {}

/// The code with which a server refused an operation.
pub fn error_code(error: &io::Error) -> Option<Code> {
    error.get_ref()?.downcast_ref::<Refused>().map(|refused| refused.code)
}

fn check(code: i32, what: &str) -> io::Result<()> {
    if code == 0 {
        return Ok(());
    }
    let code = Code(code);
    let advice = match code {
        Code::NO_NODE => "; tern zk create makes it, -p with its parents",
        Code::NOT_EMPTY => "; -R deletes them as well",
        Code::NO_AUTH => "; --auth SCHEME:TEXT shows who you are, tern zk acl who may do what",
        Code::BAD_VERSION => "; tern zk stat shows it",
        Code::NEW_CONFIG_NO_QUORUM => "; start the members that are down, tern node list shows them",
        Code::RECONFIG_IN_PROGRESS => "; tern node list shows who is on the way",
        Code::UNIMPLEMENTED => "; not all members run a version that can do this",
        _ => "",
    };
    Err(io::Error::other(Refused { code, sentence: format!("{what}: {code}{advice}") }))
}

pub(super) fn not_zookeeper() -> io::Error {
    let sentence = "what answers does not speak ZooKeeper's protocol; the node's key clientPort names the port";
    io::Error::new(io::ErrorKind::InvalidData, sentence)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// True for errors of the connection, not of the operation.
pub fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
    )
}

fn silence(error: io::Error) -> io::Error {
    let (kind, sentence) = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            (io::ErrorKind::TimedOut, "the server did not answer in time; whether the operation happened is not known")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => (
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection: it stopped, has no quorum, or is no ZooKeeper",
        ),
        _ => return error,
    };
    io::Error::new(kind, sentence)
}
