//! A `.snapshot` file: what a partition remembers of idempotent producers, in Kafka's format. The layout's home is
//! `broker/producer_snapshot.rs`.

use std::fs;
use std::io;
use std::path::Path;

use super::Findings;
use crate::types::{ReadError, Reader, crc32c};

/// Bytes that the CRC does not cover: the version and itself.
const HEADER_BYTES: usize = 6;

/// Prints each entry.
pub(super) fn inspect(path: &Path, findings: &mut Findings) -> io::Result<()> {
    let bytes = fs::read(path)?;
    match lines(&bytes) {
        Ok(lines) => lines.iter().for_each(|line| println!("  {line}")),
        Err(sentence) => findings.broken(sentence),
    }
    Ok(())
}

fn lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    let short = |error: ReadError| error.to_string();
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map_err(short)?;
    if version != 1 {
        return Err(format!("it has version {version}, known is 1"));
    }
    let stored = reader.u32().map_err(short)?;
    let computed = crc32c::crc32c(bytes.get(HEADER_BYTES..).unwrap_or_default());
    if stored != computed {
        return Err(format!("its CRC is {stored:#010x}, its bytes give {computed:#010x}"));
    }
    let count = reader.i32().map_err(short)?;
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(entry(&mut reader).map_err(short)?);
    }
    Ok(lines)
}

fn entry(reader: &mut Reader<'_>) -> Result<String, ReadError> {
    let (id, epoch, sequence) = (reader.i64()?, reader.i16()?, reader.i32()?);
    let (last_offset, delta, timestamp) = (reader.i64()?, reader.i32()?, reader.i64()?);
    let (_coordinator_epoch, _transaction_start) = (reader.i32()?, reader.i64()?);
    let first_offset = last_offset.wrapping_sub(i64::from(delta));
    Ok(format!(
        "producer {id}/{epoch}: last sequence {sequence}, offsets {first_offset} to {last_offset}, time {timestamp}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Writer;

    /// A whole file is printed; a flipped bit, another version and a cut are named.
    #[test]
    fn files() {
        let mut body = Vec::new();
        let mut writer = Writer::new(&mut body);
        writer.i32(1);
        writer.i64(7);
        writer.i16(0);
        writer.i32(4);
        writer.i64(104);
        writer.i32(4);
        writer.i64(1000);
        writer.i32(-1);
        writer.i64(-1);
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file);
        writer.i16(1);
        writer.u32(crc32c::crc32c(&body));
        writer.raw(&body);
        assert_eq!(lines(&file).unwrap(), ["producer 7/0: last sequence 4, offsets 100 to 104, time 1000"]);
        file[20] ^= 1;
        assert!(lines(&file).unwrap_err().starts_with("its CRC is "));
        file[1] = 9;
        assert_eq!(lines(&file).unwrap_err(), "it has version 9, known is 1");
        assert!(lines(&file[..1]).is_err());
    }
}
