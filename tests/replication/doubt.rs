//! A change of the ISR of which its leader is never told.

use tern::types::NodeId;

use super::controller::TOPIC;
use super::world::{NODES, World};

fn isr(world: &World) -> &[NodeId] {
    &world.controller.now.topics[TOPIC].partitions[0].isr
}

/// Whom a change would add is counted until it is known that it was not made: it was, and he may be elected.
#[test]
fn whom_nobody_answered_for_is_counted() {
    let (mut world, [led, stays, returns]) = World::at_rest(3);
    world.controller.change_state(0, |_, state| {
        state.isr.retain(|node| *node != NODES[returns]);
        true
    });
    // The one that left follows on, and the leader's wish to have it back is granted, of which it sees nothing.
    world.loses_answers = true;
    world.see_change(led);
    while !isr(&world).contains(&NODES[returns]) {
        world.append(led);
        world.turns(100, &[led, stays, returns]);
    }
    assert_eq!(world.view(led).high_watermark, world.view(led).log_end_offset);

    world.part(led, returns);
    world.append(led);
    world.turns(100, &[led, stays]);
    let (led, stays) = (world.view(led), world.view(stays));
    assert_eq!(stays.log_end_offset, led.log_end_offset);
    assert!(led.high_watermark < led.log_end_offset, "acknowledged without one that is in sync");
}
