//! The cables between the demonstration's nodes: every connection from one to another goes through a relay here, which
//! can be told to carry nothing from or to a node. What is under way then waits, as in a network that loses packets.
//!
//! A relay stands where the server lines point, on `127.0.0.2`; the node itself listens on the same port of `127.0.0.1`
//! (`tern.peer.bind`). Who dials is read from the first words of a connection, which name both members in the clear.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::node::peers::HELLO_BYTES;

/// Where the relays stand.
pub const RELAY_HOST: &str = "127.0.0.2";

/// Where the nodes listen.
pub const NODE_HOST: &str = "127.0.0.1";

/// Where a HELLO names its sender.
const SENDER: std::ops::Range<usize> = 8..12;

/// How soon a relay notices that it was cut or that the demonstration is over.
const GLANCE: Duration = Duration::from_millis(50);

/// What is carried at once.
const PIECE_BYTES: usize = 64 * 1024;

/// All cables.
pub struct Links {
    /// By number of the node, from 1.
    cut: Vec<AtomicBool>,
    is_over: AtomicBool,
}

impl Links {
    /// Relays to so many nodes, whose two ports are given; no cable is cut.
    pub fn new(ports: &[[u16; 2]]) -> io::Result<Arc<Links>> {
        let cut = ports.iter().map(|_| AtomicBool::new(false)).collect();
        let links = Arc::new(Links { cut, is_over: AtomicBool::new(false) });
        for (index, ports) in ports.iter().enumerate() {
            for &port in ports {
                let listener = TcpListener::bind((RELAY_HOST, port))?;
                let links = links.clone();
                thread::spawn(move || links.accept(&listener, index + 1, port));
            }
        }
        Ok(links)
    }

    /// Cuts a node off from the others, or connects it again.
    pub fn cut(&self, node: usize, is_cut: bool) {
        if let Some(flag) = self.cut.get(node.wrapping_sub(1)) {
            flag.store(is_cut, Ordering::Relaxed);
        }
    }

    /// Ends every relay.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn accept(self: &Arc<Links>, listener: &TcpListener, to: usize, port: u16) {
        for stream in listener.incoming() {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(stream) = stream {
                let links = self.clone();
                thread::spawn(move || links.relay(stream, to, port));
            }
        }
    }

    /// One connection, until one of its ends is gone.
    fn relay(self: Arc<Links>, mut near: TcpStream, to: usize, port: u16) -> io::Result<()> {
        let mut hello = [0; HELLO_BYTES];
        near.set_read_timeout(Some(Duration::from_secs(5)))?;
        near.read_exact(&mut hello)?;
        let mut from = [0; 4];
        from.copy_from_slice(&hello[SENDER]); // HELLO is longer
        let from = u32::from_be_bytes(from) as usize;
        self.wait(from, to);
        let mut far = TcpStream::connect((NODE_HOST, port))?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(GLANCE))?;
        }
        far.write_all(&hello)?;
        let (back_from, back_to) = (far.try_clone()?, near.try_clone()?);
        let links = self.clone();
        let back = thread::spawn(move || links.carry(back_from, back_to, from, to));
        self.carry(near, far, from, to);
        let _ = back.join(); // a relay that panicked has carried nothing more
        Ok(())
    }

    /// Carries bytes in one direction; then both ends are told that it is over.
    fn carry(&self, mut input: TcpStream, mut output: TcpStream, from: usize, to: usize) {
        let mut piece = vec![0; PIECE_BYTES];
        while !self.is_over.load(Ordering::Relaxed) {
            let count = match input.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            self.wait(from, to);
            if output.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        self.wait(from, to);
        let _ = input.shutdown(Shutdown::Both); // gone already
        let _ = output.shutdown(Shutdown::Both);
    }

    /// Returns when the cable between two nodes is whole.
    fn wait(&self, from: usize, to: usize) {
        let is_cut = |node: usize| self.cut.get(node.wrapping_sub(1)).is_some_and(|cut| cut.load(Ordering::Relaxed));
        while (is_cut(from) || is_cut(to)) && !self.is_over.load(Ordering::Relaxed) {
            thread::sleep(GLANCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay carries both ways, nothing while the sender is cut off, and what waited afterwards.
    #[test]
    fn cut_and_mended() {
        let node = TcpListener::bind((NODE_HOST, 0)).unwrap();
        let port = node.local_addr().unwrap().port();
        let links = Links::new(&[[port, 0], [0, 0]]).unwrap();
        let mut dialer = TcpStream::connect((RELAY_HOST, port)).unwrap();
        let mut hello = [0; HELLO_BYTES];
        hello[SENDER].copy_from_slice(&2u32.to_be_bytes());
        dialer.write_all(&hello).unwrap();
        let (mut accepted, _) = node.accept().unwrap();
        accepted.read_exact(&mut hello).unwrap();
        accepted.write_all(b"yes").unwrap();
        let mut answer = [0; 3];
        dialer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"yes");
        links.cut(2, true);
        dialer.write_all(b"later").unwrap();
        accepted.set_read_timeout(Some(4 * GLANCE)).unwrap();
        assert!(accepted.read(&mut answer).is_err());
        links.cut(2, false);
        accepted.set_read_timeout(None).unwrap();
        let mut later = [0; 5];
        accepted.read_exact(&mut later).unwrap();
        assert_eq!(&later, b"later");
        links.end();
    }
}
