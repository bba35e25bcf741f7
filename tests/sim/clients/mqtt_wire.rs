//! The few packets of MQTT 3.1.1 that the simulated clients speak.

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// With the return code.
    Connack(u8),
    Puback(u16),
    Suback(u8),
    /// Quality of service, duplicate, packet id, payload.
    Publish(u8, bool, u16, Vec<u8>),
    Pingresp,
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub fn connect(client: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.extend_from_slice(&[4, 0x02, 0, 20]); // clean, and twenty seconds
    text(&mut body, client);
    packet(0x10, &body)
}

pub fn publish(topic: &str, id: u16, is_again: bool, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend_from_slice(&id.to_be_bytes());
    body.extend_from_slice(payload);
    packet(0x32 | if is_again { 0x08 } else { 0 }, &body)
}

pub fn subscribe(id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    text(&mut body, filter);
    body.push(1);
    packet(0x82, &body)
}

pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub fn pingreq() -> Vec<u8> {
    packet(0xc0, &[])
}

/// Takes whole packets off the front.
pub fn take(inbox: &mut Vec<u8>) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let Some((first, start, end)) = head(inbox) {
        let body = &inbox[start..end];
        let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        packets.push(match first >> 4 {
            2 => Packet::Connack(body[1]),
            3 => {
                let topic = id(0) as usize;
                let quality = first >> 1 & 3;
                let (number, from) = if quality > 0 { (id(2 + topic), 4 + topic) } else { (0, 2 + topic) };
                Packet::Publish(quality, first & 8 != 0, number, body[from..].to_vec())
            }
            4 => Packet::Puback(id(0)),
            9 => Packet::Suback(body[2]),
            13 => Packet::Pingresp,
            other => panic!("a packet of type {other}"),
        });
        inbox.drain(..end);
    }
    packets
}

/// First byte, where the body begins and ends, when all of it is there.
fn head(inbox: &[u8]) -> Option<(u8, usize, usize)> {
    let first = *inbox.first()?;
    let mut length = 0;
    for at in 0..4 {
        let byte = *inbox.get(1 + at)?;
        length |= ((byte & 0x7f) as usize) << (7 * at);
        if byte & 0x80 == 0 {
            let end = 2 + at + length;
            return (inbox.len() >= end).then_some((first, 2 + at, end));
        }
    }
    panic!("a length of more than four bytes")
}
