//! Stats and access control lists as people read and write them, in the words of ZooKeeper's own shell.

use std::io;

use crate::cli::{moment, usage};
use crate::coordinator::Stat;
use crate::zookeeper::codec::AclEntry;

/// The rights of an access control list, in the order of their bits.
const RIGHTS: [(i32, char); 5] = [(1, 'r'), (2, 'w'), (4, 'c'), (8, 'd'), (16, 'a')];

/// The order in which they are printed.
const PRINTED: &str = "cdrwa";

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    perms: i32,
    scheme: String,
    id: String,
}

impl Acl {
    /// Everybody may do everything.
    pub fn open() -> Vec<Acl> {
        vec![Acl { perms: 31, scheme: "world".to_owned(), id: "anyone".to_owned() }]
    }

    /// Reads `SCHEME:ID:RIGHTS`; the id may hold colons.
    pub fn parse(option: &str, text: &str) -> io::Result<Acl> {
        let wrong = |what: &str| {
            usage(format!(
                "{option} {text}: {what}; allowed: SCHEME:ID:RIGHTS such as world:anyone:cdrwa, ip:10.0.0.0/8:r"
            ))
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("there is no scheme"))?;
        let (id, rights) = rest.rsplit_once(':').ok_or_else(|| wrong("there are no rights"))?;
        let mut perms = 0;
        for letter in rights.chars() {
            let right = RIGHTS.iter().find(|(_, name)| *name == letter);
            perms |= right.map(|(bit, _)| *bit).ok_or_else(|| wrong(&format!("{letter} is no right of cdrwa")))?;
        }
        Ok(Acl { perms, scheme: scheme.to_owned(), id: id.to_owned() })
    }

    /// As the server tells it.
    pub fn of(entry: &AclEntry<'_>) -> Acl {
        Acl { perms: entry.perms, scheme: entry.scheme.to_owned(), id: entry.id.to_owned() }
    }

    /// As the server takes it.
    pub fn entry(&self) -> AclEntry<'_> {
        AclEntry { perms: self.perms, scheme: &self.scheme, id: &self.id }
    }
}

impl std::fmt::Display for Acl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has = |letter: &char| RIGHTS.iter().any(|(bit, name)| name == letter && self.perms & bit != 0);
        let rights: String = PRINTED.chars().filter(has).collect();
        write!(f, "{}:{}:{rights}", self.scheme, self.id)
    }
}

/// A Stat, a line a field.
pub fn lines(stat: &Stat) -> String {
    let at = moment::format;
    format!(
        "cZxid = {:#x}\nctime = {}\nmZxid = {:#x}\nmtime = {}\npZxid = {:#x}\ncversion = {}\ndataVersion = {}\n\
         aclVersion = {}\nephemeralOwner = {:#x}\ndataLength = {}\nnumChildren = {}\n",
        stat.czxid.0,
        at(stat.ctime),
        stat.mzxid.0,
        at(stat.mtime),
        stat.pzxid.0,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner.0,
        stat.data_length,
        stat.num_children,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed is read again; ids keep their colons; anything else is a usage error.
    #[test]
    fn acls() {
        let read = |text| Acl::parse("--acl", text);
        for text in ["world:anyone:cdrwa", "digest:me:a+b/c=:rw", "ip:fe80::1/64:r", "auth::cdrwa", "world:anyone:"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(read("world:anyone:adcwr").unwrap(), Acl::open()[0]);
        for wrong in ["", "world", "world:anyone", "world:anyone:x"] {
            let error = read(wrong).err();
            assert!(error.is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput), "{wrong}");
        }
    }
}
