//! Whole frames: the headers of requests and responses, and the length in front.
//!
//! A request header is 1 or 2, chosen by the body's version: both have a client id with a 16-bit length, 2 ends with
//! tagged fields. A response header is 0 or 1, which differ by the tagged fields only.

use super::{Api, Decode, Decoder, Encoder, Full, Message};
use crate::types::ReadError;

/// Bytes of the length in front of every frame.
const LENGTH_BYTES: usize = 4;

/// A request's header, and its body yet to be read.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub api: Api,
    /// In which version; one that the API has.
    pub version: i16,
    /// To be repeated in the response.
    pub correlation_id: i32,
    /// What the client calls itself; `None` also when that is not UTF-8.
    pub client_id: Option<&'a str>,
    body: &'a [u8],
}

/// Why a frame is not a request that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No such API here. There is no answer that the client would understand.
    UnknownApi {
        /// The key it asked for.
        key: i16,
    },
    /// The API exists, the version does not. ApiVersions is to be answered in version 0, others cannot be.
    UnsupportedVersion {
        /// What is asked.
        api: Api,
        /// In which version.
        version: i16,
        /// To be repeated in the response.
        correlation_id: i32,
    },
    /// The header ends early.
    Malformed(ReadError),
}

impl From<ReadError> for RequestError {
    fn from(error: ReadError) -> RequestError {
        RequestError::Malformed(error)
    }
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RequestError::UnknownApi { key } => write!(f, "there is no API {key} here"),
            RequestError::UnsupportedVersion { api, version, .. } => {
                write!(f, "{} has no version {version} here", api.name())
            }
            RequestError::Malformed(error) => write!(f, "not a request: {error}"),
        }
    }
}

impl std::error::Error for RequestError {}

impl<'a> Request<'a> {
    /// Reads the header of `frame`, which begins after the length.
    pub fn parse(frame: &'a [u8]) -> Result<Request<'a>, RequestError> {
        let mut start = Decoder::new(frame, 0, false);
        let key = i16::read(&mut start, false)?;
        let version = i16::read(&mut start, false)?;
        let correlation_id = i32::read(&mut start, false)?;
        let api = Api::from_key(key).ok_or(RequestError::UnknownApi { key })?;
        if !api.has(version) {
            return Err(RequestError::UnsupportedVersion { api, version, correlation_id });
        }
        let client_id = match start.text(true) {
            Err(ReadError::BadText) => None,
            other => other?,
        };
        if api.is_flexible(version) {
            start.tags(&mut |_, _| Ok(()))?;
        }
        Ok(Request { api, version, correlation_id, client_id, body: start.rest() })
    }

    /// Reads the body. `M` must be the request of `self.api`.
    pub fn body<M: Message + Decode<'a>>(&self) -> Result<M, ReadError> {
        debug_assert_eq!(M::API, self.api);
        M::decode(self.version, self.body)
    }
}

/// Bytes that `write_response` appends.
pub fn response_size<M: Message>(version: i16, message: &M) -> usize {
    let mut encoder = Encoder::counting(version, M::API.is_flexible(version));
    encoder.i32(0);
    response(&mut encoder, version, 0, message);
    encoder.written()
}

/// Appends a response with length and header, within the capacity of `out`, or leaves `out` as it was. The length
/// counts `Records::Apart` too.
pub fn write_response<M: Message>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    message: &M,
) -> Result<(), Full> {
    framed(out, version, M::API.is_flexible(version), |encoder| response(encoder, version, correlation_id, message))
}

/// Appends a request with length and header, within the capacity of `out`, or leaves `out` as it was.
pub fn write_request<M: Message>(
    out: &mut Vec<u8>,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    message: &M,
) -> Result<(), Full> {
    framed(out, version, M::API.is_flexible(version), |encoder| {
        encoder.i16(M::API.key());
        encoder.i16(version);
        encoder.i32(correlation_id);
        encoder.short_text(client_id);
        if encoder.is_flexible() {
            encoder.unsigned_varint(0);
        }
        message.write(encoder, false);
    })
}

/// The correlation id of a response frame, which begins after the length.
pub fn start_of_response(frame: &[u8]) -> Result<i32, ReadError> {
    i32::read(&mut Decoder::new(frame, 0, false), false)
}

/// Reads a response frame, which begins after the length: its correlation id and its body.
pub fn read_response<'a, M: Message + Decode<'a>>(version: i16, frame: &'a [u8]) -> Result<(i32, M), ReadError> {
    let mut decoder = Decoder::new(frame, version, M::API.is_flexible(version));
    let correlation_id = i32::read(&mut decoder, false)?;
    if M::API.has_tagged_response_header(version) {
        decoder.tags(&mut |_, _| Ok(()))?;
    }
    Ok((correlation_id, M::read(&mut decoder, false)?))
}

fn response<M: Message>(encoder: &mut Encoder<'_>, version: i16, correlation_id: i32, message: &M) {
    encoder.i32(correlation_id);
    if M::API.has_tagged_response_header(version) {
        encoder.unsigned_varint(0);
    }
    message.write(encoder, false);
}

fn framed(out: &mut Vec<u8>, version: i16, flexible: bool, write: impl FnOnce(&mut Encoder<'_>)) -> Result<(), Full> {
    let start = out.len();
    let mut encoder = Encoder::new(out, version, flexible);
    encoder.i32(0);
    write(&mut encoder);
    let apart = encoder.apart();
    match encoder.finish() {
        Ok(written) => {
            let length = (written - LENGTH_BYTES + apart) as i32;
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(full) => {
            out.truncate(start);
            Err(full)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::kafka::codec::*;
    use crate::types::{Offset, TopicId};

    /// A request that is written is read back, in the last version and the first, header and body.
    #[test]
    fn request_round_trip() {
        for version in [0, 13] {
            let mut out = Vec::with_capacity(100);
            let topics = [MetadataRequestTopic { name: Some("readings"), topic_id: TopicId::ZERO }];
            let message = MetadataRequest { topics: Some(Array::of(&topics)), ..Default::default() };
            write_request(&mut out, version, 7, Some("me"), &message).unwrap();
            assert_eq!(out[..4], (out.len() as i32 - 4).to_be_bytes());
            out.extend([1, 2, 3]); // as librdkafka does
            let request = Request::parse(&out[4..]).unwrap();
            assert_eq!((request.api, request.version, request.correlation_id), (Api::Metadata, version, 7));
            assert_eq!(request.client_id, Some("me"));
            let body: MetadataRequest<'_> = request.body().unwrap();
            assert!(body.topics.unwrap().iter().map(|topic| topic.name).eq([Some("readings")]));
        }
    }

    /// What cannot be served is told apart, because only some of it can be answered.
    #[test]
    fn request_errors() {
        let parse = |bytes: &[u8]| Request::parse(bytes).map(|request| request.api);
        assert_eq!(parse(&[0, 77, 0, 0, 0, 0, 0, 1]), Err(RequestError::UnknownApi { key: 77 }));
        assert_eq!(
            parse(&[0, 18, 0, 9, 0, 0, 0, 1]),
            Err(RequestError::UnsupportedVersion { api: Api::ApiVersions, version: 9, correlation_id: 1 })
        );
        assert_eq!(parse(&[0, 18, 0]), Err(RequestError::Malformed(ReadError::Truncated)));
        assert_eq!(parse(&[0, 18, 0, 0, 0, 0, 0, 1, 0, 1, 0xff]), Ok(Api::ApiVersions), "a client id in Latin-1");
    }

    /// Records that lie apart are counted by the frame, and their place in the buffer is told.
    #[test]
    fn records_apart() {
        let position = Cell::new(0);
        let partitions = [PartitionData {
            records: Records::Apart { length: 3, position: &position },
            high_watermark: Offset(5),
            ..Default::default()
        }];
        let topics = |out: &mut Elements<'_, '_, FetchableTopicResponse<'static>>| {
            out.put(FetchableTopicResponse { partitions: Array::of(&partitions), ..Default::default() });
        };
        let response = FetchResponse { responses: Array::each(&topics), ..Default::default() };
        for version in [4, 12, 17] {
            let mut out = Vec::with_capacity(response_size(version, &response));
            write_response(&mut out, version, 1, &response).unwrap();
            assert_eq!(out.len(), out.capacity());
            assert_eq!(out[..4], (out.len() as i32 - 4 + 3).to_be_bytes());
            let at = position.get();
            out.splice(at..at, *b"abc");
            let (_, read) = read_response::<FetchResponse<'_>>(version, &out[4..]).unwrap();
            let partition = read.responses.iter().next().unwrap().partitions.iter().next().unwrap();
            assert_eq!((partition.records.here(), partition.high_watermark), (&b"abc"[..], Offset(5)));
        }
    }

    /// A response that does not fit leaves the buffer as it was.
    #[test]
    fn too_small_a_buffer() {
        let mut out = Vec::with_capacity(8);
        out.push(9);
        let response = DescribeClusterResponse { cluster_id: "a cluster with a name", ..Default::default() };
        assert_eq!(write_response(&mut out, 0, 1, &response), Err(Full));
        assert_eq!((out.as_slice(), out.capacity()), (&[9][..], 8));
    }
}
