//! A follower that asks again, from further back, while its leader still reads for what it asked before: a write round of it
//! had failed.

use bytes::Bytes;
use tern::broker::replication::{At, Message};
use tern::memory::Grant;
use tern::record::Batches;
use tern::types::Offset;

use super::world::{NODES, World};

/// What was read for the first fetch does not answer the second: the follower's log would have a hole.
#[test]
fn a_late_read_answers_nobody() {
    let (mut world, [led, follows, _]) = World::at_rest(1);
    let (leader, follower) = (NODES[led], NODES[follows]);
    let place = world.view(led);
    let at = At { topic: place.topic_id, index: place.index, epoch: place.leader_epoch };
    world.intercept(leader, follower);
    for (number, from) in [(1_000_000, Offset(10)), (1_000_001, Offset(0))] {
        let mut bytes = Vec::new();
        Message::Fetch { at, number, from, last_epoch: at.epoch, durable: Offset(0) }.write(&mut bytes);
        let bytes = Bytes::from(bytes);
        world.with(led, |broker, now, fx| broker.peer_messages(now, follower, &bytes, Grant::none(), fx));
    }
    for _ in 0..20 {
        world.disk_step(led);
        world.with(led, |broker, now, fx| broker.turn_end(now, fx));
    }
    let answers = world.intercept(leader, follower);
    let (mut rest, mut first) = (&answers[..], None);
    while let Some((message, after)) = Message::read(rest) {
        if let Message::Records { number: 1_000_001, batches, .. } = message {
            first = Batches::new(batches).next().map(|batch| batch.unwrap().base_offset());
        }
        rest = after;
    }
    assert_eq!(first, Some(Offset(0)));
}
