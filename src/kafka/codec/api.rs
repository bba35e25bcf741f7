//! The APIs served: key, versions and first flexible version of each, in one place.

use std::ops::RangeInclusive;

macro_rules! apis {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $from:literal - $to:literal, flexible $flexible:expr;)*) => {
        /// An API of the protocol that this node knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum Api {
            $($(#[$doc])* $name = $key,)*
        }

        impl Api {
            /// All of them, in the order of their keys.
            pub const ALL: &'static [Api] = &[$(Api::$name,)*];

            /// The API with that key.
            pub const fn from_key(key: i16) -> Option<Api> {
                match key {
                    $($key => Some(Api::$name),)*
                    _ => None,
                }
            }

            /// The protocol's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Api::$name => stringify!($name),)*
                }
            }

            /// The versions to advertise.
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(Api::$name => $from..=$to,)*
                }
            }

            const fn flexible_from(self) -> i16 {
                match self {
                    $(Api::$name => $flexible,)*
                }
            }
        }
    };
}

apis! {
    /// 0-2 are advertised for the sake of librdkafka's compression check, and answered with UNSUPPORTED_VERSION.
    Produce = 0, 0-13, flexible 9;
    Fetch = 1, 4-17, flexible 12;
    ListOffsets = 2, 1-10, flexible 6;
    Metadata = 3, 0-13, flexible 9;
    OffsetCommit = 8, 2-9, flexible 8;
    OffsetFetch = 9, 1-9, flexible 6;
    FindCoordinator = 10, 0-5, flexible 3;
    JoinGroup = 11, 0-9, flexible 6;
    Heartbeat = 12, 0-4, flexible 4;
    LeaveGroup = 13, 0-5, flexible 4;
    SyncGroup = 14, 0-5, flexible 4;
    DescribeGroups = 15, 0-6, flexible 5;
    ListGroups = 16, 0-5, flexible 3;
    ApiVersions = 18, 0-4, flexible 3;
    CreateTopics = 19, 2-7, flexible 5;
    DeleteTopics = 20, 1-6, flexible 4;
    DeleteRecords = 21, 0-2, flexible 2;
    InitProducerId = 22, 0-5, flexible 2;
    OffsetForLeaderEpoch = 23, 2-4, flexible 4;
    DescribeAcls = 29, 1-3, flexible 2;
    CreateAcls = 30, 1-3, flexible 2;
    DeleteAcls = 31, 1-3, flexible 2;
    DescribeConfigs = 32, 1-4, flexible 4;
    AlterConfigs = 33, 0-2, flexible 2;
    DescribeLogDirs = 35, 1-4, flexible 2;
    CreatePartitions = 37, 0-3, flexible 2;
    DeleteGroups = 42, 0-2, flexible 2;
    ElectLeaders = 43, 0-2, flexible 2;
    IncrementalAlterConfigs = 44, 0-1, flexible 1;
    AlterPartitionReassignments = 45, 0-1, flexible 0;
    ListPartitionReassignments = 46, 0-0, flexible 0;
    OffsetDelete = 47, 0-0, flexible 1;
    DescribeClientQuotas = 48, 0-1, flexible 1;
    AlterClientQuotas = 49, 0-1, flexible 1;
    DescribeUserScramCredentials = 50, 0-0, flexible 0;
    AlterUserScramCredentials = 51, 0-0, flexible 0;
    DescribeQuorum = 55, 0-2, flexible 0;
    UpdateFeatures = 57, 0-2, flexible 0;
    DescribeCluster = 60, 0-2, flexible 0;
    DescribeProducers = 61, 0-0, flexible 0;
    DescribeTransactions = 65, 0-0, flexible 0;
    ListTransactions = 66, 0-2, flexible 0;
    ConsumerGroupHeartbeat = 68, 0-1, flexible 0;
    ConsumerGroupDescribe = 69, 0-1, flexible 0;
    ListConfigResources = 74, 0-1, flexible 0;
    DescribeTopicPartitions = 75, 0-0, flexible 0;
}

impl Api {
    /// The number that names it in a request.
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// True when that version is advertised.
    pub const fn has(self, version: i16) -> bool {
        let versions = self.versions();
        *versions.start() <= version && version <= *versions.end()
    }

    /// True for versions with compact lengths and tagged fields.
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// True when the response's header ends with tagged fields; never for ApiVersions, whose client cannot know yet.
    pub const fn has_tagged_response_header(self, version: i16) -> bool {
        self.is_flexible(version) && !matches!(self, Api::ApiVersions)
    }
}
