//! A change of the ISR of which its leader is never told.

use tern::types::NodeId;

use super::controller::TOPIC;
use super::cut::view;
use super::world::{NODES, World};

fn isr(world: &World) -> &[NodeId] {
    &world.controller.now.topics[TOPIC].partitions[0].isr
}

/// Appends to the partition at its leader, and lets these boards work and hear each other.
fn append(world: &mut World, led: usize, boards: &[usize]) {
    let end = view(world, led).log_end_offset;
    while view(world, led).log_end_offset == end {
        world.produce(led);
    }
    for _ in 0..100 {
        for &which in boards {
            world.with(which, |broker, now, fx| broker.turn_end(now, fx));
            world.disk_step(which);
            for &other in boards {
                world.receive(NODES[which], NODES[other]);
            }
        }
    }
}

/// Whom a change would add is counted until it is known that it was not made: it was, and he may be elected.
#[test]
fn whom_nobody_answered_for_is_counted() {
    let mut world = World::new(3);
    world.settle(1200);
    let leader = world.controller.now.topics[TOPIC].partitions[0].leader.unwrap();
    let [led, stays, returns] = [0, 1, 2].map(|turn| (leader.0 as usize - 1 + turn) % 3);
    world.controller.change_state(0, |_, state| {
        state.isr.retain(|node| *node != NODES[returns]);
        true
    });
    // The one that left follows on, and the leader's wish to have it back is granted, of which it sees nothing.
    world.loses_answers = true;
    world.see_change(led);
    while !isr(&world).contains(&NODES[returns]) {
        append(&mut world, led, &[led, stays, returns]);
    }
    assert_eq!(view(&world, led).high_watermark, view(&world, led).log_end_offset);

    world.break_link(NODES[led], NODES[returns]);
    world.break_link(NODES[returns], NODES[led]);
    append(&mut world, led, &[led, stays]);
    let (led, stays) = (view(&world, led), view(&world, stays));
    assert_eq!(stays.log_end_offset, led.log_end_offset);
    assert!(led.high_watermark < led.log_end_offset, "acknowledged without one that is in sync");
}
