//! Kafka's messages against the `kafka-protocol` crate as oracle: every API, version and direction, with drawn and with
//! default values; then truncated at every byte, mutated, and with impossible counts.
//!
//! `TERN_FUZZ=N` multiplies the number of seeds.

mod debug_tree;
mod generate;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages as oracle;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message as OracleMessage};
use tern::kafka::codec::{self, Api, Decode, Kind, Message};
use tern::types::{ReadError, Rng};

use crate::allocations::bytes_allocated;
use debug_tree::Tree;
use generate::Generator;

/// Fields of versions that nobody serves, which only the oracle has.
const ORACLE_ONLY: &[&str] = &[
    "InitProducerIdRequest.enable_2_pc",
    "InitProducerIdRequest.keep_prepared_txn",
    "InitProducerIdResponse.ongoing_txn_producer_id",
    "InitProducerIdResponse.ongoing_txn_producer_epoch",
    "OffsetCommitRequest.topics.topic_id",
    "OffsetCommitResponse.topics.topic_id",
    "OffsetFetchRequest.groups.topics.topic_id",
    "OffsetFetchResponse.groups.topics.topic_id",
];

/// One message and how either side handles it.
struct Case {
    name: &'static str,
    api: Api,
    kind: Kind,
    is_request: bool,
    oracle_versions: RangeInclusive<i16>,
    ours: fn(i16, &[u8]) -> Result<Ours, ReadError>,
    ours_walked: fn(i16, &[u8]) -> Result<usize, ReadError>,
    ours_default: fn(i16) -> Vec<u8>,
    oracle: fn(i16, &[u8]) -> Oracle,
    oracle_default: fn() -> String,
    oracle_header: fn(i16) -> i16,
}

struct Ours {
    text: String,
    bytes: Vec<u8>,
}

struct Oracle {
    text: String,
    bytes: Vec<u8>,
    left: usize,
}

macro_rules! cases {
    ($($name:ident)*) => { vec![$(Case {
        name: stringify!($name),
        api: <codec::$name as Message>::API,
        kind: <codec::$name as codec::Encode>::KIND,
        is_request: stringify!($name).ends_with("Request"),
        oracle_versions: oracle::$name::VERSIONS.min..=oracle::$name::VERSIONS.max,
        ours: |version, bytes| ours::<codec::$name>(version, bytes),
        ours_walked: |version, bytes| Ok(codec::$name::decode(version, bytes)?.size(version)),
        ours_default: |version| encoded(version, &codec::$name::default()),
        oracle: oracle_view::<oracle::$name>,
        oracle_default: || format!("{:?}", oracle::$name::default()),
        oracle_header: oracle::$name::header_version,
    }),*] };
}

fn cases() -> Vec<Case> {
    cases! {
        ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse
        MetadataRequest MetadataResponse FindCoordinatorRequest FindCoordinatorResponse
        ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
        DeleteTopicsRequest DeleteTopicsResponse InitProducerIdRequest InitProducerIdResponse
        DescribeConfigsRequest DescribeConfigsResponse CreatePartitionsRequest CreatePartitionsResponse
        DescribeClusterRequest DescribeClusterResponse
        OffsetCommitRequest OffsetCommitResponse
        OffsetFetchRequest OffsetFetchResponse
        JoinGroupRequest JoinGroupResponse
        SyncGroupRequest SyncGroupResponse
        HeartbeatRequest HeartbeatResponse
        LeaveGroupRequest LeaveGroupResponse
        DescribeGroupsRequest DescribeGroupsResponse
        ListGroupsRequest ListGroupsResponse
        DeleteGroupsRequest DeleteGroupsResponse
        OffsetDeleteRequest OffsetDeleteResponse
        AlterConfigsRequest AlterConfigsResponse
        IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
        DeleteRecordsRequest DeleteRecordsResponse
        OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
        DescribeLogDirsRequest DescribeLogDirsResponse
        ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
        ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
        DescribeAclsRequest DescribeAclsResponse
        CreateAclsRequest CreateAclsResponse
        DeleteAclsRequest DeleteAclsResponse
        ElectLeadersRequest ElectLeadersResponse
        AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse
        ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse
        DescribeClientQuotasRequest DescribeClientQuotasResponse
        AlterClientQuotasRequest AlterClientQuotasResponse
        DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse
        AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse
        DescribeQuorumRequest DescribeQuorumResponse
        UpdateFeaturesRequest UpdateFeaturesResponse
        DescribeProducersRequest DescribeProducersResponse
        DescribeTransactionsRequest DescribeTransactionsResponse
        ListTransactionsRequest ListTransactionsResponse
        ListConfigResourcesRequest ListConfigResourcesResponse
        DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
    }
}

fn ours<'a, M: Message + Decode<'a> + Debug>(version: i16, bytes: &'a [u8]) -> Result<Ours, ReadError> {
    let message = M::decode(version, bytes)?;
    Ok(Ours { text: format!("{message:?}"), bytes: encoded(version, &message) })
}

fn encoded(version: i16, message: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.size(version));
    let capacity = out.capacity();
    message.encode(version, &mut out).expect("size() is exact");
    assert_eq!((out.len(), out.capacity()), (capacity, capacity), "size() is exact");
    out
}

fn oracle_view<M: Decodable + Encodable + Debug>(version: i16, bytes: &[u8]) -> Oracle {
    let mut input = Bytes::copy_from_slice(bytes);
    let message = M::decode(&mut input, version).expect("the oracle reads it");
    let mut out = Vec::new();
    message.encode(&mut out, version).expect("the oracle writes it");
    Oracle { text: format!("{message:?}"), bytes: out, left: input.len() }
}

impl Case {
    fn generate(&self, version: i16, seed: u64) -> (Vec<u8>, Generator) {
        let flexible = self.api.is_flexible(version);
        let mut generator = Generator { rng: Rng::new(seed), version, flexible, counts: Vec::new() };
        let mut bytes = Vec::new();
        generator.value(&self.kind, false, &mut bytes);
        (bytes, generator)
    }

    /// Calls `check` for a number of drawn messages of every version.
    fn for_each(&self, seeds: u64, mut check: impl FnMut(i16, Vec<u8>, Generator)) {
        for version in self.api.versions() {
            for seed in 0..seeds * fuzz_factor() {
                let (bytes, generator) = self.generate(version, seed << 8 | version as u64);
                check(version, bytes, generator);
            }
        }
    }
}

fn fuzz_factor() -> u64 {
    std::env::var("TERN_FUZZ").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// Compares two trees; fields that one side lacks must be known.
fn assert_same(ours: &Tree, oracle: &Tree, lenient: bool, at: &str) {
    match (ours, oracle) {
        (Tree::Fields(ours), Tree::Fields(oracle)) => {
            for (name, value) in oracle {
                match ours.get(name) {
                    Some(ours) => assert_same(ours, value, lenient, &format!("{at}.{name}")),
                    None => assert!(ORACLE_ONLY.contains(&format!("{at}.{name}").as_str()), "{at}.{name} is missing"),
                }
            }
            let unknown: Vec<_> = ours.keys().filter(|name| !oracle.contains_key(*name)).collect();
            assert!(unknown.is_empty(), "{at}: the oracle has no {unknown:?}");
        }
        (Tree::List(ours), Tree::List(oracle)) => {
            assert_eq!(ours.len(), oracle.len(), "{at}");
            for (ours, oracle) in ours.iter().zip(oracle) {
                assert_same(ours, oracle, lenient, at);
            }
        }
        _ if lenient && ours.is_empty() && oracle.is_empty() => {}
        _ => assert_eq!(ours, oracle, "{at}"),
    }
}

/// Drawn messages mean the same to both sides, by the names of their fields, and both write the same bytes again.
#[test]
fn same_as_the_oracle() {
    for case in cases() {
        case.for_each(40, |version, bytes, _| {
            let at = format!("{} {version}", case.name);
            let ours = (case.ours)(version, &bytes).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(ours.bytes, bytes, "{at}: {}", ours.text);
            if case.oracle_versions.contains(&version) {
                let oracle = (case.oracle)(version, &bytes);
                // A field that this version does not have is null on one side and empty on the other.
                assert_same(&Tree::parse(&ours.text), &Tree::parse(&oracle.text), true, case.name);
                assert_eq!(oracle.left, 0, "{at}: the oracle reads all of it");
                assert_eq!(oracle.bytes, bytes, "{at}");
            }
        });
    }
}

/// What is not said has the protocol's default: a message of defaults is one to the oracle too.
#[test]
fn same_defaults() {
    for case in cases() {
        for version in case.api.versions().filter(|version| case.oracle_versions.contains(version)) {
            let at = format!("{} {version}", case.name);
            let bytes = (case.ours_default)(version);
            let oracle = (case.oracle)(version, &bytes);
            assert_eq!((oracle.left, &oracle.bytes), (0, &bytes), "{at}");
            assert_same(&Tree::parse(&oracle.text), &Tree::parse(&(case.oracle_default)()), true, case.name);
            let ours = (case.ours)(version, &bytes).unwrap();
            assert_same(&Tree::parse(&ours.text), &Tree::parse(&oracle.text), true, case.name);
        }
    }
}

/// Every API that is advertised is in this test, in both directions.
#[test]
fn complete() {
    for &api in Api::ALL {
        assert_eq!(cases().iter().filter(|case| case.api == api).count(), 2, "{}", api.name());
    }
}

/// Headers have the oracle's form, and every advertised version above the oracle's lowest is known to it.
#[test]
fn same_headers() {
    for case in cases() {
        for version in case.api.versions().filter(|version| case.oracle_versions.contains(version)) {
            let tagged =
                if case.is_request { (case.oracle_header)(version) == 2 } else { (case.oracle_header)(version) == 1 };
            let ours = if case.is_request {
                case.api.is_flexible(version)
            } else {
                case.api.has_tagged_response_header(version)
            };
            assert_eq!(ours, tagged, "{} {version}", case.name);
        }
        assert!(case.oracle_versions.contains(case.api.versions().end()), "{}", case.name);
        assert_eq!(
            oracle::ApiKey::try_from(case.api.key()).map(|key| format!("{key:?}")),
            Ok(case.api.name().to_owned())
        );
    }
}

/// A message cut short at any byte is refused, and reading it allocates nothing.
#[test]
fn truncated_at_every_byte() {
    for case in cases() {
        case.for_each(3, |version, bytes, _| {
            for end in 0..bytes.len() {
                let (result, allocated) = bytes_allocated(|| (case.ours_walked)(version, &bytes[..end]));
                assert!(result.is_err(), "{} {version}: cut at {end} of {}", case.name, bytes.len());
                assert_eq!(allocated, 0, "{} {version}", case.name);
            }
        });
    }
}

/// Whatever is done to the bytes of a message, reading it neither panics nor allocates, and what it accepts it can write.
#[test]
fn mutated() {
    for case in cases() {
        case.for_each(150, |version, mut bytes, mut generator| {
            for _ in 0..=generator.rng.below(4) {
                mutate(&mut bytes, &mut generator.rng);
            }
            let (result, allocated) = bytes_allocated(|| (case.ours_walked)(version, &bytes));
            assert_eq!(allocated, 0, "{} {version}", case.name);
            if let Ok(size) = result {
                let ours = (case.ours)(version, &bytes).unwrap();
                assert_eq!(ours.bytes.len(), size, "{} {version}", case.name);
            }
        });
    }
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        return bytes.push(rng.next() as u8);
    }
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(6) {
        0 => bytes[at] = rng.next() as u8,
        1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes[at] = [0, 0x7f, 0x80, 0xff][rng.below(4) as usize],
        3 => bytes.truncate(at),
        4 => bytes.insert(at, rng.next() as u8),
        _ => {
            let end = (at + rng.below(9) as usize).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() as u64) as usize;
            bytes.splice(to..to, copy);
        }
    }
}

/// 2^31-1 elements in any array of any message are refused without a byte allocated.
#[test]
fn impossible_counts() {
    for case in cases() {
        let mut positions = 0;
        case.for_each(10, |version, bytes, generator| {
            for range in generator.counts {
                positions += 1;
                let count: &[u8] =
                    if generator.flexible { &[0x80, 0x80, 0x80, 0x80, 0x08] } else { &[0x7f, 0xff, 0xff, 0xff] };
                let hostile = [&bytes[..range.start], count, &bytes[range.end..]].concat();
                let (result, allocated) = bytes_allocated(|| (case.ours_walked)(version, &hostile));
                assert!(result.is_err(), "{} {version}", case.name);
                assert_eq!(allocated, 0, "{} {version}", case.name);
            }
        });
        let has_arrays = format!("{:?}", case.kind).contains("Array");
        assert_eq!(positions > 0, has_arrays, "{}", case.name);
    }
}
