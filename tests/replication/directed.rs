//! What directed stories are told with: boards at rest, and one thing after the other.

use tern::broker::PartitionView;

use super::controller::TOPIC;
use super::world::{NODES, World, key};

impl World {
    /// A world at rest, and its boards: who leads partition 0, and the two that follow.
    pub fn at_rest(seed: u64) -> (World, [usize; 3]) {
        let mut world = World::new(seed);
        world.settle(1200);
        let leader = world.controller.now.topics[TOPIC].partitions[0].leader.unwrap();
        (world, [0, 1, 2].map(|turn| (leader.0 as usize - 1 + turn) % 3))
    }

    /// Partition 0 as a board has it.
    pub fn view(&self, which: usize) -> PartitionView {
        let broker = self.nodes[which].broker.as_ref().unwrap();
        broker.view(key(broker, 0).unwrap()).unwrap()
    }

    /// Two boards do not hear each other any more.
    pub fn part(&mut self, one: usize, other: usize) {
        self.break_link(NODES[one], NODES[other]);
        self.break_link(NODES[other], NODES[one]);
    }

    /// Appends to partition 0 at its leader.
    pub fn append(&mut self, led: usize) {
        let end = self.view(led).log_end_offset;
        while self.view(led).log_end_offset == end {
            self.produce(led);
        }
    }

    /// These boards work for so many turns, and hear each other.
    pub fn turns(&mut self, turns: usize, boards: &[usize]) {
        for _ in 0..turns {
            for &which in boards {
                self.with(which, |broker, now, fx| broker.turn_end(now, fx));
                self.disk_step(which);
                for &other in boards {
                    self.receive(NODES[which], NODES[other]);
                }
            }
        }
    }
}
