//! Requests made of the message table: every API, every version, fields filled by chance with what finds something.

use tern::kafka::codec::*;
use tern::types::Rng;

/// The words that stand in texts: topics and groups that exist, and some that cannot.
const WORDS: [&str; 7] = ["t", "h", "u", "", "no!", "__consumer_offsets", "range"];

/// A whole request frame of any API in any version that is advertised.
pub fn request(rng: &mut Rng) -> Vec<u8> {
    let api = Api::ALL[rng.below(Api::ALL.len() as u64) as usize];
    let versions = api.versions();
    let version = *versions.start() + rng.below((versions.end() - versions.start() + 1) as u64) as i16;
    of(rng, api, version)
}

/// A whole request frame.
pub fn of(rng: &mut Rng, api: Api, version: i16) -> Vec<u8> {
    let flexible = api.is_flexible(version);
    let mut body = vec![0, 0, 0, 0];
    body.extend(api.key().to_be_bytes());
    body.extend(version.to_be_bytes());
    body.extend((rng.next() as i32).to_be_bytes());
    body.extend([0, 2, b'i', b'd']);
    if flexible {
        body.push(0);
    }
    Body { out: &mut body, rng, version, flexible }.value(kind(api));
    let length = (body.len() - 4) as u32;
    body[..4].copy_from_slice(&length.to_be_bytes());
    body
}

fn kind(api: Api) -> Kind {
    match api {
        Api::Produce => ProduceRequest::KIND,
        Api::Fetch => FetchRequest::KIND,
        Api::ListOffsets => ListOffsetsRequest::KIND,
        Api::Metadata => MetadataRequest::KIND,
        Api::OffsetCommit => OffsetCommitRequest::KIND,
        Api::OffsetFetch => OffsetFetchRequest::KIND,
        Api::FindCoordinator => FindCoordinatorRequest::KIND,
        Api::JoinGroup => JoinGroupRequest::KIND,
        Api::Heartbeat => HeartbeatRequest::KIND,
        Api::LeaveGroup => LeaveGroupRequest::KIND,
        Api::SyncGroup => SyncGroupRequest::KIND,
        Api::DescribeGroups => DescribeGroupsRequest::KIND,
        Api::ListGroups => ListGroupsRequest::KIND,
        Api::CreateTopics => CreateTopicsRequest::KIND,
        Api::DeleteTopics => DeleteTopicsRequest::KIND,
        Api::InitProducerId => InitProducerIdRequest::KIND,
        Api::DescribeConfigs => DescribeConfigsRequest::KIND,
        Api::CreatePartitions => CreatePartitionsRequest::KIND,
        Api::DeleteGroups => DeleteGroupsRequest::KIND,
        Api::OffsetDelete => OffsetDeleteRequest::KIND,
        Api::OffsetForLeaderEpoch => OffsetForLeaderEpochRequest::KIND,
        Api::DescribeCluster => DescribeClusterRequest::KIND,
        Api::ConsumerGroupHeartbeat => ConsumerGroupHeartbeatRequest::KIND,
        Api::ConsumerGroupDescribe => ConsumerGroupDescribeRequest::KIND,
        Api::DescribeAcls => DescribeAclsRequest::KIND,
        Api::CreateAcls => CreateAclsRequest::KIND,
        Api::DeleteAcls => DeleteAclsRequest::KIND,
        Api::ElectLeaders => ElectLeadersRequest::KIND,
        Api::AlterPartitionReassignments => AlterPartitionReassignmentsRequest::KIND,
        Api::ListPartitionReassignments => ListPartitionReassignmentsRequest::KIND,
        Api::DescribeClientQuotas => DescribeClientQuotasRequest::KIND,
        Api::AlterClientQuotas => AlterClientQuotasRequest::KIND,
        Api::DescribeUserScramCredentials => DescribeUserScramCredentialsRequest::KIND,
        Api::AlterUserScramCredentials => AlterUserScramCredentialsRequest::KIND,
        Api::DescribeQuorum => DescribeQuorumRequest::KIND,
        Api::UpdateFeatures => UpdateFeaturesRequest::KIND,
        Api::DescribeProducers => DescribeProducersRequest::KIND,
        Api::DescribeTransactions => DescribeTransactionsRequest::KIND,
        Api::ListTransactions => ListTransactionsRequest::KIND,
        Api::ListConfigResources => ListConfigResourcesRequest::KIND,
        Api::DescribeTopicPartitions => DescribeTopicPartitionsRequest::KIND,
        Api::DeleteRecords => DeleteRecordsRequest::KIND,
        Api::AlterConfigs => AlterConfigsRequest::KIND,
        Api::IncrementalAlterConfigs => IncrementalAlterConfigsRequest::KIND,
        Api::DescribeLogDirs => DescribeLogDirsRequest::KIND,
        Api::ApiVersions => ApiVersionsRequest::KIND,
    }
}

struct Body<'a> {
    out: &'a mut Vec<u8>,
    rng: &'a mut Rng,
    version: i16,
    flexible: bool,
}

impl Body<'_> {
    fn value(&mut self, kind: Kind) {
        match kind {
            Kind::Bool => self.out.push(self.rng.below(2) as u8),
            Kind::Integer(bytes) => {
                let value = match self.rng.below(8) {
                    0 => self.rng.next() as i64,
                    1 => -1,
                    2 => -2,
                    3 => i64::MAX,
                    _ => self.rng.below(4) as i64,
                };
                self.out.extend(&value.to_be_bytes()[8 - bytes..]);
            }
            Kind::Uuid => self.out.extend([self.rng.below(2) as u8; 16]),
            Kind::Text => {
                let word = WORDS[self.rng.below(WORDS.len() as u64) as usize];
                self.length(word.len(), true);
                self.out.extend(word.bytes());
            }
            Kind::Bytes => {
                let bytes = if self.rng.one_in(3) { crate::client::batch(1, 9) } else { vec![7; 5] };
                self.length(bytes.len(), false);
                self.out.extend(bytes);
            }
            Kind::Array(element) => {
                let count = self.rng.below(4) as usize;
                self.length(count, false);
                (0..count).for_each(|_| self.value(*element));
            }
            Kind::OptionalStruct(_) if self.rng.one_in(3) => self.out.push(0xff),
            Kind::OptionalStruct(inner) => {
                self.out.push(1);
                self.value(*inner);
            }
            Kind::Struct(fields) => {
                let version = self.version;
                for field in fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version)) {
                    self.value(field.kind);
                }
                if self.flexible {
                    self.out.push(0);
                }
            }
        }
    }

    /// A length or count that is what it says; null is left to the mutations.
    fn length(&mut self, length: usize, is_text: bool) {
        match (self.flexible, is_text) {
            (true, _) => {
                let mut rest = length + 1;
                while rest >= 0x80 {
                    self.out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                self.out.push(rest as u8);
            }
            (false, true) => self.out.extend((length as i16).to_be_bytes()),
            (false, false) => self.out.extend((length as i32).to_be_bytes()),
        }
    }
}
