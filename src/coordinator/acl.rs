//! Access control: who may do what to a znode, as in ZooKeeper 3.8.
//!
//! A list is stored once however many znodes carry it. The scheme `auth` never is: it expands, when the list is set, to
//! the identities of whoever sets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ErrorCode;

/// The right to read data and children.
pub const READ: u8 = 1;
/// The right to set data.
pub const WRITE: u8 = 2;
/// The right to create children.
pub const CREATE: u8 = 4;
/// The right to delete children.
pub const DELETE: u8 = 8;
/// The right to set the ACL.
pub const ADMIN: u8 = 16;
/// Every right.
pub const ALL: u8 = 31;

/// Entries of one list; longer ones are `InvalidAcl`.
pub const ENTRIES_MAX: usize = 256;

/// An identity: `world:anyone`, `digest:user:hash`, `ip:address`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// `world`, `ip`, `digest`, `auth`, `sasl`, `x509` or `super`.
    pub scheme: String,
    /// What it means is the scheme's business.
    pub id: String,
}

/// Some rights for one identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acl {
    /// Any of `READ` to `ADMIN`.
    pub perms: u8,
    /// Who has them.
    pub id: Id,
}

impl Id {
    /// From its two parts.
    pub fn new(scheme: &str, id: &str) -> Id {
        Id { scheme: scheme.to_string(), id: id.to_string() }
    }
}

impl Acl {
    /// `world:anyone` with every right: what brokers give their znodes.
    pub fn open() -> Vec<Acl> {
        vec![Acl { perms: ALL, id: Id::new("world", "anyone") }]
    }

    /// `world:anyone` may read.
    pub fn readable() -> Vec<Acl> {
        vec![Acl { perms: READ, id: Id::new("world", "anyone") }]
    }
}

/// True when one of `ids` (the requester's) has `perm` by `list`. An empty list, which no znode has, grants everything.
pub fn permits(list: &[Acl], perm: u8, ids: &[Id]) -> bool {
    let granted = |acl: &Acl| {
        acl.perms & perm != 0
            && (acl.id.scheme == "world" && acl.id.id == "anyone" || ids.iter().any(|id| matches(&acl.id, id)))
    };
    list.is_empty() || ids.iter().any(|id| id.scheme == "super") || list.iter().any(granted)
}

fn matches(wanted: &Id, has: &Id) -> bool {
    if wanted.scheme != has.scheme {
        return false;
    }
    if wanted.scheme == "ip" { ip_matches(&wanted.id, &has.id) } else { wanted.id == has.id }
}

/// The list as it is stored: `auth` expanded, doubles dropped, everything checked.
pub fn fix_up(list: Vec<Acl>, ids: &[Id]) -> Result<Vec<Acl>, ErrorCode> {
    if list.is_empty() || list.len() > ENTRIES_MAX {
        return Err(ErrorCode::InvalidAcl);
    }
    let mut fixed: Vec<Acl> = Vec::new();
    for acl in list {
        match acl.id.scheme.as_str() {
            "auth" => {
                let mut own = ids.iter().filter(|id| id.scheme != "ip").peekable();
                if own.peek().is_none() {
                    return Err(ErrorCode::InvalidAcl);
                }
                for id in own {
                    push_new(&mut fixed, Acl { perms: acl.perms, id: id.clone() });
                }
            }
            _ if is_valid(&acl.id) => push_new(&mut fixed, acl),
            _ => return Err(ErrorCode::InvalidAcl),
        }
    }
    if fixed.len() > ENTRIES_MAX { Err(ErrorCode::InvalidAcl) } else { Ok(fixed) }
}

fn push_new(list: &mut Vec<Acl>, acl: Acl) {
    if !list.contains(&acl) {
        list.push(acl);
    }
}

fn is_valid(id: &Id) -> bool {
    match id.scheme.as_str() {
        "world" => id.id == "anyone",
        "digest" => matches!(id.id.split(':').collect::<Vec<_>>()[..], [_, _]),
        "ip" => parse_ip(&id.id).is_some(),
        _ => false,
    }
}

/// An address of either family, as bytes, and how many of its bits count.
fn parse_ip(text: &str) -> Option<(Vec<u8>, usize)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<usize>().ok()?)),
        None => (text, None),
    };
    let bytes = match address.parse::<std::net::IpAddr>().ok()? {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let bits = bits.unwrap_or(bytes.len() * 8);
    (bits <= bytes.len() * 8).then_some((bytes, bits))
}

fn ip_matches(wanted: &str, has: &str) -> bool {
    let (Some((net, bits)), Some((address, _))) = (parse_ip(wanted), parse_ip(has)) else {
        return false;
    };
    let mask = |i: usize| 0xffu8.checked_shl(8 - bits.saturating_sub(8 * i).min(8) as u32).unwrap_or(0);
    net.len() == address.len() && net.iter().zip(&address).enumerate().all(|(i, (a, b))| (a ^ b) & mask(i) == 0)
}

/// The lists in use, each with the number of znodes that carry it. List 0 is `world:anyone` with every right.
#[derive(Debug)]
pub(super) struct AclTable {
    lists: Vec<(Arc<[Acl]>, u32)>,
    numbers: BTreeMap<Arc<[Acl]>, u32>,
    free: Vec<u32>,
    bytes: usize,
}

impl AclTable {
    /// Only list 0, which stays.
    pub fn new() -> AclTable {
        let mut table = AclTable { lists: Vec::new(), numbers: BTreeMap::new(), free: Vec::new(), bytes: 0 };
        table.take(&Acl::open());
        table
    }

    /// What a list costs when nobody has it yet.
    pub fn cost(&self, list: &[Acl]) -> usize {
        if self.numbers.contains_key(list) { 0 } else { cost(list) }
    }

    /// What all lists cost.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of a list, one more znode carrying it.
    pub fn take(&mut self, list: &[Acl]) -> u32 {
        if let Some(&number) = self.numbers.get(list) {
            self.retain(number);
            return number;
        }
        let shared: Arc<[Acl]> = list.into();
        self.bytes += cost(list);
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.lists.push((shared.clone(), 0));
                self.lists.len() as u32 - 1
            }
        };
        if let Some(place) = self.lists.get_mut(number as usize) {
            *place = (shared.clone(), 1);
        }
        self.numbers.insert(shared, number);
        number
    }

    /// One more znode carries list `number`.
    pub fn retain(&mut self, number: u32) {
        if let Some((_, carriers)) = self.lists.get_mut(number as usize) {
            *carriers += 1;
        }
    }

    /// One znode fewer carries list `number`.
    pub fn release(&mut self, number: u32) {
        let Some((list, carriers)) = self.lists.get_mut(number as usize) else { return };
        *carriers = carriers.saturating_sub(1);
        if *carriers == 0 {
            let gone = std::mem::replace(list, Arc::new([]));
            self.bytes -= cost(&gone);
            self.numbers.remove(&gone);
            self.free.push(number);
        }
    }

    /// The list of that number.
    pub fn get(&self, number: u32) -> &[Acl] {
        self.lists.get(number as usize).map_or(&[], |(list, _)| list)
    }

    /// The same, to be kept beyond the znode's life.
    pub fn shared(&self, number: u32) -> Arc<[Acl]> {
        self.lists.get(number as usize).map(|(list, _)| list.clone()).unwrap_or_else(|| Arc::new([]))
    }

    /// All lists in use with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[Acl])> {
        self.lists
            .iter()
            .enumerate()
            .filter(|(_, (_, carriers))| *carriers > 0)
            .map(|(i, (list, _))| (i as u32, &list[..]))
    }
}

/// Bytes of the two maps and the texts, rounded up.
fn cost(list: &[Acl]) -> usize {
    128 + list.iter().map(|acl| 96 + acl.id.scheme.len() + acl.id.id.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(perms: u8, scheme: &str, id: &str) -> Acl {
        Acl { perms, id: Id::new(scheme, id) }
    }

    /// Schemes match as ZooKeeper's do: world by name, ip by prefix, digest literally, super always.
    #[test]
    fn who_is_permitted() {
        let list = [acl(READ, "world", "anyone"), acl(WRITE, "digest", "u:h"), acl(CREATE, "ip", "10.1.0.0/15")];
        let ids = |scheme: &str, id: &str| [Id::new(scheme, id)];
        assert!(permits(&list, READ, &[]));
        assert!(!permits(&list, WRITE, &[]));
        assert!(permits(&list, WRITE, &ids("digest", "u:h")));
        assert!(!permits(&list, WRITE, &ids("digest", "u:x")));
        assert!(permits(&list, CREATE, &ids("ip", "10.0.255.1")) && permits(&list, CREATE, &ids("ip", "10.1.2.3")));
        assert!(!permits(&list, CREATE, &ids("ip", "10.2.0.1")) && !permits(&list, CREATE, &ids("ip", "::1")));
        assert!(permits(&list, ADMIN, &ids("super", "super")));
        assert!(!permits(&list, ADMIN, &ids("world", "anyone")));
    }

    /// `auth` becomes the setter's identities except the address; what cannot be understood is refused.
    #[test]
    fn lists_are_fixed_up() {
        let ids = [Id::new("ip", "10.0.0.1"), Id::new("digest", "u:h")];
        assert_eq!(fix_up(vec![acl(ALL, "auth", "")], &ids), Ok(vec![acl(ALL, "digest", "u:h")]));
        for bad in [
            vec![],
            vec![acl(ALL, "world", "somebody")],
            vec![acl(ALL, "digest", "nocolon")],
            vec![acl(ALL, "ip", "10.0.0.1/33")],
            vec![acl(ALL, "unknown", "x")],
        ] {
            assert_eq!(fix_up(bad, &ids), Err(ErrorCode::InvalidAcl));
        }
        assert_eq!(fix_up(vec![acl(ALL, "auth", "")], &ids[..1]), Err(ErrorCode::InvalidAcl));
    }

    /// A list costs once, goes with its last carrier, and its number is used again.
    #[test]
    fn lists_are_shared() {
        let mut table = AclTable::new();
        let base = table.bytes();
        let list = [acl(READ, "digest", "a:b")];
        let number = table.take(&list);
        assert_eq!((table.take(&list), table.cost(&list)), (number, 0));
        assert!(table.bytes() > base);
        table.release(number);
        assert_eq!(table.get(number), &list);
        table.release(number);
        assert_eq!((table.bytes(), table.get(number)), (base, &[][..]));
        assert_eq!(table.take(&[acl(ALL, "digest", "c:d")]), number);
    }
}
