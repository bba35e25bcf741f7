//! Publishers that fill all the memory there is for their records.

use tern::broker::AppendError;
use tern::record::NewRecord;
use tern::types::PartitionIndex;

use super::controller::TOPIC;
use super::world::{NODES, PARTITIONS, World, waiter};

impl World {
    /// Publishes records of so many bytes to a partition through a board until it takes no more; how many it took.
    fn publish_all(&mut self, which: usize, partition: usize, bytes: usize) -> usize {
        let topic = self.controller.now.topics[TOPIC].clone();
        let wall = self.at().wall;
        for taken in 0.. {
            let slot = self.next_slot;
            self.next_slot += 1;
            let value = format!("published 0 {slot} {}", "x".repeat(bytes)).into_bytes();
            let result = self.with(which, |broker, now, _| {
                let key = broker.publish_key(&topic, PartitionIndex(partition as i32)).unwrap();
                let record = NewRecord { timestamp: wall, key: None, value: Some(&value), headers: &[] };
                broker.append_record(now, key, record, Some(waiter(slot)))
            });
            match result {
                Some(Ok(_)) => self.nodes[which].published.insert(slot, (partition, value)),
                Some(Err(AppendError::Busy)) => return taken,
                other => panic!("{other:?}"),
            };
        }
        unreachable!()
    }

    /// The boards see what the tree says and work, a millisecond each turn.
    fn take_turns(&mut self, turns: usize, boards: &[usize]) {
        for _ in 0..turns {
            boards.iter().for_each(|&which| self.see_change(which));
            self.turns(1, boards);
            self.pass_time(1000);
        }
    }
}

/// Records that fill the memory for them, and ones so small that those who wait for them fill their table first.
const SIZES: [usize; 2] = [1000, 1];

/// However much waits on the board that leads, there is room to append it, and all of it is acknowledged.
#[test]
fn on_the_board_that_leads() {
    for bytes in SIZES {
        let (mut world, boards) = World::at_rest(7);
        world.publications.clear();
        let taken: usize = (0..PARTITIONS).map(|partition| world.publish_all(boards[0], partition, bytes)).sum();
        assert!(taken > 100, "{taken}");
        world.take_turns(400, &boards);
        assert_eq!(world.publications.len(), taken);
    }
}

/// The same when they were published while another board led, whose place this one takes.
#[test]
fn on_a_board_that_leads_later() {
    for bytes in SIZES {
        let (mut world, boards) = World::at_rest(7);
        world.publications.clear();
        let next = boards[1];
        let taken: usize = (0..PARTITIONS).map(|partition| world.publish_all(next, partition, bytes)).sum();
        for partition in 0..PARTITIONS {
            world.controller.change_state(partition, |_, state| {
                state.leader = Some(NODES[next]);
                state.leader_epoch.0 += 1;
                true
            });
        }
        world.take_turns(400, &boards);
        assert_eq!(world.publications.len(), taken);
    }
}

/// What nobody can take does not keep others from publishing.
#[test]
fn beside_a_partition_without_a_leader() {
    for bytes in SIZES {
        let (mut world, boards) = World::at_rest(7);
        world.publications.clear();
        world.controller.change_state(0, |_, state| {
            state.leader = None;
            state.isr.clear();
            true
        });
        world.take_turns(1, &boards);
        let held_up = world.publish_all(boards[0], 0, bytes);
        let taken = world.publish_all(boards[0], 1, bytes);
        assert!(held_up > 100 && taken > 100, "{held_up} and {taken}");
        world.take_turns(400, &boards);
        assert_eq!(world.publications.len(), taken);
    }
}

/// A board that hangs is believed to lead for a while: what is for it leaves room for the others as well.
#[test]
fn beside_a_leader_that_hangs() {
    for bytes in SIZES {
        let (mut world, boards) = World::at_rest(7);
        world.publications.clear();
        let awake = &boards[1..];
        world.controller.change_state(1, |_, state| {
            state.leader = Some(NODES[awake[0]]);
            state.leader_epoch.0 += 1;
            true
        });
        awake.iter().for_each(|&which| world.see_change(which));
        let held_up = world.publish_all(awake[0], 0, bytes);
        let taken = world.publish_all(awake[0], 1, bytes);
        assert!(held_up > 100 && taken > 100, "{held_up} and {taken}");
    }
}
