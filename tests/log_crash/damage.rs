//! Single stories: what recovery makes of each kind of harm, and what a disk that refuses costs.

use tern::log::storage::{FileName, FilePath, Storage};
use tern::log::{AppendError, LogConfig, LogEvent, LogReadError};
use tern::record::{BatchView, set_base_offset};
use tern::types::{Offset, Rng, Timestamp};

use crate::bench::{Bench, START, batch, dir};
use crate::disk::SimDisk;

const BATCHES: i64 = 20;

/// A killed process leaves a log of `BATCHES` batches; returns the disk and the positions of the batches.
fn killed_log() -> (SimDisk, Vec<u64>) {
    let mut bench = Bench::new(SimDisk::new(1), START);
    let (log, _) = bench.open("t-0", LogConfig { index_interval_bytes: 2048, ..LogConfig::default() });
    let mut positions = vec![0];
    for number in 0..BATCHES {
        let batch = batch(300 + 40 * number as usize, Timestamp(START.0 + number));
        positions.push(positions.last().unwrap() + batch.len() as u64);
        bench.append(log, batch).unwrap();
        bench.settle();
    }
    bench.disk.kill();
    (bench.disk, positions)
}

fn log_file(base: i64) -> FilePath<'static> {
    FilePath { root: tern::effect::Root::Topics, dir: Some("t-0"), name: FileName::Log(Offset(base)) }
}

fn damages(bench: &Bench) -> Vec<&str> {
    fn damaged(event: &LogEvent) -> Option<&str> {
        if let LogEvent::Damaged { sentence, .. } = event { Some(sentence) } else { None }
    }
    bench.events.iter().filter_map(damaged).collect()
}

/// Every batch but those in `but` is read as appended.
fn assert_readable(bench: &mut Bench, log: tern::log::LogKey, but: &[i64]) {
    for offset in (0..BATCHES).filter(|offset| !but.contains(offset)) {
        let mut expected = batch(300 + 40 * offset as usize, Timestamp(START.0 + offset));
        set_base_offset(&mut expected, Offset(offset));
        assert_eq!(bench.read(log, Offset(offset)).unwrap(), expected.freeze(), "offset {offset}");
    }
}

/// A bit that flipped in a batch that was acknowledged is reported, and costs that batch alone: after a kill, when the
/// whole tail is scanned, and in the last batches as well as in the first.
#[test]
fn rot_in_the_tail() {
    for victim in [0, 1, 7, BATCHES - 2] {
        for inside in [0, 9, 17, 30, 70, 250] {
            let (mut disk, positions) = killed_log();
            disk.rot(log_file(0), positions[victim as usize] + inside);
            let mut bench = Bench::new(disk, START);
            let (log, opened) = bench.open("t-0", LogConfig::default());
            assert_eq!(opened.marks.end, Offset(BATCHES), "nothing is cut");
            let told = damages(&bench);
            assert_eq!(told.len(), 1, "batch {victim}, byte {inside}: {told:?}");
            assert!(told[0].contains(&format!("offsets {victim} to {victim} cannot be read")), "{told:?}");
            assert_readable(&mut bench, log, &[victim]);
            let error = bench.read(log, Offset(victim)).unwrap_err();
            assert!(
                matches!(error, LogReadError::Damaged { resume: Some(at), .. } if at == Offset(victim + 1)),
                "{error:?}"
            );
            bench.append(log, batch(10, START)).unwrap();
            bench.settle();
            assert_eq!(bench.logs.marks(log).durable, Offset(BATCHES + 1));
        }
    }
}

/// After a clean stop nothing is scanned: damage is found by the reader, who is told where to go on.
#[test]
fn rot_below_the_recovery_point() {
    let (disk, positions) = killed_log();
    let mut bench = Bench::new(disk, START);
    bench.open("t-0", LogConfig::default());
    let mut disk = bench.stop();
    disk.rot(log_file(0), positions[3] + 100);
    let mut bench = Bench::new(disk, START);
    let (log, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!((opened.marks.end, damages(&bench).len()), (Offset(BATCHES), 0));
    assert_readable(&mut bench, log, &[3]);
    assert!(matches!(bench.read(log, Offset(3)), Err(LogReadError::Damaged { resume: Some(Offset(4)), .. })));
}

/// The same in every field of a header, lengths and offsets too, which no checksum covers: the batch is never served as
/// another, and what follows it is.
#[test]
fn rot_in_headers_below_the_recovery_point() {
    for victim in [0, 4, BATCHES - 2] {
        for inside in 0..61 {
            let (disk, positions) = killed_log();
            let mut bench = Bench::new(disk, START);
            bench.open("t-0", LogConfig::default());
            let mut disk = bench.stop();
            disk.rot(log_file(0), positions[victim as usize] + inside);
            let mut bench = Bench::new(disk, START);
            let (log, opened) = bench.open("t-0", LogConfig::default());
            assert_eq!(opened.marks.end, Offset(BATCHES));
            let is_leader_epoch = (12..16).contains(&inside); // no checksum covers it, and nothing contradicts it
            assert_readable(&mut bench, log, &[victim]);
            match bench.read(log, Offset(victim)) {
                Ok(_) => assert!(is_leader_epoch, "batch {victim}, byte {inside}"),
                Err(LogReadError::Damaged { resume, .. }) => {
                    assert!(!is_leader_epoch);
                    assert_eq!(resume, Some(Offset(victim + 1)), "batch {victim}, byte {inside}");
                }
                Err(error) => panic!("batch {victim}, byte {inside}: {error}"),
            }
        }
    }
}

/// A synced log that lost its end is not continued as if that had never been: its offsets are not given again.
#[test]
fn synced_end_is_missing() {
    let (disk, positions) = killed_log();
    let mut bench = Bench::new(disk, START);
    bench.open("t-0", LogConfig::default());
    let mut disk = bench.stop();
    disk.set_len(log_file(0), positions[15] + 7).unwrap();
    let mut bench = Bench::new(disk, START);
    let (log, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!(opened.marks.end, Offset(BATCHES));
    assert!(!damages(&bench).is_empty());
    assert_readable(&mut bench, log, &[15, 16, 17, 18, 19]);
}

/// A file that ends anywhere within its last batches is cut to whole ones, without a word of damage.
#[test]
fn torn_at_any_byte() {
    let (disk, positions) = killed_log();
    for bytes in positions[17]..positions[20] {
        let mut disk = disk.clone();
        disk.set_len(log_file(0), bytes).unwrap();
        let mut bench = Bench::new(disk, START);
        let (_, opened) = bench.open("t-0", LogConfig::default());
        let whole = positions.iter().rposition(|&position| position <= bytes).unwrap();
        assert_eq!(opened.marks.end, Offset(whole as i64));
        assert!(damages(&bench).is_empty());
        assert_eq!(opened.warnings.len(), (positions[whole] != bytes) as usize);
        assert_eq!(bench.disk.content(log_file(0)).unwrap().len() as u64, positions[whole]);
    }
}

/// A tail of zeros, as file systems leave it after a power cut, is cut; so is a batch whose sectors were lost although
/// the next one arrived, because one write held both.
#[test]
fn zeros() {
    let (disk, positions) = killed_log();
    let mut filled = disk.clone();
    filled.set_len(log_file(0), positions[20] + 5000).unwrap();
    let mut bench = Bench::new(filled, START);
    let (log, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!((opened.marks.end, opened.warnings.len(), damages(&bench).len()), (Offset(BATCHES), 1, 0));
    assert_readable(&mut bench, log, &[]);

    let mut holed = disk;
    let hole = positions[18].next_multiple_of(512);
    holed.write_at(log_file(0), hole, &[&[0; 512]]).unwrap();
    assert!(hole + 512 <= positions[19]);
    let mut bench = Bench::new(holed, START);
    let (_, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!((opened.marks.end, opened.warnings.len(), damages(&bench).len()), (Offset(18), 1, 0));
}

/// Indexes that are lost, or hold garbage behind the recovery point, are written anew.
#[test]
fn indexes_are_rebuilt() {
    let names = [FileName::OffsetIndex(Offset(0)), FileName::TimeIndex(Offset(0))];
    let (disk, _) = killed_log();
    let intact: Vec<Vec<u8>> =
        names.iter().map(|&name| disk.content(FilePath::in_log(&dir("t-0"), name)).unwrap().to_vec()).collect();
    assert!(intact.iter().all(|index| index.len() > 24));
    for harm in 0..3 {
        let mut disk = disk.clone();
        for name in names {
            let file = FilePath { name, ..log_file(0) };
            match harm {
                0 => disk.remove(file).unwrap(),
                1 => disk.set_len(file, 9).unwrap(),
                _ => disk.write_at(file, 8, &[&[0; 100]]).unwrap(),
            }
        }
        let mut bench = Bench::new(disk, START);
        let (log, _) = bench.open("t-0", LogConfig { index_interval_bytes: 2048, ..LogConfig::default() });
        for (&name, intact) in names.iter().zip(&intact) {
            assert_eq!(bench.disk.content(FilePath { name, ..log_file(0) }).unwrap(), *intact, "harm {harm}");
        }
        assert_readable(&mut bench, log, &[]);
    }
}

/// After a clean stop a start reads some kilobytes behind the last index entry, however large the log is.
#[test]
fn a_clean_start_scans_nothing() {
    let mut bench = Bench::with(SimDisk::new(1), START, Bench::config());
    let (log, _) = bench.open("t-0", LogConfig { segment_bytes: 300_000, ..LogConfig::default() });
    for _ in 0..1000 {
        bench.append(log, batch(1000, START)).unwrap();
        bench.settle();
    }
    let mut disk = bench.stop();
    disk.power_cut(&mut Rng::new(3));
    let read_before = disk.bytes_read;
    let mut bench = Bench::with(disk, START, Bench::config());
    let (_, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!(opened.marks.end, Offset(1000));
    let read = bench.disk.bytes_read - read_before;
    assert!(read < 40_000, "{read} bytes were read");
}

/// A power cut costs a scan of some megabytes behind the last checkpoint, not of the log.
#[test]
fn a_scan_is_bounded() {
    let mut bench = Bench::new(SimDisk::new(1), START);
    let (log, _) = bench.open("t-0", LogConfig { producers: true, ..LogConfig::default() });
    for _ in 0..1000 {
        bench.append(log, batch(100_000, START)).unwrap();
        bench.settle();
        if bench.events.drain(..).any(|event| matches!(event, LogEvent::SnapshotWanted { .. })) {
            bench.logs.set_producer_snapshot(log, bytes::Bytes::from_static(b"known"));
        }
    }
    let mut disk = bench.disk;
    disk.power_cut(&mut Rng::new(3));
    let read_before = disk.bytes_read;
    let mut bench = Bench::new(disk, START);
    let (_, opened) = bench.open("t-0", LogConfig { producers: true, ..LogConfig::default() });
    assert_eq!(opened.marks.end, Offset(1000));
    let read = bench.disk.bytes_read - read_before;
    assert!(read < 70 << 20, "{read} of 100 million bytes were read");
}

/// Sixteen partitions share one sync a round; the journal's own upkeep adds little.
#[test]
fn partitions_share_a_sync() {
    let mut bench = Bench::with(SimDisk::new(1), START, Bench::config());
    let logs: Vec<_> = (0..16).map(|number| bench.open(&format!("t-{number}"), LogConfig::default()).0).collect();
    let syncs_before = bench.disk.syncs;
    for _ in 0..500 {
        for &log in &logs {
            bench.append(log, batch(100, START)).unwrap();
        }
        bench.settle();
    }
    let syncs = bench.disk.syncs - syncs_before;
    assert!((500..=550).contains(&syncs), "{syncs} syncs for 500 rounds");
    let syncs_idle = bench.disk.syncs;
    for _ in 0..100 {
        bench.pass(10_000);
    }
    assert_eq!(bench.disk.syncs, syncs_idle, "an idle node syncs nothing");
}

/// A full disk refuses appends, keeps everything that was acknowledged readable, and serves again when there is room.
#[test]
fn full_disk() {
    let mut bench = Bench::new(SimDisk::new(1), START);
    let (log, _) = bench.open("t-0", LogConfig { segment_bytes: 40_000, ..LogConfig::default() });
    bench.disk.capacity_bytes = Some(bench.disk.used_bytes() + 200_000);
    let mut durable = 0;
    let refused = loop {
        match bench.append(log, batch(1000, START)) {
            Ok(_) => bench.settle(),
            Err(error) => break error,
        }
        durable = bench.logs.marks(log).durable.0;
    };
    assert_eq!(refused, AppendError::Disk(tern::effect::DiskError::Full));
    let told = |bench: &Bench, wanted: fn(&LogEvent) -> bool| bench.events.iter().any(wanted);
    assert!(told(&bench, |event| matches!(event, LogEvent::SpaceLow)));
    assert!(told(&bench, |event| matches!(event, LogEvent::AppendFailed { .. })));
    let marks = bench.logs.marks(log);
    assert_eq!((marks.end.0, marks.durable.0), (durable, durable));
    assert!(bench.disk.free_bytes(tern::effect::Root::Topics).unwrap() >= 60_000, "the reserve is given up");
    for _ in 0..10 {
        bench.pass(1000);
        assert!(bench.append(log, batch(1000, START)).is_err(), "the reserve is not for appends");
    }
    assert_eq!(
        BatchView::parse(&bench.read(log, Offset(durable - 1)).unwrap()).unwrap().base_offset(),
        Offset(durable - 1)
    );
    // retention makes room, by means of the reserve
    bench.logs.set_config(log, LogConfig { retention_bytes: Some(1), segment_bytes: 40_000, ..LogConfig::default() });
    bench.pass(1000);
    bench.pass(1000);
    assert!(told(&bench, |event| matches!(event, LogEvent::SpaceBack)));
    bench.append(log, batch(1000, START)).unwrap();
    bench.settle();
    assert_eq!(bench.logs.marks(log).durable.0, durable + 1);
    let mut disk = bench.disk;
    disk.power_cut(&mut Rng::new(9));
    let mut bench = Bench::new(disk, START);
    let (_, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!(opened.marks.end.0, durable + 1);
}

/// The quorum finds the disk full before the logs have started, whose start sets the reserve aside again: it gets it all the
/// same, else the node would never have a leader.
#[test]
fn full_before_the_start() {
    let mut disk = Bench::new(SimDisk::new(1), START).stop();
    disk.capacity_bytes = Some(disk.used_bytes());
    let mut bench = Bench::before_start(disk, START, Bench::small());
    let free = |bench: &mut Bench| bench.disk.free_bytes(tern::effect::Root::Topics).unwrap();
    bench.release_reserve();
    assert!(free(&mut bench) >= 60_000);
    bench.start();
    assert!(free(&mut bench) < 10_000, "it was set aside again");
    bench.release_reserve();
    assert!(free(&mut bench) >= 60_000);
    bench.pass(10_000);
    assert!(free(&mut bench) >= 60_000);
}

/// Age counts by broker time: not by what records say, not by a clock that went back, and not before it is believed.
#[test]
fn retention_by_broker_time() {
    let day = 24 * 3_600_000;
    let config = LogConfig { retention_ms: Some(7 * day as u64), segment_bytes: 3000, ..LogConfig::default() };
    let mut bench = Bench::new(SimDisk::new(1), START);
    let (log, _) = bench.open("t-0", config.clone());
    for (number, timestamp) in [0, i64::MAX / 2, 1, START.0].into_iter().enumerate() {
        bench.append(log, batch(2500, Timestamp(timestamp))).unwrap();
        bench.settle();
        assert_eq!(bench.logs.marks(log).end.0, number as i64 + 1);
    }
    bench.pass(6 * day as u64);
    assert_eq!(bench.logs.marks(log).start, Offset(0), "neither records of 1970 nor of the far future count");
    let disk = bench.stop();

    let mut bench = Bench::new(disk, Timestamp(5));
    let (log, _) = bench.open("t-0", config.clone());
    for _ in 0..100 {
        bench.pass(60_000);
    }
    assert_eq!(bench.logs.marks(log).start, Offset(0), "the clock is of 1970");
    bench.now.wall = Timestamp(START.0 + 6 * day + 1000);
    bench.pass(3_600_000);
    assert_eq!(bench.logs.marks(log).start, Offset(0), "the restart took nothing from the age, and added nothing");
    bench.pass(day as u64);
    bench.pass(day as u64);
    let marks = bench.logs.marks(log);
    assert_eq!((marks.start, marks.end), (Offset(4), Offset(4)), "all of it is too old now, the last segment too");
    assert_eq!(bench.append(log, batch(10, START)).unwrap().base_offset, Offset(4));
    bench.settle();
    let mut disk = bench.disk;
    disk.power_cut(&mut Rng::new(4));
    let mut bench = Bench::new(disk, START);
    let (_, opened) = bench.open("t-0", config);
    assert_eq!((opened.marks.start, opened.marks.end), (Offset(4), Offset(5)));
}

/// A directory that Kafka wrote, without our file in it, is taken over, gaps of a compaction included.
#[test]
fn a_log_of_kafkas() {
    let mut disk = SimDisk::new(1);
    disk.create_dir(tern::effect::Root::Topics, "t-0").unwrap();
    for base in [0, 40] {
        disk.create(log_file(base)).unwrap();
        let mut first = batch(100, START);
        set_base_offset(&mut first, Offset(base));
        let mut second = batch(100, START);
        set_base_offset(&mut second, Offset(base + 10));
        disk.write_at(log_file(base), 0, &[&first, &second]).unwrap();
    }
    let mut bench = Bench::new(disk, START);
    let (log, opened) = bench.open("t-0", LogConfig::default());
    assert_eq!((opened.marks.start, opened.marks.end), (Offset(0), Offset(51)));
    assert!(damages(&bench).is_empty(), "{:?}", damages(&bench));
    for (from, base) in [(0, 0), (1, 10), (11, 40), (41, 50)] {
        assert_eq!(BatchView::parse(&bench.read(log, Offset(from)).unwrap()).unwrap().base_offset(), Offset(base));
    }
}
