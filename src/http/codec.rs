//! As much of HTTP/1.1 (RFC 9112) as a scraper and a person with curl need: the head of a GET, and a reply with a length.

/// The longest request head.
pub(super) const HEAD_BYTES_MAX: usize = 4 * 1024;

/// What a request asks for, or how it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// `GET path`, without the query.
    Get(&'a str),
    /// Another method.
    OtherMethod,
    /// Not HTTP.
    Malformed,
}

/// The answers this door gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    /// Code and words of the status line.
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// Where the head ends, that is, where a body would begin; `None` while it is not complete.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    crlf.or_else(|| bytes.windows(2).position(|window| window == b"\n\n").map(|at| at + 2))
}

/// Reads the request line of a complete head; the header fields matter to nobody here.
pub(super) fn parse(head: &[u8]) -> Request<'_> {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Request::Malformed };
    let mut words = line.trim_end_matches('\r').split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_http = version.is_some_and(|version| version.starts_with("HTTP/1.")) && words.next().is_none();
    match (method, target) {
        (Some("GET"), Some(target)) if is_http && target.starts_with('/') => {
            Request::Get(target.split('?').next().unwrap_or(target))
        }
        (Some(method), Some(_)) if is_http && !method.is_empty() => Request::OtherMethod,
        _ => Request::Malformed,
    }
}

/// Writes the head of a reply with a body of `length` bytes.
pub(super) fn write_head(
    out: &mut impl std::fmt::Write,
    status: Status,
    content: &str,
    length: usize,
) -> std::fmt::Result {
    let allow = if status == Status::MethodNotAllowed { "Allow: GET\r\n" } else { "" };
    write!(
        out,
        "HTTP/1.1 {}\r\nContent-Type: {content}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n",
        status.line()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What scrapers and people send is read, everything else is told apart.
    #[test]
    fn requests() {
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Request::Get("/metrics")),
            ("GET /status?x=1 HTTP/1.0\n\n", Request::Get("/status")),
            ("POST / HTTP/1.1\r\n\r\n", Request::OtherMethod),
            ("GET / HTTP/2.0\r\n\r\n", Request::Malformed),
            ("GET http://a/ HTTP/1.1\r\n\r\n", Request::OtherMethod),
            ("GET /\r\n\r\n", Request::Malformed),
            ("\r\n\r\n", Request::Malformed),
            ("\x16\x03\x01", Request::Malformed),
        ] {
            assert_eq!(parse(head.as_bytes()), expected, "{head:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Request::Malformed);
    }

    /// The end of the head is found in both spellings, and not before it is there.
    #[test]
    fn head() {
        assert_eq!(head_end(b"GET / HTTP/1.1\r\nA: b\r\n"), None);
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n\r\nrest"), Some(18));
        assert_eq!(head_end(b"GET / HTTP/1.1\n\nrest"), Some(16));
        let mut out = String::new();
        write_head(&mut out, Status::MethodNotAllowed, "text/plain", 3).unwrap();
        assert_eq!(head_end(out.as_bytes()), Some(out.len()));
        assert!(out.contains("\r\nContent-Length: 3\r\nAllow: GET\r\n"));
    }
}
