//! What is done to the nodes, and when: kill, pause, cut off, each followed by what the others make of it.

use std::time::Duration;

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9.
    Kill,
    /// SIGSTOP.
    Pause,
    /// Nothing passes between it and the others.
    CutOff,
}

/// To which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The one that decides for all.
    Controller,
    /// One that leads partitions and is not the controller.
    Leader,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// Since the sensors began.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
    /// Whom it meets.
    pub victim: Victim,
}

/// Everything that happens to so many nodes within `total`. A node alone is killed once, half-way, and started at once.
pub fn plan(nodes: usize, total: Duration) -> Vec<Act> {
    let act =
        |at: f32, lasts: f32, fault, victim| Act { at: total.mul_f32(at), lasts: total.mul_f32(lasts), fault, victim };
    match nodes {
        1 => vec![act(0.5, 0.0, Fault::Kill, Victim::Controller)],
        _ => vec![
            act(0.1, 0.15, Fault::Kill, Victim::Controller),
            act(0.4, 0.15, Fault::Pause, Victim::Leader),
            act(0.7, 0.15, Fault::CutOff, Victim::Controller),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each act is over before the next begins, and the last before the sensors stop; every kind is there.
    #[test]
    fn acts() {
        let total = Duration::from_secs(30);
        for nodes in [1, 3, 5] {
            let acts = plan(nodes, total);
            assert!(acts.windows(2).all(|pair| pair[0].at + pair[0].lasts < pair[1].at));
            assert!(acts.iter().all(|act| act.at + act.lasts < total));
        }
        let faults: Vec<Fault> = plan(3, total).iter().map(|act| act.fault).collect();
        assert_eq!(faults, [Fault::Kill, Fault::Pause, Fault::CutOff]);
    }
}
