//! The pure machine: everything a node decides, as a function of what happened and when.
//!
//! `step` is the only way in, `Effects` the only way out. Three nodes, a simulated network and simulated disks make an
//! ensemble that runs in one test process and repeats from one seed.
//!
//! Invariants: a completion reaches only the connection that waits for it; nothing is written and nobody is answered in
//! parts before `TurnEnd`; `read_limit` never grows without a `Resume`.
//! Callers: `runtime/` and the simulator.

mod assemble;
mod input;
pub mod peers;
mod route;

pub use input::{Input, Listener};

use crate::effect::{Effect, Effects};
use crate::engine::{Door, Engine, Protocol};
use crate::http::HttpDoor;
use crate::kafka::KafkaDoor;
use crate::mqtt::MqttDoor;
use crate::types::{ConnId, Instant, Now};
use crate::zookeeper::ZooKeeperDoor;
use route::Routes;

/// In the order in which they have their turns.
const DOORS: [Door; 4] = [Door::Kafka, Door::ZooKeeper, Door::Mqtt, Door::Http];

/// One board's whole mind.
pub struct Node {
    engine: Engine,
    kafka: KafkaDoor,
    zookeeper: ZooKeeperDoor,
    mqtt: MqttDoor,
    http: HttpDoor,
    routes: Routes,
    ready_said: bool,
    wake_at: Option<Instant>,
    /// The connection whose bytes are being worked on, and since when.
    worked_on: Option<(ConnId, Instant)>,
}

impl Node {
    /// Takes in one thing that happened at `now` and says what is to be done about it.
    pub fn step(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        let turn_end = matches!(input, Input::TurnEnd);
        if let Some((conn, since)) = self.worked_on.take() {
            // The turn goes on until its end without a pause, so what has passed went to that connection.
            self.kafka.spent(now, conn, now.mono.since(since));
        }
        match input {
            Input::Start => self.engine.start(now, fx),
            Input::Accepted { conn, listener, peer } => {
                let (door, index) = listener.door();
                self.routes.add(conn, door);
                self.protocol(door).accepted(now, conn, index, peer, fx);
            }
            Input::Bytes { conn, data } => self.bytes(now, conn, data, fx),
            Input::Drained { conn } => self.drained(now, conn, fx),
            Input::Closed { conn } => self.closed(now, conn, fx),
            Input::PeerUp { peer, channel } => self.engine.peer_up(now, peer, channel, fx),
            Input::PeerDown { peer, channel } => self.engine.peer_down(now, peer, channel, fx),
            Input::PeerMessage { from, channel, bytes, grant } => {
                self.engine.peer_message(now, from, channel, bytes, grant, fx);
            }
            Input::Disk { ticket, result } => self.engine.disk_done(now, ticket, result, fx),
            Input::Time => self.time(now, fx),
            Input::TurnEnd => self.end_turn(now, fx),
            Input::Stop => self.engine.stop(now, fx),
        }
        self.deliver(now, fx);
        self.engine.send_to_peers(fx);
        if turn_end {
            self.schedule(fx);
        }
    }

    /// How many bytes the connection may bring now; 0 pauses it until `Effect::Resume`.
    pub fn read_limit(&self, conn: ConnId) -> usize {
        match self.routes.door(conn) {
            Some(Door::Kafka) => self.kafka.read_limit(conn),
            Some(Door::Mqtt) => self.mqtt.read_limit(conn),
            Some(Door::Http) => self.http.read_limit(conn),
            Some(Door::ZooKeeper) => self.zookeeper.read_limit(conn),
            None => 0,
        }
    }

    /// The engine, for whoever watches a simulated ensemble.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8], fx: &mut Effects) {
        if let Some(door) = self.routes.door(conn) {
            self.worked_on = (door == Door::Kafka).then_some((conn, now.mono));
            let (protocol, engine) = self.pair(door);
            protocol.bytes(now, conn, data, engine, fx);
        }
    }

    fn drained(&mut self, now: Now, conn: ConnId, fx: &mut Effects) {
        if let Some(door) = self.routes.door(conn) {
            let (protocol, engine) = self.pair(door);
            protocol.drained(now, conn, engine, fx);
        }
    }

    fn closed(&mut self, now: Now, conn: ConnId, fx: &mut Effects) {
        if let Some(door) = self.routes.remove(conn) {
            self.engine.drop_connection(conn);
            let (protocol, engine) = self.pair(door);
            protocol.closed(now, conn, engine, fx);
        }
    }

    fn time(&mut self, now: Now, fx: &mut Effects) {
        self.wake_at = None;
        self.engine.on_time(now, fx);
        for door in DOORS {
            let (protocol, engine) = self.pair(door);
            protocol.on_time(now, engine, fx);
        }
    }

    fn end_turn(&mut self, now: Now, fx: &mut Effects) {
        for door in DOORS {
            let (protocol, engine) = self.pair(door);
            protocol.turn_end(now, engine, fx);
        }
        self.engine.turn_end(now, fx);
        if !self.ready_said && self.engine.is_ready() {
            self.ready_said = true;
            fx.push(Effect::Ready);
        }
    }

    /// Hands out answers until none is left: an answer may lead to new questions, and those to new answers.
    fn deliver(&mut self, now: Now, fx: &mut Effects) {
        loop {
            while let Some((waiter, completion)) = self.engine.next_completion() {
                let (protocol, engine) = self.pair(waiter.door);
                protocol.complete(now, waiter, completion, engine, fx);
            }
            if !self.engine.proceed(now, fx) {
                return;
            }
        }
    }

    fn schedule(&mut self, fx: &mut Effects) {
        let deadlines = [
            self.engine.next_deadline(),
            self.kafka.next_deadline(),
            self.zookeeper.next_deadline(),
            self.mqtt.next_deadline(),
            self.http.next_deadline(),
        ];
        let next = deadlines.into_iter().flatten().min();
        if let Some(at) = next
            && self.wake_at != next
        {
            fx.push(Effect::WakeAt(at));
        }
        self.wake_at = next;
    }

    fn protocol(&mut self, door: Door) -> &mut dyn Protocol {
        self.pair(door).0
    }

    /// A door and the engine, borrowed side by side.
    fn pair(&mut self, door: Door) -> (&mut dyn Protocol, &mut Engine) {
        let protocol: &mut dyn Protocol = match door {
            Door::Kafka => &mut self.kafka,
            Door::Mqtt => &mut self.mqtt,
            Door::ZooKeeper => &mut self.zookeeper,
            Door::Http => &mut self.http,
        };
        (protocol, &mut self.engine)
    }
}
