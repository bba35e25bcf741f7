//! Kafka's wire protocol: bytes to borrowed messages and back, with no heap and no side effect.
//!
//! One table (`messages/`, a line a field) generates for each message a plain struct that is read from a frame and
//! written into a buffer, so server and client share it. Reading borrows from the frame: strings and byte runs are
//! slices of it, an [`Array`] is checked once and decoded again whenever it is iterated. Writing goes straight into a
//! buffer that never grows beyond its capacity; [`Message::size`] tells beforehand how large that must be.
//!
//! Invariants:
//! * a length or count read from the input is compared with the bytes that remain before anything else happens, so
//!   that a count of 2^31-1 costs nothing; reading allocates nothing and its nesting is that of the table;
//! * bytes after a message are legal (librdkafka sends some), unknown tagged fields are skipped;
//! * a field that a version does not have takes its default when read and is left out when written.
//!
//! Callers: the Kafka door, and the command line's own client.

mod api;
mod array;
mod decode;
mod encode;
mod frame;
#[macro_use]
mod table;
mod messages;

pub use api::Api;
pub use array::{Array, Elements, Iter};
pub use decode::{Decode, Decoder};
pub use encode::{Encode, Encoder, Full, Records};
pub use frame::{
    Request, RequestError, read_response, response_size, start_of_response, write_request, write_response,
};
pub use messages::*;
pub use table::{FieldSchema, Kind, Message, Versions};
