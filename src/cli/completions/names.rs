//! Names that only a node knows, asked of the one that the line is about; none when it does not answer at once.

use super::line::Line;
use crate::cli::arguments::ZkServer;
use crate::cli::connect::{KAFKA, PROMPT, connect};
use crate::cli::kafka::{Client, Cluster};
use crate::cli::zk;
use crate::kafka::codec::{ListGroupsRequest, ListGroupsResponse};

/// The value of an option in a line, or what stands for it.
fn option(line: &Line, names: &[&str], default: &str) -> String {
    let mut words = line.words.iter();
    while let Some(word) = words.next() {
        if let Some((_, value)) = word.split_once('=').filter(|(name, _)| names.contains(name)) {
            return value.to_owned();
        }
        if names.contains(&word.as_str()) {
            return words.next().cloned().unwrap_or_default();
        }
    }
    default.to_owned()
}

fn cluster(line: &Line) -> Option<Cluster> {
    let bootstrap = option(line, &["--bootstrap", "--bootstrap-server", "-b"], "127.0.0.1:9092");
    let first = bootstrap.split(',').next()?;
    Client::new(connect(first, KAFKA, Some(PROMPT)).ok()?, PROMPT).ok().map(|client| Cluster::of(first, client))
}

/// All topics.
pub fn topics(line: &Line) -> Vec<String> {
    let topics = cluster(line).and_then(|mut cluster| cluster.topics().ok()).unwrap_or_default();
    topics.into_iter().map(|topic| topic.name).collect()
}

/// The groups of the broker that was asked.
pub fn groups(line: &Line) -> Vec<String> {
    let ask = |mut cluster: Cluster| {
        let response: ListGroupsResponse<'_> = cluster.any().ok()?.call(2, &ListGroupsRequest::default()).ok()?;
        Some(response.groups.iter().map(|group| group.group_id.to_owned()).collect())
    };
    cluster(line).and_then(ask).unwrap_or_default()
}

/// The znodes whose paths begin as the word does.
pub fn znodes(line: &Line, typed: &str) -> Vec<String> {
    let server = option(line, &["--server"], "127.0.0.1:2181");
    let options = ZkServer { server, auth: Vec::new(), timeout: 5, read_only: true };
    zk::Client::connect(&options, Some(PROMPT))
        .and_then(|mut client| {
            let names = zk::names_below(&mut client, typed)?;
            client.close()?;
            Ok(names)
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The node is the one that the line names, in every notation.
    #[test]
    fn options() {
        let of = |text: &str| option(&Line::read(text), &["--bootstrap", "-b"], "here");
        assert_eq!(of("tern consume "), "here");
        assert_eq!(of("tern consume -b there:1 "), "there:1");
        assert_eq!(of("tern consume --bootstrap=there:1 "), "there:1");
    }
}
