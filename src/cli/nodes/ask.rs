//! What an ensemble says of its members: the tree's list, the brokers registered, the quorum and the partitions.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::{interrupt, usage};
use crate::cli::arguments::ZkServer;
use crate::cli::kafka::Cluster;
use crate::cli::zk;
use crate::config::{Endpoint, Member};
use crate::coordinator::cluster::json::{self, BrokerJson, FeaturesJson};
use crate::coordinator::features;
use crate::coordinator::members::{CONFIG_PATH, parse, parse_line, version_in};
use crate::kafka::codec::{Array, DescribeQuorumPartition, DescribeQuorumRequest, DescribeQuorumResponse};
use crate::kafka::codec::{DescribeQuorumTopic, FeatureUpdateKey, QuorumReplicaState};
use crate::kafka::codec::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, PartitionIndex, TopicId};
use crate::zookeeper::codec::Request;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// How long an ensemble may be without a leader before reads fail.
const ELECTION: Duration = Duration::from_secs(10);

const NO_BROKER: &str = "no broker is registered: is the ensemble just starting?";

/// Names that a sentence tells; of the others, how many.
const NAMES_MAX: usize = 5;

/// An ensemble, through one of its members.
pub struct Ensemble {
    server: ZkServer,
    zk: zk::Client,
    cluster: Option<Cluster>,
}

/// The quorum as its leader sees it.
#[derive(Debug, Default)]
pub struct Quorum {
    /// Who leads; -1: nobody.
    pub leader: NodeId,
    /// The members of the quorum.
    pub members: BTreeMap<NodeId, Standing>,
}

/// What one of them is in the quorum.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// It votes.
    pub votes: bool,
    /// Entries that it lacks, when the leader knows.
    pub behind: Option<i64>,
    /// Its disk.
    pub disk: TopicId,
}

impl Ensemble {
    /// Through the ZooKeeper door of any member.
    pub fn connect(server: &ZkServer) -> io::Result<Ensemble> {
        Ok(Ensemble { server: server.clone(), zk: zk::Client::connect(server, None)?, cluster: None })
    }

    /// The members that the tree names, and their version.
    pub fn members(&mut self) -> io::Result<(Vec<Member>, i64)> {
        let (data, _) = self.read(|zk| zk.data(CONFIG_PATH, false))?;
        let text = String::from_utf8_lossy(&data.unwrap_or_default()).into_owned();
        let members = parse(&text);
        if members.is_empty() {
            return Err(io::Error::other(
                "this node is no member of an ensemble: give it and the others server.N lines, and start them again",
            ));
        }
        Ok((members, version_in(&text)))
    }

    /// Reads through a new connection when the old one has ended: a server without a quorum closes all of them, and each
    /// change of the members may cost the quorum its leader.
    fn read<T>(&mut self, read: impl Fn(&mut zk::Client) -> io::Result<T>) -> io::Result<T> {
        let until = Instant::now() + ELECTION;
        loop {
            match read(&mut self.zk) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && Instant::now() < until => {
                    interrupt::check()?;
                    std::thread::sleep(PAUSE);
                    if let Ok(zk) = zk::Client::connect(&self.server, None) {
                        self.zk = zk;
                    }
                }
                result => return result,
            }
        }
    }

    /// Changes the members if they still have that version.
    pub fn reconfig(&mut self, joining: Option<&str>, leaving: Option<&str>, version: i64) -> io::Result<()> {
        let request = Request::Reconfig { joining, leaving, members: None, config_id: version };
        self.zk.call(&request, "the members of the ensemble").map(|_| ())
    }

    /// The brokers registered, and where their first listeners are.
    pub fn brokers(&mut self) -> io::Result<BTreeMap<NodeId, String>> {
        let address = |broker: BrokerJson| {
            let first = broker.endpoints().ok()?.into_iter().next()?;
            Some(Endpoint::new(&first.host, first.port).to_string())
        };
        let registered = self.registered()?.into_iter();
        Ok(registered.map(|(id, broker)| (id, address(broker).unwrap_or_default())).collect())
    }

    /// What each broker has registered.
    fn registered(&mut self) -> io::Result<Vec<(NodeId, BrokerJson)>> {
        let mut brokers = Vec::new();
        for name in self.read(|zk| zk.children("/brokers/ids", false))?.0 {
            let Ok(id) = name.parse() else { continue };
            let path = format!("/brokers/ids/{name}");
            let Ok((data, _)) = self.read(|zk| zk.data(&path, false)) else { continue };
            brokers.push((NodeId(id), json::read(data.as_deref()).map_err(io::Error::other)?));
        }
        Ok(brokers)
    }

    /// The feature level in use, and the highest that the programs of all registered brokers understand.
    pub fn feature_levels(&mut self) -> io::Result<(u16, u16)> {
        let (data, _) = self.read(|zk| zk.data(features::PATH, false))?;
        let said = json::read::<FeaturesJson>(data.as_deref()).unwrap_or_default();
        let level = said.features.get(features::NAME).and_then(|level| u16::try_from(*level).ok());
        let highest = self.registered()?.iter().map(|(_, broker)| broker.feature_level_max()).min();
        Ok((level.unwrap_or(features::FIRST), highest.ok_or_else(|| io::Error::other(NO_BROKER))?))
    }

    /// Raises the feature level; refused while a member is away.
    pub fn raise_feature_level(&mut self, level: u16) -> io::Result<()> {
        let update = FeatureUpdateKey {
            feature: features::NAME,
            max_version_level: i16::try_from(level).unwrap_or(i16::MAX),
            upgrade_type: 1,
            ..FeatureUpdateKey::default()
        };
        let updates = [update];
        let request = UpdateFeaturesRequest { feature_updates: Array::of(&updates), ..Default::default() };
        let response: UpdateFeaturesResponse<'_> = self.cluster()?.controller()?.call(1, &request)?;
        match response.error_code {
            ErrorCode::NONE => Ok(()),
            code => Err(io::Error::other(response.error_message.map_or_else(|| format!("{code:?}"), str::to_string))),
        }
    }

    /// Partitions of which no other replica than this one is in sync.
    pub fn only_at(&mut self, id: NodeId) -> io::Result<Vec<String>> {
        self.partitions(|partition| partition.isr[..] == [id])
    }

    /// Partitions that have a replica there.
    pub fn replicas_at(&mut self, id: NodeId) -> io::Result<Vec<String>> {
        self.partitions(|partition| partition.replicas.contains(&id))
    }

    fn partitions(&mut self, which: impl Fn(&crate::cli::kafka::Partition) -> bool) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for topic in self.cluster()?.topics()? {
            let found = topic.partitions.iter().filter(|partition| which(partition));
            names.extend(found.map(|partition| format!("{}-{}", topic.name, partition.index)));
        }
        Ok(names)
    }

    /// The quorum, as its leader sees it.
    pub fn quorum(&mut self) -> io::Result<Quorum> {
        let asked = self.ask_quorum();
        if asked.is_err() {
            self.cluster = None; // the next question goes to whoever leads by then
        }
        asked
    }

    fn ask_quorum(&mut self) -> io::Result<Quorum> {
        let partitions = [DescribeQuorumPartition { partition_index: PartitionIndex(0) }];
        let topics = [DescribeQuorumTopic { topic_name: "__cluster_metadata", partitions: Array::of(&partitions) }];
        let request = DescribeQuorumRequest { topics: Array::of(&topics) };
        let response: DescribeQuorumResponse<'_> = self.cluster()?.controller()?.call(2, &request)?;
        let mut quorum = Quorum { leader: NodeId(-1), ..Quorum::default() };
        for partition in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            quorum.leader = partition.leader_id;
            let end = partition.high_watermark;
            let mut take = |votes: bool, member: QuorumReplicaState| {
                let is_known = member.log_end_offset.0 >= 0;
                let behind = is_known.then(|| (end.0 - member.log_end_offset.0).max(0));
                let standing = Standing { votes, behind, disk: member.replica_directory_id };
                let held = quorum.members.entry(member.replica_id).or_insert(standing);
                if votes {
                    *held = standing; // while a disk is replaced, both are listed
                }
            };
            partition.observers.iter().for_each(|member| take(false, member));
            partition.current_voters.iter().for_each(|member| take(true, member));
        }
        Ok(quorum)
    }

    fn cluster(&mut self) -> io::Result<&mut Cluster> {
        if self.cluster.is_none() {
            let addresses: Vec<String> = self.brokers()?.into_values().collect();
            if addresses.is_empty() {
                return Err(io::Error::other(NO_BROKER));
            }
            self.cluster = Some(Cluster::connect(&addresses.join(","))?);
        }
        self.cluster.as_mut().ok_or_else(|| io::Error::other("no connection"))
    }

    /// Looks again and again, and tells each new sentence, until there is none left to be told (`None`) or it takes too
    /// long. The error says what was waited for, and `advice`.
    pub fn wait(
        &mut self,
        seconds: u64,
        advice: &str,
        mut look: impl FnMut(&mut Ensemble) -> io::Result<Option<String>>,
    ) -> io::Result<()> {
        if seconds == 0 {
            return Ok(());
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut told = String::new();
        loop {
            interrupt::check()?;
            match look(self) {
                Ok(None) => return Ok(()),
                Ok(Some(sentence)) if sentence != told => {
                    println!("{sentence}");
                    told = sentence;
                }
                Ok(Some(_)) => {}
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => self.cluster = None, // a leader may just be changing
            }
            if Instant::now() >= until {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("not done after {seconds} s, {told}; {advice}"),
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A line of a member, as files have it.
pub fn member(line: &str) -> io::Result<Member> {
    parse_line(line).ok_or_else(|| {
        usage(format!("{line}: it names no member; allowed: server.N=HOST:2888:3888[:observer][;CLIENTPORT]"))
    })
}

/// The line back, for people who write files.
pub fn line_of(member: &Member) -> String {
    format!("server.{}={}", member.id, member.line())
}

/// All lines, each on its own.
pub fn lines(members: &[Member]) -> String {
    members.iter().map(|member| format!("  {}\n", line_of(member))).collect()
}

/// The first few names, and how many others.
pub fn some_of(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let others = names.len().saturating_sub(NAMES_MAX);
    if others == 0 { shown.join(", ") } else { format!("{} and {others} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long lists are cut, and the rest is counted.
    #[test]
    fn names() {
        let names = |count: usize| (0..count).map(|n| format!("t-{n}")).collect::<Vec<_>>();
        assert_eq!(some_of(&names(2)), "t-0, t-1");
        assert_eq!(some_of(&names(7)), "t-0, t-1, t-2, t-3, t-4 and 2 more");
    }

    /// Lines with and without `server.`; what is none is an error of whoever typed it.
    #[test]
    fn typed_lines() {
        assert_eq!(line_of(&member("server.4=a:1:2").unwrap()), "server.4=a:1:2:participant");
        assert_eq!(line_of(&member("4=a:1:2:observer;5").unwrap()), "server.4=a:1:2:observer;5");
        assert_eq!(member("server.4=a").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
