//! `host:port` as people write it: names, IPv4, bracketed IPv6, and the empty host that means every interface.

/// Where to listen or dial. Names are resolved by whoever opens the socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address without brackets; empty: all interfaces.
    pub host: String,
    /// 0: whichever is free, when listening.
    pub port: u16,
}

impl Endpoint {
    /// The endpoint `host:port`.
    pub fn new(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    /// True when it stands for every interface, and so cannot be dialled.
    pub fn is_any(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::" | "*")
    }

    /// Reads `host:port`, `[v6]:port` or `:port`; `None` for anything else, an unbracketed IPv6 address included.
    pub fn parse(text: &str) -> Option<Endpoint> {
        let (host, rest) = split_host(text)?;
        let port = rest.strip_prefix(':')?.parse().ok()?;
        Some(Endpoint { host: host.to_owned(), port })
    }
}

/// Splits a leading host off; what follows starts with `:` or is empty. `None` for impossible hosts.
pub(super) fn split_host(text: &str) -> Option<(&str, &str)> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        let legal = host.parse::<core::net::Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':'));
        return legal.then_some((host, rest));
    }
    let end = text.find(':').unwrap_or(text.len());
    let (host, rest) = text.split_at(end);
    let legal = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*'));
    legal.then_some((host, rest))
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form that people write is read, and printed as it was written; nothing half right passes.
    #[test]
    fn forms() {
        for text in ["localhost:9092", "172.30.1.54:2181", "[2001:db8::1]:2888", ":9092", "[::]:1883", "my_host:1"] {
            assert_eq!(Endpoint::parse(text).map(|endpoint| endpoint.to_string()).as_deref(), Some(text));
        }
        for text in ["", "host", "host:", "host:70000", "::1:2888", "[::1]2888", "[::1", "[host]:1", "a b:1", "h:1:2"] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
        assert!(Endpoint::new("0.0.0.0", 1).is_any() && Endpoint::new("", 1).is_any());
        assert!(!Endpoint::new("127.0.0.1", 1).is_any());
    }
}
