//! One question to every link, and the first answer (RFC 6762 section 5.1, a one-shot query).
//!
//! Sent from a port of its own, so that responders answer to it directly. Bounded by two seconds and three questions.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::message;

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// After the first question: the second, the third, and the end.
const MOMENTS: [Duration; 3] = [Duration::from_millis(300), Duration::from_millis(1000), Duration::from_millis(2000)];

/// Links that are asked.
const LINKS_MAX: usize = 16;

/// The addresses of `host`; none when nobody answers.
pub(super) fn ask(host: &str) -> io::Result<Vec<IpAddr>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let id = socket.local_addr()?.port(); // as good as any, and another one each time
    let Some(question) = message::question(id, host) else { return Ok(Vec::new()) };
    let start = Instant::now();
    let mut buffer = [0; 1500];
    for moment in MOMENTS {
        send(&socket, &question);
        while let Some(left) = moment.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            let Ok((length, _)) = socket.recv_from(&mut buffer) else { break };
            let found = message::addresses(buffer.get(..length).unwrap_or_default(), id, host);
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

/// To every link; one that takes nothing is no reason not to ask the others.
fn send(socket: &UdpSocket, question: &[u8]) {
    for link in links() {
        let address = libc::in_addr { s_addr: u32::from_ne_bytes(link.octets()) };
        // SAFETY: the descriptor is open, and the pointer and the size are those of `address`.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                libc::IP_MULTICAST_IF,
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if set == 0 {
            let _ = socket.send_to(question, GROUP);
        }
    }
}

/// The IPv4 addresses of this machine's links that are up and can multicast, but for the loopback.
fn links() -> BTreeSet<Ipv4Addr> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the pointer is that of `list`, which is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    let mut next = list;
    // SAFETY: every entry of the list is valid until it is freed; its address, if there is one, has the family's layout.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        let wanted = (libc::IFF_UP | libc::IFF_MULTICAST) as u32;
        let is_loopback = entry.ifa_flags & libc::IFF_LOOPBACK as u32 != 0;
        let family = unsafe { entry.ifa_addr.as_ref() }.map(|address| libc::c_int::from(address.sa_family));
        if entry.ifa_flags & wanted == wanted && !is_loopback && family == Some(libc::AF_INET) {
            // SAFETY: an address of this family is a sockaddr_in; it may lie at any byte.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            found.insert(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()));
        }
        if found.len() >= LINKS_MAX {
            break;
        }
    }
    // SAFETY: `list` came from getifaddrs and nothing refers to it any more.
    unsafe { libc::freeifaddrs(list) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The links of this machine can be listed, and the loopback is none of them.
    #[test]
    fn lists_links() {
        assert!(links().iter().all(|address| !address.is_loopback()));
    }
}
