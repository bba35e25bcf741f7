//! Publishers that fill all the memory there is for their records.

use tern::broker::AppendError;
use tern::record::NewRecord;
use tern::types::PartitionIndex;

use super::controller::TOPIC;
use super::world::{NODES, World, waiter};

impl World {
    /// Publishes records to a partition through a board until it takes no more; how many it took.
    fn publish_all(&mut self, which: usize, partition: usize) -> usize {
        let topic = self.controller.now.topics[TOPIC].clone();
        let wall = self.at().wall;
        for taken in 0.. {
            let slot = self.next_slot;
            self.next_slot += 1;
            let value = format!("published 0 {slot} {}", "x".repeat(1000)).into_bytes();
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

/// However much waits on the board that leads, there is room to append it, and all of it is acknowledged.
#[test]
fn on_the_board_that_leads() {
    let (mut world, boards) = World::at_rest(7);
    world.publications.clear();
    let taken = world.publish_all(boards[0], 0);
    assert!(taken > 100, "{taken}");
    world.take_turns(200, &boards);
    assert_eq!(world.publications.len(), taken);
}

/// The same when they were published while another board led, whose place this one takes.
#[test]
fn on_a_board_that_leads_later() {
    let (mut world, boards) = World::at_rest(7);
    world.publications.clear();
    let next = boards[1];
    let taken = world.publish_all(next, 0);
    world.controller.change_state(0, |_, state| {
        state.leader = Some(NODES[next]);
        state.leader_epoch.0 += 1;
        true
    });
    world.take_turns(400, &boards);
    assert_eq!(world.publications.len(), taken);
}

/// What nobody can take does not keep others from publishing.
#[test]
fn beside_a_partition_without_a_leader() {
    let (mut world, boards) = World::at_rest(7);
    world.publications.clear();
    world.controller.change_state(0, |_, state| {
        state.leader = None;
        state.isr.clear();
        true
    });
    world.take_turns(1, &boards);
    let held_up = world.publish_all(boards[0], 0);
    let taken = world.publish_all(boards[0], 1);
    assert!(held_up > 100 && taken > 100, "{held_up} and {taken}");
    world.take_turns(400, &boards);
    assert_eq!(world.publications.len(), taken);
}
