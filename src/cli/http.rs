//! One page of a node's HTTP door.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::connect::{HTTP, connect};

/// The largest answer that is read.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The page at `path`, when the answer begins within `patience` and is `200`; errors name the address.
pub fn get(address: &str, path: &str, patience: Duration) -> io::Result<String> {
    let mut stream = connect(address, HTTP, Some(patience))?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut reply)?;
    body(&reply).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn body(reply: &[u8]) -> io::Result<String> {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(io::Error::other(format!("the answer is {status:?}")));
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a page; other answers are told in a sentence.
    #[test]
    fn replies() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nyes").unwrap(), "yes");
        let error = body(b"HTTP/1.1 404 Not Found\r\n\r\nno").unwrap_err().to_string();
        assert_eq!(error, "the answer is \"HTTP/1.1 404 Not Found\"");
        assert_eq!(body(b"junk").unwrap_err().to_string(), "the answer is not HTTP");
    }
}
