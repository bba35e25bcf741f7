//! Bytes <-> typed packets of MQTT 3.1.1 and 5, borrowed where it is hot.
//!
//! A thin safe wall around `rumqttd::protocol`: `frame` cuts and judges packets before anything decodes them, `text` and
//! `properties` check what the crate does not, `control` and `connect` let it decode and encode the packets of a
//! session's edges, `publish` reads and writes messages itself. Nothing outside this directory names the crate.

mod connect;
mod control;
mod frame;
pub mod properties;
mod publish;
mod text;

pub use connect::{Connect, ConnectRefused, read as read_connect};
pub use control::{
    Ack, FilterRequest, PINGRESP, Welcome, read_ack, read_disconnect, read_subscribe, read_unsubscribe, write_ack,
    write_disconnect, write_refusal, write_suback, write_unsuback, write_welcome,
};
pub use frame::{Header, PacketType, Version, header};
pub use publish::{Delivery, Publish, Qos, read as read_publish, write_binary};
pub use text::{is_filter, topic_name, utf8};
