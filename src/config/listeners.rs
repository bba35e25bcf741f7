//! Where the doors listen, and what clients are told to dial.
//!
//! Alone and without a word about listeners, every door binds the loopback. With `server.N` lines, or with a bare port
//! (`port`, `clientPort`), doors bind all interfaces and advertise this node's host of its own `server.N` line.

use super::layers::Assigned;
use super::values::Values;
use super::{Endpoint, KafkaListener, Member};

const LISTENER_FORM: &str = "NAME://HOST:PORT[,NAME://HOST:PORT...]";
const LOOPBACK: &str = "127.0.0.1";

/// What all doors share.
pub(super) struct Surroundings<'a> {
    /// Doors bind all interfaces unless they are told otherwise.
    pub open: bool,
    /// This node's own `server.N` line.
    pub own: Option<&'a Member>,
    /// What others call this machine, when no line says so.
    pub hostname: &'a str,
}

impl Surroundings<'_> {
    fn bind_host(&self) -> &'static str {
        if self.open { "" } else { LOOPBACK }
    }

    fn dial_host(&self) -> &str {
        self.own.map_or(self.hostname, |member| &member.host)
    }
}

/// A listener that was asked for, before it is known what clients are told.
struct Named {
    name: String,
    endpoint: Endpoint,
}

/// `listeners` and all that belongs to it. Never empty.
pub(super) fn read_kafka(values: &mut Values<'_>, around: &Surroundings<'_>) -> (Vec<KafkaListener>, usize) {
    let mut bound = read_bound(values, around);
    drop_controllers(values, &mut bound);
    check_protocols(values, &bound);
    let advertised = read_advertised(values, &bound);
    let mut derived = None;
    let listeners: Vec<KafkaListener> = bound
        .into_iter()
        .map(|Named { name, endpoint: bind }| {
            let told = advertised.iter().find(|told| told.name == name).map(|told| told.endpoint.clone());
            let advertised = told.unwrap_or_else(|| {
                let host = if bind.is_any() { around.dial_host() } else { &bind.host };
                derived = Some(());
                Endpoint::new(host, bind.port)
            });
            KafkaListener { name, bind, advertised }
        })
        .collect();
    let show = |pick: fn(&KafkaListener) -> &Endpoint| {
        listeners.iter().map(|l| format!("{}://{}", l.name, pick(l))).collect::<Vec<_>>().join(",")
    };
    if values.text("listeners").is_none() {
        values.show("listeners", show(|l| &l.bind), "default");
    }
    if derived.is_some() {
        let source = values.text("advertised.listeners").map_or("default", |assigned| &assigned.source);
        values.show("advertised.listeners", show(|l| &l.advertised), source);
    }
    let inter_broker = read_inter_broker(values, &listeners);
    (listeners, inter_broker)
}

fn read_bound(values: &mut Values<'_>, around: &Surroundings<'_>) -> Vec<Named> {
    if let Some(assigned) = values.text("listeners") {
        let bound = read_list(values, "listeners", assigned);
        if !bound.is_empty() {
            return bound;
        }
    }
    let port = values.optional_int("port").unwrap_or(9092) as u16;
    let host = values.text("host.name").map(|assigned| assigned.value.trim().trim_matches(['[', ']']));
    vec![Named { name: "PLAINTEXT".to_owned(), endpoint: Endpoint::new(host.unwrap_or(around.bind_host()), port) }]
}

/// Reads `NAME://HOST:PORT,...`; names in capitals, each once.
fn read_list(values: &mut Values<'_>, key: &str, assigned: &Assigned) -> Vec<Named> {
    let mut list: Vec<Named> = Vec::new();
    for piece in assigned.value.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let parsed = piece.split_once("://").and_then(|(name, rest)| Some((name, Endpoint::parse(rest)?)));
        let Some((name, endpoint)) = parsed.filter(|(name, _)| is_name(name)) else {
            values.error(&assigned.source, key, &assigned.value, &format!("\"{piece}\" is no listener"), LISTENER_FORM);
            continue;
        };
        let name = name.to_ascii_uppercase();
        if list.iter().any(|other| other.name == name) {
            let problem = format!("{name} stands twice");
            values.error(&assigned.source, key, &assigned.value, &problem, "each name once");
            continue;
        }
        list.push(Named { name, endpoint });
    }
    if list.is_empty() && values.errors.is_empty() {
        values.error(&assigned.source, key, &assigned.value, "it names no listener", LISTENER_FORM);
    }
    list
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// A KRaft controller's listeners are nobody's here.
fn drop_controllers(values: &mut Values<'_>, bound: &mut Vec<Named>) {
    let Some(assigned) = values.text("controller.listener.names") else { return };
    let names: Vec<String> = assigned.value.split(',').map(|name| name.trim().to_ascii_uppercase()).collect();
    let before = bound.len();
    if bound.len() > 1 {
        bound.retain(|listener| !names.contains(&listener.name));
    }
    if bound.len() < before {
        let source = &assigned.source;
        let list = names.join(", ");
        values
            .warnings
            .push(format!("{source}: the listener {list} is left out: the quorum uses the ports of server.N"));
    }
}

/// Refuses to serve in the clear what was meant to be protected.
fn check_protocols(values: &mut Values<'_>, bound: &[Named]) {
    let key = "listener.security.protocol.map";
    let map = values.text(key);
    let mut protocols: Vec<(String, String)> = Vec::new();
    for piece in
        map.iter().flat_map(|assigned| assigned.value.split(',')).map(str::trim).filter(|piece| !piece.is_empty())
    {
        match piece.split_once(':') {
            Some((name, protocol)) => {
                protocols.push((name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase()))
            }
            None => {
                let source = map.map(|assigned| assigned.source.as_str()).unwrap_or_default();
                values.error(source, key, piece, "it maps nothing", "NAME:PLAINTEXT[,NAME:PLAINTEXT...]");
            }
        }
    }
    for listener in bound {
        let mapped = protocols.iter().find(|(name, _)| *name == listener.name).map(|(_, protocol)| protocol.as_str());
        let is_protocol = matches!(listener.name.as_str(), "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL");
        let (place, protocol) = match (mapped, map, values.text("listeners")) {
            (Some("PLAINTEXT"), _, _) => continue,
            (None, _, _) if listener.name == "PLAINTEXT" => continue,
            (Some(protocol), Some(place), _) => (place, protocol),
            (_, _, Some(place)) if is_protocol => (place, listener.name.as_str()),
            (_, None, Some(place)) | (_, Some(place), _) => {
                let problem = format!("the listener {} has no protocol", listener.name);
                let allowed = format!("an entry {}:PLAINTEXT in {key}", listener.name);
                let name = if map.is_some() { key } else { "listeners" };
                values.error(&place.source, name, &place.value, &problem, &allowed);
                continue;
            }
            (_, None, None) => continue,
        };
        let problem = format!("the listener {} asks for {protocol}, which this version does not speak", listener.name);
        let name = if mapped.is_some() { key } else { "listeners" };
        values.error(&place.source, name, &place.value, &problem, "PLAINTEXT");
    }
}

/// What clients are told, as far as it is said.
fn read_advertised(values: &mut Values<'_>, bound: &[Named]) -> Vec<Named> {
    let key = "advertised.listeners";
    let Some(assigned) = values.text(key) else { return read_advertised_host(values, bound) };
    let mut advertised = read_list(values, key, assigned);
    advertised.retain(|told| {
        let names = bound.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(", ");
        if told.endpoint.is_any() {
            let problem = format!("nobody can dial {}", told.endpoint);
            values.error(&assigned.source, key, &assigned.value, &problem, "a host name or address that clients reach");
        } else if bound.iter().any(|listener| listener.name == told.name) {
            return true;
        } else if values.text("controller.listener.names").is_none() {
            let problem = format!("there is no listener {}", told.name);
            values.error(&assigned.source, key, &assigned.value, &problem, &names);
        }
        false
    });
    advertised
}

/// `advertised.host.name` and `advertised.port`, older than listeners.
fn read_advertised_host(values: &mut Values<'_>, bound: &[Named]) -> Vec<Named> {
    let port = values.optional_int("advertised.port");
    let (Some(host), Some(first)) = (values.text("advertised.host.name"), bound.first()) else { return Vec::new() };
    let endpoint =
        Endpoint::new(host.value.trim().trim_matches(['[', ']']), port.map_or(first.endpoint.port, |port| port as u16));
    vec![Named { name: first.name.clone(), endpoint }]
}

fn read_inter_broker(values: &mut Values<'_>, listeners: &[KafkaListener]) -> usize {
    let key = "inter.broker.listener.name";
    let Some(assigned) = values.text(key) else {
        let plain = listeners.iter().position(|listener| listener.name == "PLAINTEXT").unwrap_or(0);
        values.show(key, &listeners[plain].name, "default");
        return plain;
    };
    let name = assigned.value.trim().to_ascii_uppercase();
    listeners.iter().position(|listener| listener.name == name).unwrap_or_else(|| {
        let names = listeners.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(", ");
        values.error(&assigned.source, key, &assigned.value, "there is no listener of that name", &names);
        0
    })
}

/// `clientPort`, `clientPortAddress`, and what follows the semicolon of this node's own line.
pub(super) fn read_zookeeper(values: &mut Values<'_>, around: &Surroundings<'_>) -> Endpoint {
    let address = values.text("clientPortAddress");
    let own = around.own.and_then(|member| member.client.as_ref());
    let port = values.optional_int("clientPort");
    if let (Some(asked), Some(own), Some(assigned)) = (port, own, values.given("clientPort"))
        && asked != i64::from(own.port)
    {
        let problem = format!("this node's server line says {}", own.port);
        values.error(&assigned.source, "clientPort", &assigned.value, &problem, "the same port in both places");
    }
    let from_line = own.map(|own| own.host.as_str()).filter(|host| !host.is_empty());
    let host = address.map(|assigned| assigned.value.trim()).or(from_line).unwrap_or(around.bind_host());
    if address.is_none() {
        values.show("clientPortAddress", shown_host(host), "default");
    }
    let number = port.map_or(own.map_or(2181, |own| own.port), |port| port as u16);
    if let (None, Some(member)) = (port, around.own.filter(|_| own.is_some())) {
        values.show("clientPort", number, &format!("the line server.{}", member.id));
    }
    Endpoint::new(host.trim_matches(['[', ']']), number)
}

fn shown_host(host: &str) -> &str {
    if host.is_empty() { "0.0.0.0" } else { host }
}

/// `mqtt.listeners`; empty when the door stays shut.
pub(super) fn read_mqtt(values: &mut Values<'_>, around: &Surroundings<'_>) -> Vec<Endpoint> {
    let key = "mqtt.listeners";
    let Some(assigned) = values.given(key) else {
        let endpoint = Endpoint::new(around.bind_host(), 1883);
        values.show(key, format!("tcp://{endpoint}"), "default");
        return vec![endpoint];
    };
    if is_none(&assigned.value) {
        return Vec::new();
    }
    let mut listeners = Vec::new();
    for piece in assigned.value.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let rest = piece.strip_prefix("tcp://").or(piece.strip_prefix("mqtt://"));
        match rest.and_then(Endpoint::parse) {
            Some(endpoint) => listeners.push(endpoint),
            None => {
                let problem = format!("\"{piece}\" is no listener");
                values.error(
                    &assigned.source,
                    key,
                    &assigned.value,
                    &problem,
                    "tcp://HOST:PORT[,tcp://HOST:PORT...] or none",
                );
            }
        }
    }
    listeners
}

/// `http.listener`; none when the door stays shut.
pub(super) fn read_http(values: &mut Values<'_>, around: &Surroundings<'_>) -> Option<Endpoint> {
    let key = "http.listener";
    let Some(assigned) = values.given(key) else {
        let endpoint = Endpoint::new(around.bind_host(), 8080);
        values.show(key, &endpoint, "default");
        return Some(endpoint);
    };
    if is_none(&assigned.value) {
        return None;
    }
    let text = assigned.value.trim();
    let endpoint = Endpoint::parse(text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/'));
    if endpoint.is_none() {
        values.error(&assigned.source, key, &assigned.value, "it is no address", "HOST:PORT or none");
    }
    endpoint
}

fn is_none(text: &str) -> bool {
    text.trim().is_empty() || text.trim().eq_ignore_ascii_case("none")
}

/// Two doors cannot have one port. `doors` are key and endpoint.
pub(super) fn check_ports(values: &mut Values<'_>, doors: &[(&str, &Endpoint)]) {
    for (i, (key, endpoint)) in doors.iter().enumerate() {
        let overlaps = |other: &Endpoint| other.host == endpoint.host || other.is_any() || endpoint.is_any();
        let taken = |(_, other): &&(&str, &Endpoint)| other.port == endpoint.port && overlaps(other);
        if endpoint.port != 0
            && let Some((other_key, other)) = doors[..i].iter().find(taken)
        {
            let source = values.given(key).or(values.given(other_key)).map_or("default", |assigned| &assigned.source);
            values.errors.push(format!(
                "{source}: {key} and {other_key} both want port {} ({endpoint} and {other}); allowed: a port of its own for each",
                endpoint.port
            ));
        }
    }
}
