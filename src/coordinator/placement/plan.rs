//! Where partitions should be that exist already: as many copies as asked for, on the boards that are allowed, even, and
//! with as little copying as that takes.
//!
//! What a partition has on an allowed board it keeps, unless that board has two copies more than another one; then what is
//! missing is filled in; then copies are evened out, one at a time; then leaderships, which cost no copying. Greedy and
//! deterministic, ties go to the lowest id.

use std::collections::BTreeMap;

use crate::coordinator::cluster::Replicas;
use crate::limits::REPLICAS_MAX;
use crate::types::NodeId;

/// A board that may hold copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Where it stands.
    pub rack: Option<String>,
    /// It keeps what it has and gets nothing new.
    pub is_away: bool,
}

/// A partition as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The preferred leader first.
    pub replicas: Replicas,
    /// It counts and stays.
    pub is_fixed: bool,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// So many copies were asked for, and there are only so many boards for them.
    TooFewBoards { copies: usize, boards: usize },
    /// More copies than a partition can have.
    TooManyCopies,
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PlanError::TooFewBoards { copies, boards } => {
                write!(f, "{copies} copies of a partition need {copies} boards, and {boards} can be had")
            }
            PlanError::TooManyCopies => write!(f, "a partition has at most {REPLICAS_MAX} copies"),
        }
    }
}

impl std::error::Error for PlanError {}

/// Copies on each board.
type Loads = BTreeMap<NodeId, usize>;

/// The replicas of each partition from then on, in the order of `partitions`. `copies`: how many each shall have; none: as
/// many as it has.
pub fn plan(
    boards: &BTreeMap<NodeId, Board>,
    partitions: &[Held],
    copies: Option<usize>,
) -> Result<Vec<Replicas>, PlanError> {
    let mut loads: Loads = boards.keys().map(|id| (*id, 0)).collect();
    let mut planned: Vec<Replicas> = Vec::with_capacity(partitions.len());
    for held in partitions {
        let kept: Replicas = match held.is_fixed {
            true => held.replicas.clone(),
            false => held.replicas.iter().filter(|id| boards.contains_key(id)).copied().collect(),
        };
        kept.iter().for_each(|id| add(&mut loads, *id, 1));
        planned.push(kept);
    }
    for (held, replicas) in partitions.iter().zip(&mut planned).filter(|(held, _)| !held.is_fixed) {
        let wanted = copies.unwrap_or(held.replicas.len());
        if wanted > REPLICAS_MAX {
            return Err(PlanError::TooManyCopies);
        }
        while replicas.len() > wanted {
            shrink(&mut loads, replicas);
        }
        while replicas.len() < wanted {
            let Some(id) = best(boards, &loads, replicas) else {
                return Err(PlanError::TooFewBoards { copies: wanted, boards: replicas.len() });
            };
            let _ = replicas.push(id); // fewer than it has room for
            add(&mut loads, id, 1);
        }
    }
    even_copies(boards, partitions, &mut planned, &mut loads);
    even_leaders(boards, partitions, &mut planned);
    Ok(planned)
}

fn add(loads: &mut Loads, id: NodeId, copies: isize) {
    if let Some(load) = loads.get_mut(&id) {
        *load = load.saturating_add_signed(copies);
    }
}

/// Takes the copy away that is on the fullest board, the last of equals.
fn shrink(loads: &mut Loads, replicas: &mut Replicas) {
    let copies = |id: &NodeId| loads.get(id).copied().unwrap_or(0);
    let Some(place) = (0..replicas.len()).max_by_key(|place| (replicas.get(*place).map_or(0, copies), *place)) else {
        return;
    };
    let id = replicas.remove(place);
    add(loads, id, -1);
}

/// The board for another copy: racks apart, then the emptiest.
fn best(boards: &BTreeMap<NodeId, Board>, loads: &Loads, replicas: &[NodeId]) -> Option<NodeId> {
    let free = boards.iter().filter(|(id, board)| !board.is_away && !replicas.contains(id));
    let key = |(id, board): &(&NodeId, &Board)| {
        (neighbours(boards, board, replicas), loads.get(id).copied().unwrap_or(0), **id)
    };
    free.min_by_key(key).map(|(id, _)| *id)
}

fn neighbours(boards: &BTreeMap<NodeId, Board>, board: &Board, replicas: &[NodeId]) -> usize {
    let rack = |id: &NodeId| boards.get(id).and_then(|board| board.rack.as_ref());
    replicas.iter().filter(|id| board.rack.is_some() && rack(id) == board.rack.as_ref()).count()
}

/// Moves copies from the fullest boards to the emptiest while that makes the difference smaller.
fn even_copies(boards: &BTreeMap<NodeId, Board>, partitions: &[Held], planned: &mut [Replicas], loads: &mut Loads) {
    let most: usize = planned.iter().map(|replicas| replicas.len()).sum();
    for _ in 0..most {
        let Some((from, to, place)) = uneven(boards, partitions, planned, loads) else { return };
        if let Some(id) = planned.get_mut(place).and_then(|replicas| replicas.iter_mut().find(|id| **id == from)) {
            *id = to;
        }
        add(loads, from, -1);
        add(loads, to, 1);
    }
}

/// A copy that should move: from where, to where, of which partition.
fn uneven(
    boards: &BTreeMap<NodeId, Board>,
    partitions: &[Held],
    planned: &[Replicas],
    loads: &Loads,
) -> Option<(NodeId, NodeId, usize)> {
    let copies = |id: &NodeId| loads.get(id).copied().unwrap_or(0);
    let mut order: Vec<NodeId> = boards.keys().copied().collect();
    order.sort_by_key(|id| (copies(id), *id));
    for from in order.iter().rev() {
        for to in order.iter().filter(|id| boards.get(id).is_some_and(|board| !board.is_away)) {
            if copies(from) < copies(to) + 2 {
                break;
            }
            let movable = |(held, replicas): &(&Held, &Replicas)| {
                let others: Replicas = replicas.iter().filter(|id| *id != from).copied().collect();
                let crowd = |id: &NodeId| boards.get(id).map_or(0, |board| neighbours(boards, board, &others));
                !held.is_fixed && replicas.contains(from) && !replicas.contains(to) && crowd(to) <= crowd(from)
            };
            // A copy that was to be made anyway is made elsewhere rather than one moved.
            let candidates = || partitions.iter().zip(planned).enumerate().filter(|(_, pair)| movable(pair));
            let fresh = candidates().find(|(_, (held, _))| !held.replicas.contains(from));
            if let Some((place, _)) = fresh.or_else(|| candidates().next_back()) {
                return Some((*from, *to, place));
            }
        }
    }
    None
}

/// Lets another copy be the preferred leader where that makes the number of leaderships more even.
fn even_leaders(boards: &BTreeMap<NodeId, Board>, partitions: &[Held], planned: &mut [Replicas]) {
    let mut leads: BTreeMap<NodeId, usize> = boards.keys().map(|id| (*id, 0)).collect();
    for id in planned.iter().filter_map(|replicas| replicas.first()) {
        *leads.entry(*id).or_default() += 1;
    }
    for _ in 0..planned.len() {
        let mut best: Option<(usize, usize, usize)> = None;
        for (at, (_, replicas)) in partitions.iter().zip(&*planned).enumerate().filter(|(_, (held, _))| !held.is_fixed)
        {
            let count = |id: Option<&NodeId>| id.and_then(|id| leads.get(id)).copied().unwrap_or(0);
            for place in 1..replicas.len() {
                let gain = count(replicas.first()).saturating_sub(count(replicas.get(place)));
                if gain > best.map_or(1, |(gain, _, _)| gain) {
                    best = Some((gain, at, place));
                }
            }
        }
        let Some((_, at, place)) = best else { return };
        let Some(replicas) = planned.get_mut(at) else { return };
        if let Some(count) = replicas.first().and_then(|id| leads.get_mut(id)) {
            *count = count.saturating_sub(1);
        }
        replicas.swap(0, place);
        if let Some(first) = replicas.first() {
            *leads.entry(*first).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boards(ids: &[i32]) -> BTreeMap<NodeId, Board> {
        ids.iter().map(|&id| (NodeId(id), Board::default())).collect()
    }

    fn held(ids: &[i32]) -> Held {
        Held { replicas: replicas(ids), is_fixed: false }
    }

    fn replicas(ids: &[i32]) -> Replicas {
        ids.iter().map(|&id| NodeId(id)).collect()
    }

    /// Copies that are not where they were.
    fn copied(before: &[Held], after: &[Replicas]) -> usize {
        let fresh =
            |(held, replicas): (&Held, &Replicas)| replicas.iter().filter(|id| !held.replicas.contains(id)).count();
        before.iter().zip(after).map(fresh).sum()
    }

    fn spread(after: &[Replicas], ids: &[i32]) -> (Vec<usize>, Vec<usize>) {
        let count = |id: i32| after.iter().filter(|replicas| replicas.contains(&NodeId(id))).count();
        let leads = |id: i32| after.iter().filter(|replicas| replicas.first() == Some(&NodeId(id))).count();
        (ids.iter().map(|id| count(*id)).collect(), ids.iter().map(|id| leads(*id)).collect())
    }

    fn is_even(counts: &[usize]) -> bool {
        counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
    }

    /// Topics of a lone board get three copies on three boards: nothing moves that is there, leaders are even.
    #[test]
    fn raised() {
        let before = vec![held(&[1]); 9];
        let after = plan(&boards(&[1, 2, 3]), &before, Some(3)).unwrap();
        assert_eq!(copied(&before, &after), 18);
        assert_eq!(spread(&after, &[1, 2, 3]), (vec![9, 9, 9], vec![3, 3, 3]));
    }

    /// A new board gets its share and no more is copied than that; what is fixed counts and stays.
    #[test]
    fn new_board() {
        let mut before: Vec<Held> = (0..8).map(|at| held(&[[1, 2, 3], [2, 3, 1], [3, 1, 2]][at % 3])).collect();
        let after = plan(&boards(&[1, 2, 3, 4]), &before, None).unwrap();
        assert_eq!(copied(&before, &after), 6);
        let (copies, leaders) = spread(&after, &[1, 2, 3, 4]);
        assert!(copies == [6, 6, 6, 6] && is_even(&leaders), "{copies:?} {leaders:?}");
        before[0].is_fixed = true;
        assert_eq!(plan(&boards(&[1, 2, 3, 4]), &before, None).unwrap()[0], replicas(&[1, 2, 3]));
        let settled: Vec<Held> = after.iter().map(|replicas| held(&ids(replicas))).collect();
        assert_eq!(plan(&boards(&[1, 2, 3, 4]), &settled, None).unwrap(), after, "a good plan is left alone");
    }

    fn ids(replicas: &Replicas) -> Vec<i32> {
        replicas.iter().map(|id| id.0).collect()
    }

    /// A board is emptied; what others hold stays where it is.
    #[test]
    fn without() {
        let before: Vec<Held> = (0..12).map(|at| held(&[[1, 2, 3], [2, 3, 4], [3, 4, 1], [4, 1, 2]][at % 4])).collect();
        let after = plan(&boards(&[1, 2, 4]), &before, None).unwrap();
        assert_eq!(copied(&before, &after), 9);
        assert!(after.iter().all(|replicas| replicas.len() == 3 && !replicas.contains(&NodeId(3))));
        let (_, leaders) = spread(&after, &[1, 2, 4]);
        assert!(is_even(&leaders), "{leaders:?}");
        assert_eq!(plan(&boards(&[1, 2]), &before, None), Err(PlanError::TooFewBoards { copies: 3, boards: 2 }));
        assert_eq!(plan(&boards(&[1, 2]), &before, Some(8)), Err(PlanError::TooManyCopies));
    }

    /// Fewer copies are no copying; a board that is away keeps what it has and gets nothing.
    #[test]
    fn fewer_and_away() {
        let before = vec![held(&[1, 2, 3]); 6];
        let after = plan(&boards(&[1, 2, 3]), &before, Some(1)).unwrap();
        assert_eq!(copied(&before, &after), 0);
        assert_eq!(spread(&after, &[1, 2, 3]), (vec![2, 2, 2], vec![2, 2, 2]));
        let mut some = boards(&[1, 2, 3, 4]);
        some.get_mut(&NodeId(4)).unwrap().is_away = true;
        let after = plan(&some, &[held(&[4, 1]), held(&[1, 2])], Some(3)).unwrap();
        assert!(after[0].contains(&NodeId(4)) && !after[1].contains(&NodeId(4)));
    }

    /// Copies stay in racks of their own.
    #[test]
    fn racks() {
        let mut some = boards(&[1, 2, 3, 4]);
        for (id, board) in &mut some {
            board.rack = Some(if id.0 <= 2 { "a" } else { "b" }.to_string());
        }
        let before = vec![held(&[1]), held(&[1]), held(&[1]), held(&[3])];
        for replicas in plan(&some, &before, Some(2)).unwrap() {
            assert_ne!(replicas[0].0 <= 2, replicas[1].0 <= 2, "{replicas:?}");
        }
    }
}
