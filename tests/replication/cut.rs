//! Who is elected while its log is still being cut.

use bytes::Bytes;
use tern::broker::PartitionView;
use tern::broker::replication::{At, Message};
use tern::memory::Grant;
use tern::types::LeaderEpoch;

use super::controller::TOPIC;
use super::world::{NODES, World, key};

pub fn view(world: &World, which: usize) -> PartitionView {
    let broker = world.nodes[which].broker.as_ref().unwrap();
    broker.view(key(broker, 0).unwrap()).unwrap()
}

/// A replica is told to cut off a record that nobody acknowledged, and leads before its disk has done so. Until then it
/// gives nothing and counts nobody: whoever still has that record would be taken for one that has what comes in its place.
#[test]
fn elected_before_the_cut_is_done() {
    let mut world = World::new(3);
    world.settle(1200);
    let leader = world.controller.now.topics[TOPIC].partitions[0].leader.unwrap();
    let [led, next, third] = [0, 1, 2].map(|turn| (leader.0 as usize - 1 + turn) % 3);
    // One more record on two boards, while the third is in sync and does not answer.
    world.break_link(NODES[led], NODES[third]);
    world.break_link(NODES[third], NODES[led]);
    let before = view(&world, next);
    while view(&world, led).log_end_offset == before.log_end_offset {
        world.produce(led);
    }
    let turns = |world: &mut World, boards: &[usize]| {
        for _ in 0..30 {
            for &which in boards {
                world.with(which, |broker, now, fx| broker.turn_end(now, fx));
                world.disk_step(which);
            }
            world.receive(NODES[led], NODES[next]);
            world.receive(NODES[next], NODES[led]);
        }
    };
    turns(&mut world, &[led, next]);
    let longer = view(&world, next);
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
    while view(&world, next).leader_epoch == longer.leader_epoch
        || view(&world, led).leader_epoch == longer.leader_epoch
    {
        [led, next].into_iter().for_each(|which| world.see_change(which));
    }
    turns(&mut world, &[led]);
    assert!(!view(&world, next).is_served);
    turns(&mut world, &[next]);
    let cut = view(&world, next);
    assert!(cut.is_served && cut.log_end_offset == before.log_end_offset, "{cut:?}");
    world.settle(6000);
    world.check();
}
