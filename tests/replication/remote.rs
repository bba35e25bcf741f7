//! Live subscribers on boards without a copy: topics of one and of two copies on three boards.

use bytes::Bytes;
use tern::broker::replication::{At, Message};
use tern::coordinator::features;
use tern::memory::Grant;
use tern::types::{Now, Offset};

use super::controller::TOPIC;
use super::seeds;
use super::world::{NODES, PARTITIONS, World};

/// The first partition's leader and, with two copies, the board without one.
fn places(world: &World) -> (usize, usize) {
    let state = &world.controller.now.topics[TOPIC].partitions[0];
    let without = NODES.iter().position(|node| !state.replicas.contains(node)).unwrap();
    (state.leader.unwrap().0 as usize - 1, without)
}

fn told(world: &World, which: usize) -> Offset {
    world.nodes[which].subscribers.from[0]
}

/// Whatever breaks and wherever copies move, every board's subscribers are told each record once, in order and without a
/// gap; when it has healed, all of them.
#[test]
fn every_board_hears_everything() {
    let mut totals = [0; 5];
    for seed in seeds() {
        println!("seed {seed}: TERN_SEED={seed} cargo test --test replication every_board");
        let mut world = World::with_copies(seed, 1 + seed as usize % 2);
        for step in 0..12_000 {
            world.step(step % 3000 < 1500); // what moves needs some peace to arrive
        }
        world.settle(6000);
        world.check();
        let controller = &world.controller;
        let counts = [world.told_from_afar, world.crashes, controller.elections, controller.moves_done, world.told];
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    println!("told from afar, crashes, elections, moves done, told: {totals:?}");
    let enough = seeds().count() as u32;
    assert!(enough < 20 || totals.iter().all(|total| *total >= enough / 2), "the faults do not happen: {totals:?}");
}

/// The leader dies, its successor goes on, and the link to it is cut: the board without a copy hears all of it.
#[test]
fn leader_and_link_are_lost() {
    let mut world = World::with_copies(11, 2);
    world.settle(1200);
    let (leader, without) = places(&world);
    let before = told(&world, without);
    assert!(world.told_from_afar > 0 && before > Offset(0));
    world.crash(leader);
    (0..4000).for_each(|_| world.step(false));
    world.settle(1200);
    let (next, _) = places(&world);
    assert!(told(&world, without) > before);
    for (from, to) in [(without, next), (next, without)] {
        world.break_link(NODES[from], NODES[to]);
        (0..20).for_each(|_| world.produce(next));
        world.settle(600);
    }
    world.settle(6000);
    world.check();
}

/// The only copy moves through all boards: subscribers there are told by their own copy while there is one, and by another
/// board's before and after it, without a gap and nothing twice.
#[test]
fn a_copy_comes_and_goes() {
    let mut world = World::with_copies(5, 1);
    world.settle(1200);
    for turn in 0..6 {
        for partition in 0..PARTITIONS {
            let target = NODES[(partition + turn) % NODES.len()];
            world.controller.reassign(partition, Some(&[target]));
        }
        (0..15000).for_each(|_| world.step(false));
    }
    assert!(world.controller.moves_done > 6, "{}", world.controller.moves_done);
    world.settle(6000);
    world.check();
}

/// While a member may not understand the question nobody asks; when all do, subscribers hear what comes then.
#[test]
fn an_older_level_is_spoken() {
    let mut world = World::with_copies(3, 1);
    world.controller.now.feature_level = features::TAILS - 1;
    world.settle(1200);
    assert!(world.told > 0 && world.told_from_afar == 0);
    world.controller.now.feature_level = features::TAILS;
    let cluster = world.controller.now.clone();
    for which in 0..NODES.len() {
        world.with(which, |broker, _, _| broker.follow_feature_level(&cluster));
    }
    world.settle(6000);
    assert!(world.told_from_afar > 0);
    world.check();
}

/// A subscriber waits until the leaders have said where its tails begin, and not for ever.
#[test]
fn a_subscriber_waits_for_its_place() {
    let mut world = World::with_copies(9, 1);
    world.settle(300);
    let awaits_after = |world: &mut World, millis: u64| {
        let later = |now: Now| Now { mono: now.mono.plus_millis(millis), ..now };
        world.with(0, |broker, now, _| broker.awaits_tails(later(now))).unwrap()
    };
    let awaits = |world: &mut World| awaits_after(world, 0);
    assert!(!awaits(&mut world));
    let cluster = world.controller.now.clone();
    let switch = |world: &mut World| {
        for on in [false, true] {
            world.with(0, |broker, _, _| broker.set_tails(on, &cluster));
        }
        world.nodes[0].subscribers.is_told = [false; PARTITIONS]; // what comes between is not missed
    };
    switch(&mut world);
    assert!(awaits(&mut world), "nobody has answered");
    world.settle(100);
    assert!(!awaits(&mut world));
    for other in [1, 2] {
        world.crash(other);
    }
    switch(&mut world);
    assert!(awaits(&mut world));
    assert!(!awaits_after(&mut world, 2001));
}

/// A leader that does not know yet how much of its log is acknowledged gives nobody a place in it: another leader's log may
/// have other records there.
#[test]
fn no_place_in_what_may_be_cut() {
    let (mut world, [led, asks, _]) = World::at_rest(4);
    let before = world.view(led);
    world.append(led);
    world.turns(30, &[led]);
    world.controller.change_state(0, |_, state| {
        state.leader_epoch.0 += 1;
        true
    });
    while world.view(led).leader_epoch == before.leader_epoch {
        world.see_change(led);
    }
    world.turns(30, &[led]);
    let view = world.view(led);
    assert!(
        view.is_served && view.high_watermark == before.high_watermark && view.log_end_offset > view.high_watermark
    );
    assert_eq!(place(&mut world, led, asks), None);
    world.settle(1200);
    let view = world.view(led);
    assert_eq!(view.high_watermark, view.log_end_offset);
    assert_eq!(place(&mut world, led, asks), Some(view.high_watermark));
}

/// What a leader says to a board that asks where it begins; none: to ask later.
fn place(world: &mut World, led: usize, asks: usize) -> Option<Offset> {
    let view = world.view(led);
    let at = At { topic: view.topic_id, index: view.index, epoch: view.leader_epoch };
    let mut bytes = Vec::new();
    Message::TailFetch { at, number: 7_000_000, from: None }.write(&mut bytes);
    let bytes = Bytes::from(bytes);
    world.intercept(NODES[led], NODES[asks]);
    world.with(led, |broker, now, fx| broker.peer_messages(now, NODES[asks], &bytes, Grant::none(), fx));
    let answers = world.intercept(NODES[led], NODES[asks]);
    let mut rest = &answers[..];
    while let Some((message, after)) = Message::read(rest) {
        match message {
            Message::TailRecords { number: 7_000_000, next, .. } => return Some(next),
            Message::TailNotHere { number: 7_000_000, .. } => return None,
            _ => rest = after,
        }
    }
    panic!("it does not answer");
}
