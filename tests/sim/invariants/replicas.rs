//! Replicas agree on the records that they retain below the high watermark: while things break as far as each knows its
//! own, and when everything has healed byte for byte.

use std::collections::BTreeMap;

use tern::effect::Root;
use tern::log::storage::{FileName, FilePath};
use tern::types::{Offset, PartitionIndex};

use super::records::open_batches;
use crate::board::Board;
use crate::world::World;

/// The batches of a partition as they lie on a board's disk.
pub fn content(board: &Board, topic: &str, partition: i32) -> Vec<u8> {
    let dir = format!("{topic}-{partition}");
    let mut segments: Vec<String> = board.disk.names(Root::Topics, &dir);
    segments.retain(|name| name.ends_with(".log"));
    segments.sort();
    let mut content = Vec::new();
    for name in &segments {
        let Ok(base) = name.trim_end_matches(".log").parse() else { continue };
        let path = FilePath { root: Root::Topics, dir: Some(&dir), name: FileName::Log(Offset(base)) };
        content.extend(board.disk.content(path).unwrap_or_default());
    }
    content
}

/// Compares what the boards that run have of a partition.
pub fn agree(world: &World, topic: &str, partition: i32) {
    let mut known: BTreeMap<i64, (usize, Vec<u8>)> = BTreeMap::new();
    for (number, board) in world.boards.iter().enumerate() {
        let Some(engine) = board.node.as_ref().map(|node| node.engine()) else { continue };
        let Some(key) = engine.partition(topic, PartitionIndex(partition)) else { continue };
        let Some(view) = engine.partition_view(key) else { continue };
        for (offset, value) in open_batches(&content(board, topic, partition)) {
            if offset < view.log_start_offset.0 || offset >= view.high_watermark.0 {
                continue;
            }
            let (other, before) = known.entry(offset).or_insert_with(|| (number, value.clone()));
            let (left, right) = (String::from_utf8_lossy(before), String::from_utf8_lossy(&value));
            let place = format!("{topic}-{partition} offset {offset}");
            assert!(*before == value, "{place}: {left:?} on board {other}, {right:?} on board {number}");
        }
    }
}
