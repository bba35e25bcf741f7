//! The members of an ensemble as the tree has them, in `/zookeeper/config`, and what becomes of them by ZooKeeper's
//! `reconfig`.
//!
//! The znode's data is what ZooKeeper's own tools expect: `server.N=HOST:2888:3888:participant|observer[;CLIENTPORT]`, one
//! a line, and `version=` with the zxid, in hexadecimal, of the transaction that wrote it (0 for the first).

use super::ErrorCode;
use super::tree::Tree;
use crate::config::Member;
use crate::limits::MEMBERS_MAX;
use crate::types::NodeId;

/// Where ZooKeeper keeps its dynamic configuration.
pub const CONFIG_PATH: &str = "/zookeeper/config";

/// What somebody wants the members to be; lists are separated by commas.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// `server.N=...` lines of members that come, or that shall be reached and counted otherwise than before.
    pub joining: Option<&'a str>,
    /// Numbers of members that go.
    pub leaving: Option<&'a str>,
    /// All lines, instead of the two above.
    pub members: Option<&'a str>,
}

/// The members that the tree names, in order; empty when it names none.
pub fn members_of(tree: &Tree) -> Vec<Member> {
    parse(&text_of(tree))
}

/// The version that the tree's members have: the zxid that wrote them.
pub fn version_of(tree: &Tree) -> i64 {
    version_in(&text_of(tree))
}

/// The version that the znode's data tells; 0 when it tells none.
pub fn version_in(text: &str) -> i64 {
    let version = text.lines().find_map(|line| line.trim().strip_prefix("version="));
    version.and_then(|version| i64::from_str_radix(version.trim(), 16).ok()).unwrap_or(0)
}

fn text_of(tree: &Tree) -> String {
    let data = tree.get(CONFIG_PATH).and_then(|znode| znode.data()).unwrap_or_default();
    String::from_utf8_lossy(data).into_owned()
}

/// Lines that say nothing about a member are passed over.
pub fn parse(text: &str) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for line in text.lines().take(4 * MEMBERS_MAX) {
        if let Some(member) = line.trim().strip_prefix("server.").and_then(|_| parse_line(line))
            && members.len() < MEMBERS_MAX
            && members.iter().all(|other| other.id != member.id)
        {
            members.push(member);
        }
    }
    members.sort_by_key(|member| member.id);
    members
}

/// The znode's data for these members.
pub fn render(members: &[Member], version: u64) -> String {
    let mut text = String::new();
    for member in members {
        text.push_str(&format!("server.{}={}\n", member.id, member.line()));
    }
    text.push_str(&format!("version={version:x}"));
    text
}

/// What becomes of `before`, in order. `BadArguments`: a line or number cannot be read, two members would be reached at
/// one place, nobody would vote, or there would be too many.
pub fn changed(before: &[Member], wish: Wish<'_>) -> Result<Vec<Member>, ErrorCode> {
    let mut members: Vec<Member> = match wish.members {
        Some(lines) => all_of(lines)?,
        None => {
            let mut members = before.to_vec();
            for number in parts(wish.leaving) {
                let number: i32 = number.parse().map_err(|_| ErrorCode::BadArguments)?;
                members.retain(|member| member.id.0 != number);
            }
            for line in parts(wish.joining) {
                let member = parse_line(line).ok_or(ErrorCode::BadArguments)?;
                members.retain(|other| other.id != member.id);
                members.push(member);
            }
            members
        }
    };
    members.sort_by_key(|member| member.id);
    let is_told_apart = members.iter().enumerate().all(|(place, member)| {
        members.iter().skip(place + 1).all(|other| other.id != member.id && !is_same_place(member, other))
    });
    let has_voter = members.iter().any(|member| !member.is_observer);
    if is_told_apart && has_voter && members.len() <= MEMBERS_MAX { Ok(members) } else { Err(ErrorCode::BadArguments) }
}

/// Every line must be understood.
fn all_of(lines: &str) -> Result<Vec<Member>, ErrorCode> {
    let lines =
        lines.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("version="));
    lines.map(|line| parse_line(line).ok_or(ErrorCode::BadArguments)).collect()
}

fn parts(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `server.N=...`; ZooKeeper takes `N=...` as well.
pub fn parse_line(line: &str) -> Option<Member> {
    let (name, rest) = line.trim().split_once('=')?;
    let number = name.rsplit('.').next()?.trim();
    let id = number.parse::<i32>().ok().filter(|id| (0..i32::MAX).contains(id))?;
    Member::parse(NodeId(id), rest.trim())
}

fn is_same_place(one: &Member, other: &Member) -> bool {
    let ports = |member: &Member| [member.data_port, member.quorum_port];
    one.host == other.host && ports(one).iter().any(|port| ports(other).contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "server.1=a:2888:3888:participant;2181\nserver.2=b:2888:3888:participant\n\
                         server.3=c:2888:3888:participant\nversion=1f";

    fn change(joining: Option<&str>, leaving: Option<&str>, members: Option<&str>) -> Result<String, ErrorCode> {
        changed(&parse(THREE), Wish { joining, leaving, members }).map(|members| {
            members.iter().map(|member| format!("{}={}", member.id, member.line())).collect::<Vec<_>>().join(" ")
        })
    }

    /// What is rendered is read again; foreign lines, doubles and nonsense are passed over.
    #[test]
    fn round_trip() {
        let text = "server.1=a:2888:3888:participant;2181\nserver.3=[::1]:2:3:observer\nversion=1f";
        let members = parse(text);
        assert_eq!(members.len(), 2);
        assert_eq!((members[0].id, members[1].is_observer), (NodeId(1), true));
        assert_eq!(render(&members, 0x1f), text);
        assert_eq!(parse("server.x=a:1:2\nserver.-1=a:1:2\nserver.1=a\nb=c\nserver.2=b:1:2\nserver.2=c:1:2").len(), 1);
    }

    /// Members come, go, move and lose their vote, one by one or all at once.
    #[test]
    fn changes() {
        let two = "1=a:2888:3888:participant;2181 2=b:2888:3888:participant";
        assert_eq!(change(None, Some("3"), None).unwrap(), two);
        assert_eq!(change(None, Some("3,9"), None).unwrap(), two);
        let all = "server.1=a:2888:3888;2181\nserver.2=b:2888:3888,version=7";
        assert_eq!(change(None, None, Some(all)).unwrap(), two);
        let moved = change(Some("server.2=d:1:2:observer, 4=e:1:2"), Some("1"), None).unwrap();
        assert_eq!(moved, "2=d:1:2:observer 3=c:2888:3888:participant 4=e:1:2:participant");
    }

    /// What cannot be read, nobody to vote, and two members at one place are refused.
    #[test]
    fn bad_arguments() {
        for joining in ["server.4", "server.4=d", "server.4=d:1", "server.x=d:1:2", "server.4=a:3888:1", "4=d:1:2:boss"]
        {
            assert_eq!(change(Some(joining), None, None), Err(ErrorCode::BadArguments), "{joining}");
        }
        for leaving in ["x", "1 2", "1,2,3"] {
            assert_eq!(change(None, Some(leaving), None), Err(ErrorCode::BadArguments), "{leaving}");
        }
        for members in ["", "server.1=a:1:2:observer", "server.1=a:1:2,tickTime=3", "server.1=a:1:2,server.1=b:1:2"] {
            assert_eq!(change(None, None, Some(members)), Err(ErrorCode::BadArguments), "{members}");
        }
    }
}
