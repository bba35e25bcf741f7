//! Record batches against the `kafka-protocol` crate as oracle, in both directions and with every codec.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as OracleRecord, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tern::record::{
    BatchBuilder, BatchView, Batches, Codec, NewRecord, RecordError, decompress, open, set_max_timestamp,
    validate_produced,
};
use tern::types::{LeaderEpoch, Offset, Rng, Timestamp};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const OPEN_BYTES_MAX: usize = 1 << 20;

/// Draws `count` records that compress somewhat.
fn records(rng: &mut Rng, count: usize) -> Vec<OracleRecord> {
    let base = rng.below(1 << 40) as i64;
    let producer_id = if rng.one_in(2) { -1 } else { rng.below(1000) as i64 };
    (0..count)
        .map(|index| {
            let mut bytes = vec![0; rng.below(200) as usize];
            rng.fill(&mut bytes);
            bytes.iter_mut().for_each(|byte| *byte &= 0x8f);
            let headers: IndexMap<StrBytes, Option<Bytes>> = (0..rng.below(4))
                .map(|n| (StrBytes::from_string(format!("name-{n}")), (!rng.one_in(4)).then(|| Bytes::from("text"))))
                .collect();
            OracleRecord {
                transactional: producer_id >= 0 && base % 2 == 0,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: 3,
                producer_id,
                producer_epoch: if producer_id < 0 { -1 } else { 4 },
                timestamp_type: TimestampType::Creation,
                offset: base + index as i64,
                sequence: if producer_id < 0 { index as i32 - 1 } else { 77 + index as i32 },
                timestamp: 1_700_000_000_000 + rng.below(100_000) as i64,
                key: (!rng.one_in(3)).then(|| Bytes::from(bytes[..bytes.len() / 2].to_vec())),
                value: (!rng.one_in(9)).then(|| Bytes::from(bytes.repeat(3))),
                headers,
            }
        })
        .collect()
}

fn oracle_batch(records: &[OracleRecord], compression: Compression) -> Vec<u8> {
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    let compressor = |from: &mut BytesMut, to: &mut BytesMut, codec: Compression| {
        to.extend_from_slice(&compress(from, codec));
        Ok(())
    };
    RecordBatchEncoder::encode_with_custom_compression(&mut out, records, &options, Some(compressor)).unwrap();
    out.to_vec()
}

fn compress(bytes: &[u8], codec: Compression) -> Vec<u8> {
    match codec {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Snappy if bytes.len().is_multiple_of(2) => xerial(bytes),
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Compression::Lz4 => lz4(bytes, bytes.len().is_multiple_of(2)),
        Compression::Zstd => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
    }
}

/// Snappy as snappy-java frames it, in blocks of 1 KiB.
fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(1024) {
        let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

fn lz4(bytes: &[u8], linked: bool) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new()
        .block_mode(if linked { BlockMode::Linked } else { BlockMode::Independent })
        .block_size(if linked { BlockSize::Max64KB } else { BlockSize::Max4MB })
        .block_checksums(bytes.len().is_multiple_of(3))
        .content_checksum(bytes.len().is_multiple_of(5));
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every record that we read is the one that the oracle wrote.
fn assert_same(batch: &[u8], expected: &[OracleRecord]) {
    let view = BatchView::parse(batch).unwrap();
    let mut scratch = Vec::new();
    let mut read = open(&view, &mut scratch, OPEN_BYTES_MAX).unwrap();
    for expected in expected {
        let record = read.next().unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp), (Offset(expected.offset), Timestamp(expected.timestamp)));
        assert_eq!((record.key, record.value), (expected.key.as_deref(), expected.value.as_deref()));
        assert_eq!(record.headers.len(), expected.headers.len());
        for (header, (key, value)) in record.headers.zip(&expected.headers) {
            assert_eq!((header.key, header.value), (key.as_bytes(), value.as_deref()));
        }
    }
    assert!(read.next().is_none());
}

/// What the oracle writes passes our gate and reads the same, in every codec.
#[test]
fn oracle_to_ours() {
    let mut rng = Rng::new(11);
    for round in 0..400 {
        let codec = CODECS[round % CODECS.len()];
        let count = 1 + rng.below(60) as usize;
        let records = records(&mut rng, count);
        let batch = oracle_batch(&records, codec);
        let info = validate_produced(&batch, OPEN_BYTES_MAX).unwrap();
        assert_eq!((info.record_count as usize, info.codec as i8), (records.len(), codec as i8));
        assert_eq!((info.producer_id.0, info.transactional), (records[0].producer_id, records[0].transactional));
        assert_eq!(info.base_sequence, records[0].sequence);
        assert!(!info.max_timestamp_differs);
        assert_same(&batch, &records);
    }
}

/// What our builder writes the oracle reads the same.
#[test]
fn ours_to_oracle() {
    let mut rng = Rng::new(12);
    for _ in 0..300 {
        let count = 1 + rng.below(60) as usize;
        let records = records(&mut rng, count);
        let mut builder = BatchBuilder::new(OPEN_BYTES_MAX);
        for record in &records {
            let headers: Vec<(&[u8], &[u8])> =
                record.headers.iter().map(|(k, v)| (k.as_bytes(), v.as_deref().unwrap_or(b"null"))).collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder.push(&NewRecord { timestamp: Timestamp(record.timestamp), key, value, headers: &headers }).unwrap();
        }
        let batch = builder.seal(Offset(records[0].offset), LeaderEpoch(3));
        let mut set = RecordBatchDecoder::decode(&mut batch.freeze()).unwrap();
        for (read, written) in set.records.iter_mut().zip(&records) {
            read.headers.values_mut().filter(|value| value.as_deref() == Some(b"null")).for_each(|value| *value = None);
            assert_eq!((read.offset, read.timestamp), (written.offset, written.timestamp));
            assert_eq!((&read.key, &read.value, &read.headers), (&written.key, &written.value, &written.headers));
        }
        assert_eq!(set.records.len(), records.len());
    }
}

/// One small batch a codec, as they stood on the wire when this was written: offset 5, epoch 3, producer -1, the
/// records `sensor/1 => 21.5 {unit: C}` and `null => null`.
const KNOWN: [(Codec, &str); 5] = [
    (
        Codec::None,
        "0000000000000005000000530000000302a035445d0000000000010000018bcfe568000000018bcfe568faffffffffffffff \
         ffffffffffffff00000002320000001073656e736f722f310832312e350208756e697402430e00f40302010100",
    ),
    (
        Codec::Gzip,
        "00000000000000050000006a0000000302676650480001000000010000018bcfe568000000018bcfe568faffffffffffffff \
         ffffffffffffff000000021f8b08000000000000ff012200ddff320000001073656e736f722f310832312e350208756e6974 \
         02430e00f40302010100adfebab522000000",
    ),
    (
        Codec::Snappy,
        "0000000000000005000000690000000302279ee2b60002000000010000018bcfe568000000018bcfe568faffffffffffffff \
         ffffffffffffff0000000282534e41505059000000000100000001000000242284320000001073656e736f722f310832312e \
         350208756e697402430e00f40302010100",
    ),
    (
        Codec::Lz4,
        "000000000000000500000062000000030266facc8a0003000000010000018bcfe568000000018bcfe568faffffffffffffff \
         ffffffffffffff0000000204224d184040c022000080320000001073656e736f722f310832312e350208756e697402430e00 \
         f4030201010000000000",
    ),
    (
        Codec::Zstd,
        "0000000000000005000000600000000302ffb35f6c0004000000010000018bcfe568000000018bcfe568faffffffffffffff \
         ffffffffffffff0000000228b52ffd2422110100320000001073656e736f722f310832312e350208756e697402430e00f403 \
         020101006803e95b",
    ),
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn known_records() -> Vec<OracleRecord> {
    let mut headers = IndexMap::new();
    headers.insert(StrBytes::from_static_str("unit"), Some(Bytes::from("C")));
    let first = OracleRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 5,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: Some(Bytes::from("sensor/1")),
        value: Some(Bytes::from("21.5")),
        headers,
    };
    let second = OracleRecord {
        offset: 6,
        sequence: 0,
        timestamp: 1_700_000_000_250,
        key: None,
        value: None,
        headers: IndexMap::new(),
        ..first.clone()
    };
    vec![first, second]
}

/// The known bytes read as they always did.
#[test]
fn known_batches() {
    for (codec, text) in KNOWN {
        let batch = hex(text);
        let info = validate_produced(&batch, 200).unwrap();
        assert_eq!((info.codec, info.record_count, info.max_timestamp.0), (codec, 2, 1_700_000_000_250));
        assert_same(&batch, &known_records());
        let view = BatchView::parse(&batch).unwrap();
        assert_eq!((view.base_offset(), view.partition_leader_epoch()), (Offset(5), LeaderEpoch(3)));
    }
}

/// Reads everything that can be read of `bytes`, which may be anything. Returns how many records there were.
fn read_all(bytes: &[u8]) -> usize {
    let mut scratch = Vec::new();
    let mut count = 0;
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        if let Ok(records) = open(&batch, &mut scratch, OPEN_BYTES_MAX) {
            for record in records.map_while(Result::ok) {
                record.headers.for_each(|header| assert!(header.key.len() <= OPEN_BYTES_MAX));
                count += 1;
            }
        }
        assert!(scratch.len() <= OPEN_BYTES_MAX && scratch.capacity() <= OPEN_BYTES_MAX);
    }
    count
}

/// A known batch cut at every byte is never whole; what is left of it is never overread.
#[test]
fn truncated_at_every_byte() {
    for (_, text) in KNOWN {
        let batch = hex(text);
        for end in 0..batch.len() {
            assert_eq!(validate_produced(&batch[..end], 200), Err(RecordError::Truncated));
            assert_eq!(read_all(&batch[..end]), 0);
            let cut = with_body(&batch, &batch[end.max(61)..]);
            read_all(&cut);
            let cut = with_body(&batch, &batch[61..end.max(61)]);
            read_all(&cut);
        }
        assert_eq!(validate_produced(&[batch.clone(), batch.clone()].concat(), 400), Err(RecordError::MoreThanOne));
        assert_eq!(validate_produced(&batch, batch.len() - 1), Err(RecordError::TooLarge));
    }
}

/// The header of `batch` with another body and a length and CRC that fit it.
fn with_body(batch: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = [&batch[..61], body].concat();
    let length = (out.len() - 12) as i32;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    set_max_timestamp(&mut out, Timestamp(0), false);
    out
}

/// Every flipped bit is found by the gate, except in the two fields that the log overwrites; and with a CRC that fits
/// the damage, reading ends in records or an error.
#[test]
fn every_bit_flipped() {
    for (_, text) in KNOWN {
        let batch = hex(text);
        for bit in 0..batch.len() * 8 {
            let mut bytes = batch.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let outside_crc = bit / 8 < 8 || (12..16).contains(&(bit / 8));
            let refused = validate_produced(&bytes, 200).is_err();
            assert!(refused || outside_crc, "bit {bit}");
            read_all(&bytes);
            if bit / 8 >= 21 {
                set_max_timestamp(&mut bytes, Timestamp(0), false);
                read_all(&bytes);
            }
        }
    }
}

/// Compressed forms of larger data, damaged at random: an error or other bytes, never a panic, never above the bound.
#[test]
fn damaged_codecs() {
    let mut rng = Rng::new(13);
    for round in 0..1200 {
        let codec = CODECS[1 + round % 4];
        let mut plain = vec![0; 1 + rng.below(6_000) as usize];
        rng.fill(&mut plain);
        plain.iter_mut().for_each(|byte| *byte &= 0x03);
        let mut bytes = compress(&plain, codec);
        let ours = BatchView::parse(&oracle_batch(&known_records(), codec)).unwrap().codec().unwrap();
        let mut out = Vec::new();
        decompress(ours, &bytes, plain.len(), &mut out).unwrap();
        assert_eq!(out, plain);
        assert_eq!(decompress(ours, &bytes, plain.len() - 1, &mut out), Err(RecordError::TooLarge));
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next() as u8;
        }
        bytes.truncate(bytes.len() - rng.below(3) as usize);
        let mut out = Vec::new();
        let _ = decompress(ours, &bytes, plain.len(), &mut out);
        assert!(out.capacity() <= plain.len());
    }
}

/// A few bytes that unpack to a gigabyte stop at the bound.
#[test]
fn bombs() {
    let zeros = vec![0; 8 << 20];
    for (codec, ours) in CODECS.iter().zip([Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]) {
        let mut out = Vec::new();
        assert_eq!(decompress(ours, &compress(&zeros, *codec), 100_000, &mut out), Err(RecordError::TooLarge));
        assert!(out.capacity() <= 100_000);
    }
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]; // Snappy: 4 GiB to come
    assert_eq!(decompress(Codec::Snappy, &claim, 100_000, &mut Vec::new()), Err(RecordError::TooLarge));
}
