//! After healing everything converges: every board is ready, one quorum leader is followed by all, all replicas are in sync
//! and the same, and every client's operations succeed.

use std::collections::BTreeSet;

use tern::engine::QuorumRole;
use tern::types::PartitionIndex;

use super::{memory, replicas};
use crate::world::World;

/// What has not converged yet, as a sentence.
pub fn missing(world: &World) -> Option<String> {
    let mut leaders = BTreeSet::new();
    for board in &world.boards {
        let Some(node) = &board.node else { return Some(format!("board {} is off", board.id)) };
        if !board.is_ready {
            return Some(format!("board {} is not ready", board.id));
        }
        let engine = node.engine();
        if !matches!(engine.quorum_role(), QuorumRole::Leader | QuorumRole::Follower) {
            return Some(format!("board {} is {}", board.id, engine.quorum_role()));
        }
        leaders.insert(engine.quorum_leader());
        for topic in engine.view().topics.values() {
            for (index, state) in topic.partitions.iter().enumerate() {
                if state.isr.len() < world.settings.replication || state.leader.is_none() {
                    return Some(format!("{}-{index}: {state:?}, says board {}", topic.name, board.id));
                }
            }
        }
    }
    (leaders.len() > 1).then(|| format!("boards follow {leaders:?}"))
}

/// True when all replicas have everything and know it.
pub fn is_level(world: &World) -> Result<(), String> {
    for (topic, partition) in partitions(world) {
        let mut marks = BTreeSet::new();
        for board in &world.boards {
            let Some(engine) = board.node.as_ref().map(|node| node.engine()) else { continue };
            let Some(key) = engine.partition(&topic, PartitionIndex(partition)) else { continue };
            let Some(view) = engine.partition_view(key) else { continue };
            marks.extend([view.high_watermark.0, view.log_end_offset.0]);
        }
        if marks.len() != 1 {
            return Err(format!("{topic}-{partition}: marks {marks:?}"));
        }
    }
    Ok(())
}

/// All partitions that the first board's tree names.
pub fn partitions(world: &World) -> Vec<(String, i32)> {
    let Some(node) = world.boards.first().and_then(|board| board.node.as_ref()) else { return Vec::new() };
    let topics = node.engine().view().topics.values();
    topics.flat_map(|topic| (0..topic.partitions.len()).map(|index| (topic.name.to_string(), index as i32))).collect()
}

/// The end: clients have left and nothing moves.
pub fn check(world: &mut World) {
    for (topic, partition) in partitions(world) {
        let holders: Vec<Vec<u8>> = world
            .boards
            .iter()
            .filter(|board| {
                let engine = board.node.as_ref().map(|node| node.engine());
                engine.is_some_and(|engine| engine.partition(&topic, PartitionIndex(partition)).is_some())
            })
            .map(|board| replicas::content(board, &topic, partition))
            .collect();
        assert!(holders.iter().all(|content| *content == holders[0]), "{topic}-{partition}: the replicas differ");
        if topic == "records" {
            world.history.records.check(("records", partition), &holders[0]);
        }
    }
    let sensors: Vec<Vec<u8>> = partitions(world)
        .into_iter()
        .filter(|(topic, _)| topic == "mqtt")
        .filter_map(|(topic, partition)| {
            let holder = world.boards.iter().find(|board| {
                let engine = board.node.as_ref().map(|node| node.engine());
                engine.is_some_and(|engine| engine.partition(&topic, PartitionIndex(partition)).is_some())
            })?;
            Some(replicas::content(holder, &topic, partition))
        })
        .collect();
    world.history.publishers.check(&sensors);
    for board in &world.boards {
        let Some(node) = &board.node else { continue };
        world.history.registers.check(node.engine().tree());
        world.history.ephemerals.check(node.engine().tree());
    }
    memory::within_bounds(world);
    memory::given_back(world);
}
