//! MQTT 5 reason codes, what 3.1.1 says instead, and what an engine's refusal means to a publisher.
//!
//! MQTT 3.1.1 cannot refuse one message, so a 3.1.1 connection is closed where a version 5 client reads a reason.

use crate::engine::{AppendError, TopicError};

/// Reason codes that this door sends (MQTT 5, section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// Success; in DISCONNECT a normal end.
    Success = 0x00,
    /// None of the others.
    Unspecified = 0x80,
    /// Cannot be parsed.
    MalformedPacket = 0x81,
    /// Parsed, and forbidden.
    ProtocolError = 0x82,
    /// Legal, and not accepted here.
    ImplementationSpecific = 0x83,
    /// CONNECT: neither 3.1.1 nor 5.
    UnsupportedProtocolVersion = 0x84,
    /// CONNECT: too long, or empty where that is not allowed.
    ClientIdentifierNotValid = 0x85,
    /// The node is stopping.
    ServerShuttingDown = 0x8b,
    /// CONNECT or AUTH: enhanced authentication is not spoken here.
    BadAuthenticationMethod = 0x8c,
    /// Nothing was heard for one and a half keep-alive intervals.
    KeepAliveTimeout = 0x8d,
    /// The same client id connected again.
    SessionTakenOver = 0x8e,
    /// SUBACK: not a filter.
    TopicFilterInvalid = 0x8f,
    /// Not a topic name, or one that no rule maps to a legal Kafka topic.
    TopicNameInvalid = 0x90,
    /// PUBREL, PUBREC: no such exchange.
    PacketIdentifierNotFound = 0x92,
    /// More unacknowledged publishes than CONNACK allowed.
    ReceiveMaximumExceeded = 0x93,
    /// A topic alias of 0, above the maximum, or never set.
    TopicAliasInvalid = 0x94,
    /// Larger than CONNACK allowed.
    PacketTooLarge = 0x95,
    /// A bound of ours: disk space, message size, topics, subscriptions.
    QuotaExceeded = 0x97,
    /// CONNACK said that there are no retained messages.
    RetainNotSupported = 0x9a,
    /// SUBACK: `$share` is not built yet.
    SharedSubscriptionsNotSupported = 0x9e,
}

impl Reason {
    /// The byte on the wire of version 5.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// True when nothing was done.
    pub const fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }

    /// The return code of a 3.1.1 CONNACK (section 3.2.2.3); `None`: close without one.
    pub const fn connack_v4(self) -> Option<u8> {
        match self {
            Reason::Success => Some(0),
            Reason::UnsupportedProtocolVersion => Some(1),
            Reason::ClientIdentifierNotValid => Some(2),
            Reason::ServerShuttingDown | Reason::QuotaExceeded => Some(3),
            _ => None,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reason::Success => "normal end",
            Reason::Unspecified => "unspecified error",
            Reason::MalformedPacket => "malformed packet",
            Reason::ProtocolError => "protocol error",
            Reason::ImplementationSpecific => "not accepted by this server",
            Reason::UnsupportedProtocolVersion => "neither MQTT 3.1.1 nor 5",
            Reason::ClientIdentifierNotValid => "client identifier not valid",
            Reason::ServerShuttingDown => "the node is stopping",
            Reason::BadAuthenticationMethod => "enhanced authentication is not supported",
            Reason::KeepAliveTimeout => "keep-alive timeout",
            Reason::SessionTakenOver => "the client id connected again",
            Reason::TopicFilterInvalid => "topic filter not valid",
            Reason::TopicNameInvalid => "topic name not valid, or not mapped to a legal Kafka topic",
            Reason::PacketIdentifierNotFound => "packet identifier not found",
            Reason::ReceiveMaximumExceeded => "receive maximum exceeded",
            Reason::TopicAliasInvalid => "topic alias not valid",
            Reason::PacketTooLarge => "packet too large",
            Reason::QuotaExceeded => "quota exceeded",
            Reason::RetainNotSupported => "retained messages are not supported",
            Reason::SharedSubscriptionsNotSupported => "shared subscriptions are not supported",
        })
    }
}

/// What becomes of a message that the engine did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Memory: stop reading the publisher, offer the message again at the next turn's end. QoS 0 is dropped.
    Busy,
    /// The partition is not led here (yet): stop reading the publisher, try again a little later. QoS 0 is dropped.
    Later,
    /// The partition is gone: look the topic up again.
    Stale,
    /// Tell the publisher. QoS 0 is dropped.
    Answer(Reason),
}

impl From<&AppendError> for Refusal {
    fn from(error: &AppendError) -> Refusal {
        match error {
            AppendError::Busy => Refusal::Busy,
            AppendError::NotLeader | AppendError::NotEnoughReplicas | AppendError::NotEnoughReplicasAfterAppend => {
                Refusal::Later
            }
            AppendError::UnknownPartition => Refusal::Stale,
            AppendError::DiskFull | AppendError::TooLarge { .. } => Refusal::Answer(Reason::QuotaExceeded),
            AppendError::Stopping => Refusal::Answer(Reason::ServerShuttingDown),
            AppendError::BadBatch(_)
            | AppendError::OutOfOrderSequence
            | AppendError::InvalidProducerEpoch
            | AppendError::Storage(_) => Refusal::Answer(Reason::ImplementationSpecific),
        }
    }
}

impl From<&TopicError> for Refusal {
    fn from(error: &TopicError) -> Refusal {
        match error {
            TopicError::Unavailable(_) => Refusal::Later,
            TopicError::TooMany(_) => Refusal::Answer(Reason::QuotaExceeded),
            // "Already exists" is a name that collides with another one, `a.b` with `a_b`.
            TopicError::InvalidName(_) | TopicError::AlreadyExists | TopicError::UnknownTopic => {
                Refusal::Answer(Reason::TopicNameInvalid)
            }
            TopicError::UnknownTopicId
            | TopicError::InvalidPartitions(_)
            | TopicError::InvalidReplicationFactor(_)
            | TopicError::InvalidAssignment(_)
            | TopicError::InvalidConfig(_)
            | TopicError::InvalidRequest(_)
            | TopicError::DeletionDisabled => Refusal::Answer(Reason::ImplementationSpecific),
        }
    }
}

/// The reason for a publisher whose record was refused after it was queued. Nothing of it is in the log.
pub fn append_failed(error: &AppendError) -> Reason {
    match Refusal::from(error) {
        Refusal::Answer(reason) => reason,
        Refusal::Busy | Refusal::Later | Refusal::Stale => Reason::Unspecified,
    }
}
