//! The operations of the ZooKeeper client, one request each.

use std::io;

use super::client::{Client, Watching, error_code, not_zookeeper};
use super::stat::Acl;
use crate::coordinator::Stat;
use crate::zookeeper::codec::{Body, Create, Opcode, Reply, Request};
use crate::zookeeper::errors::Code;

impl Client {
    /// The data of a znode, and its Stat.
    pub fn data(&mut self, path: &str, watch: bool) -> io::Result<(Option<Vec<u8>>, Stat)> {
        let found = match self.call(&Request::GetData { path, watch }, path)?.body {
            Body::Data { data, stat } => (data.map(<[u8]>::to_vec), stat),
            _ => return Err(not_zookeeper()),
        };
        self.note(Watching::Data, path, watch);
        Ok(found)
    }

    /// The names of a znode's children, sorted, and its Stat.
    pub fn children(&mut self, path: &str, watch: bool) -> io::Result<(Vec<String>, Stat)> {
        let (mut names, stat) = match self.call(&Request::GetChildren2 { path, watch }, path)?.body {
            Body::Children { names, stat } => (names.into_iter().map(str::to_owned).collect::<Vec<_>>(), stat),
            _ => return Err(not_zookeeper()),
        };
        self.note(Watching::Children, path, watch);
        names.sort_unstable();
        Ok((names, stat))
    }

    /// The Stat of a znode, `None` when there is none.
    pub fn exists(&mut self, path: &str, watch: bool) -> io::Result<Option<Stat>> {
        let found = match self.call(&Request::Exists { path, watch }, path) {
            Ok(Reply { body: Body::Stat(stat), .. }) => Some(stat),
            Ok(_) => return Err(not_zookeeper()),
            Err(error) if error_code(&error) == Some(Code::NO_NODE) => None,
            Err(error) => return Err(error),
        };
        self.note(if found.is_some() { Watching::Data } else { Watching::Exist }, path, watch);
        Ok(found)
    }

    /// Creates a znode; its path with the number, if it has one.
    pub fn create(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        flags: i32,
        ttl_ms: Option<i64>,
    ) -> io::Result<String> {
        let opcode = match (flags, ttl_ms) {
            (_, Some(_)) => Opcode::CreateTtl,
            (4, None) => Opcode::CreateContainer,
            _ => Opcode::Create,
        };
        let acl = acl.iter().map(Acl::entry).collect();
        match self.call(&Request::Create(opcode, Create { path, data, acl, flags, ttl_ms }), path)?.body {
            Body::Path(path) | Body::Created { path, .. } => Ok(path.to_owned()),
            _ => Err(not_zookeeper()),
        }
    }

    /// Replaces data; the new Stat.
    pub fn set(&mut self, path: &str, data: &[u8], version: i32) -> io::Result<Stat> {
        self.stat_of(&Request::SetData { path, data: Some(data), version }, path)
    }

    /// Replaces an access control list; the new Stat.
    pub fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) -> io::Result<Stat> {
        self.stat_of(&Request::SetAcl { path, acl: acl.iter().map(Acl::entry).collect(), version }, path)
    }

    fn stat_of(&mut self, request: &Request<'_>, path: &str) -> io::Result<Stat> {
        match self.call(request, path)?.body {
            Body::Stat(stat) => Ok(stat),
            _ => Err(not_zookeeper()),
        }
    }

    /// The access control list of a znode, and its Stat.
    pub fn acl(&mut self, path: &str) -> io::Result<(Vec<Acl>, Stat)> {
        match self.call(&Request::GetAcl { path }, path)?.body {
            Body::Acl { acl, stat } => Ok((acl.iter().map(Acl::of).collect(), stat)),
            _ => Err(not_zookeeper()),
        }
    }

    /// Deletes a znode.
    pub fn delete(&mut self, path: &str, version: i32) -> io::Result<()> {
        self.call(&Request::Delete { path, version }, path).map(|_| ())
    }

    /// Watches a znode until the session ends.
    pub fn add_watch(&mut self, path: &str, recursive: bool) -> io::Result<()> {
        self.call(&Request::AddWatch { path, mode: i32::from(recursive) }, path)?;
        self.note(if recursive { Watching::Recursive } else { Watching::Persistent }, path, true);
        Ok(())
    }

    /// Ends such a watch.
    pub fn remove_watch(&mut self, path: &str, recursive: bool) -> io::Result<()> {
        self.forget(if recursive { Watching::Recursive } else { Watching::Persistent }, path);
        self.call(&Request::RemoveWatches { path, kind: 3 }, path).map(|_| ())
    }
}

/// The paths that may be meant by the beginning of one, with a slash behind the only one that has children.
pub fn names_below(client: &mut Client, typed: &str) -> io::Result<Vec<String>> {
    let (parent, _) = typed.rsplit_once('/').unwrap_or_default();
    let (names, _) = client.children(if parent.is_empty() { "/" } else { parent }, false)?;
    let paths = names.iter().map(|name| format!("{parent}/{name}"));
    let mut paths: Vec<String> = paths.filter(|path| path.starts_with(typed)).collect();
    if let [only] = paths.as_mut_slice()
        && client.exists(only, false)?.is_some_and(|stat| stat.num_children > 0)
    {
        only.push('/');
    }
    Ok(paths)
}
