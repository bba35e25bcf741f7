//! A leader that the quorum does not hear wants a replica out of the ISR whose disk stands still: nobody decides that, and
//! so the replica may lead next. What was acknowledged without it would be lost.

use tern::effect::Channel;
use tern::types::PartitionIndex;

use crate::board::Settings;
use crate::clients::producer::Producer;
use crate::run::{formed, populate, settle};
use crate::world::World;

const SECOND: u64 = 1_000_000;

/// The leader of a partition, and who leads after it if he is in sync.
fn leader_and_next(world: &World) -> Option<(usize, usize)> {
    let engine = world.boards[0].node.as_ref()?.engine();
    let state = engine.view().partition("records", PartitionIndex(0))?;
    let next = state.replicas.iter().find(|id| Some(**id) != state.leader)?;
    Some((state.leader?.0 as usize - 1, next.0 as usize - 1))
}

fn story(seed: u64) {
    println!("seed {seed}");
    let mut world = formed(seed, Settings { boards: 3, replication: 3, min_insync: 2 });
    populate(&mut world);
    world.run_until(world.now + 3 * SECOND);
    let (leader, next) = leader_and_next(&world).expect("somebody leads");
    // It is in sync for replica.lag.time.max.ms more; the leader, unheard, may acknowledge as long as its session lives.
    world.boards[next].stalled_until = u64::MAX;
    world.run_until(world.now + 13 * SECOND / 10);
    world.silence(leader, Channel::Quorum);
    for _ in 0..4 {
        world.run_until(world.now + SECOND / 4);
        world.add_client(Box::new(Producer::new("records", 0))); // all others wait for what they have sent
    }
    world.boards[leader].is_held = true;
    world.boards[next].stalled_until = 0;
    [leader, next].into_iter().for_each(|board| world.fail_power(board));
    world.run_until(world.now + 4 * SECOND);
    settle(&mut world);
}

/// Six leaders, or as many as `TERN_SEEDS` says.
#[test]
fn a_lost_shrink_loses_nothing() {
    let seeds = crate::number("TERN_SEEDS").unwrap_or(6).min(100);
    (0..seeds).for_each(story);
}
