//! Who is elected while its log is still being cut.

use bytes::Bytes;
use tern::broker::replication::{At, Message};
use tern::memory::Grant;
use tern::types::LeaderEpoch;

use super::world::{NODES, World};

/// A replica is told to cut off a record that nobody acknowledged, and leads before its disk has done so. Until then it
/// gives nothing and counts nobody: whoever still has that record would be taken for one that has what comes in its place.
#[test]
fn elected_before_the_cut_is_done() {
    let (mut world, [led, next, third]) = World::at_rest(3);
    // One more record on two boards, while the third is in sync and does not answer.
    world.part(led, third);
    let before = world.view(next);
    world.append(led);
    world.turns(30, &[led, next]);
    let longer = world.view(next);
    assert!(longer.log_end_offset > before.log_end_offset && longer.high_watermark == before.high_watermark);

    let at = At { topic: longer.topic_id, index: longer.index, epoch: longer.leader_epoch };
    for number in 0..10_000 {
        let (last_epoch, end) = (LeaderEpoch(longer.leader_epoch.0), before.log_end_offset);
        let mut bytes = Vec::new();
        Message::Diverged { at, number, last_epoch, end }.write(&mut bytes); // only one answers a fetch
        let bytes = Bytes::from(bytes);
        world.with(next, |broker, now, fx| broker.peer_messages(now, NODES[led], &bytes, Grant::none(), fx));
    }
    world.controller.change_state(0, |_, state| {
        (state.leader, state.leader_epoch.0) = (Some(NODES[next]), state.leader_epoch.0 + 1);
        true
    });
    while [led, next].into_iter().any(|which| world.view(which).leader_epoch == longer.leader_epoch) {
        [led, next].into_iter().for_each(|which| world.see_change(which));
    }
    world.turns(30, &[led]);
    assert!(!world.view(next).is_served);
    world.turns(30, &[next]);
    let cut = world.view(next);
    assert!(cut.is_served && cut.log_end_offset == before.log_end_offset, "{cut:?}");
    world.settle(6000);
    world.check();
}
