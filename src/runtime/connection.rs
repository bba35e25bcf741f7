//! One accepted socket: reads when the node wants bytes, writes what the node has queued, and reports its end.
//!
//! The task sleeps until the socket is readable (and the node reads it), writable (and something waits), or the shell
//! rings. Replies are normally written by the shell at the end of a turn; this task writes only what did not fit.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::shell::{Bell, Shell};
use crate::types::ConnId;

/// Reads in a row before other tasks get their turn.
const READS_IN_A_ROW_MAX: usize = 4;

/// How long a peer may take for what was sent to it before we close.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long we go on reading, and forgetting, what a peer sends after our last words.
const LINGER: Duration = Duration::from_millis(500);

/// Serves the socket until either side closes it.
pub async fn serve(shell: Rc<RefCell<Shell>>, conn: ConnId, stream: Rc<TcpStream>, bell: Rc<Bell>) {
    while shell.borrow_mut().flush(conn) {
        let (limit, blocked) = shell.borrow().wants(conn);
        let wake = poll_fn(|context| poll_wake(context, &stream, &bell, limit > 0, blocked));
        if shell.borrow().is_closing(conn) {
            if tokio::time::timeout(LAST_WORDS, wake).await.is_err() {
                break;
            }
            continue;
        }
        wake.await;
        if limit > 0 && read(&shell, conn, &stream).is_err() {
            break;
        }
    }
    if shell.borrow().is_closing(conn) {
        let _ = tokio::time::timeout(LINGER, linger(&stream)).await; // either way it is over
    }
    shell.borrow_mut().closed(conn);
}

/// Closing a socket with unread bytes in it resets the connection, and a reset can overtake our last words. So we say
/// that nothing more follows and read until the peer has understood.
async fn linger(stream: &TcpStream) {
    // SAFETY: the descriptor is open; the call touches no memory.
    unsafe { libc::shutdown(stream.as_raw_fd(), libc::SHUT_WR) };
    let mut forgotten = vec![0; 4096]; // not in the task, which every connection has
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut forgotten) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn poll_wake(context: &mut Context<'_>, stream: &TcpStream, bell: &Bell, read: bool, write: bool) -> Poll<()> {
    let rung = bell.poll(context).is_ready();
    let readable = read && stream.poll_read_ready(context).is_ready();
    let writable = write && stream.poll_write_ready(context).is_ready();
    if rung || readable || writable { Poll::Ready(()) } else { Poll::Pending }
}

/// Reads until the socket is empty, the node has enough, or others must have their turn. An error is the end.
fn read(shell: &Rc<RefCell<Shell>>, conn: ConnId, stream: &TcpStream) -> io::Result<()> {
    for _ in 0..READS_IN_A_ROW_MAX {
        let mut shell = shell.borrow_mut();
        let (limit, _) = shell.wants(conn);
        if limit == 0 {
            break;
        }
        match shell.read(conn, stream, limit) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) if count < limit => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
