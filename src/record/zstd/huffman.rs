//! Huffman codes of literals (RFC 8878, 4.2): described by weights, decoded by one look-up a byte.

use super::bits::BackwardBits;
use super::fse;
use crate::record::RecordError;

const BITS_MAX: u32 = 11;
const SYMBOLS_MAX: usize = 256;
const WEIGHTS_LOG_MAX: u32 = 6;

/// A code of up to 11 bits. Empty until it is read.
#[derive(Debug, Default)]
pub struct Code {
    bits: u32,
    /// Symbol and length by the next `bits` bits.
    entries: Vec<(u8, u8)>,
}

/// The weights of the symbols in order; those not listed have none.
struct Weights {
    list: [u8; SYMBOLS_MAX],
    count: usize,
}

impl Code {
    /// True before the first code.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads the description at the front of `bytes`; returns how many it took.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, RecordError> {
        let (&header, rest) = bytes.split_first().ok_or(RecordError::BadCompression)?;
        let mut weights = Weights { list: [0; SYMBOLS_MAX], count: 0 };
        let used = if header >= 128 {
            let count = header as usize - 127;
            let packed = rest.get(..count.div_ceil(2)).ok_or(RecordError::BadCompression)?;
            let nibbles = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            nibbles.take(count).try_for_each(|weight| weights.push(weight))?;
            packed.len()
        } else {
            let packed = rest.get(..header as usize).ok_or(RecordError::BadCompression)?;
            weights.unpack(packed)?;
            packed.len()
        };
        self.build(weights)?;
        Ok(1 + used)
    }

    fn build(&mut self, mut weights: Weights) -> Result<(), RecordError> {
        let bits = weights.complete()?;
        self.bits = bits;
        self.entries.clear();
        for weight in 1..=bits as u8 {
            for (symbol, _) in weights.list.iter().enumerate().filter(|(_, of)| **of == weight) {
                let entry = (symbol as u8, bits as u8 + 1 - weight);
                self.entries.resize(self.entries.len() + (1 << (weight - 1)), entry);
            }
        }
        if self.entries.len() == 1 << bits { Ok(()) } else { Err(RecordError::BadCompression) }
    }

    /// Appends `count` symbols, which must be all of `stream`.
    pub fn decode(&self, stream: &[u8], count: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut bits = BackwardBits::new(stream)?;
        for _ in 0..count {
            let (symbol, length) = self.entries.get(bits.peek(self.bits) as usize).copied().unwrap_or_default();
            bits.skip(length as u32);
            out.push(symbol);
        }
        if bits.left() == 0 { Ok(()) } else { Err(RecordError::BadCompression) }
    }
}

impl Weights {
    fn push(&mut self, weight: u8) -> Result<(), RecordError> {
        // The last place is for the weight that is not told.
        let place = self.list.get_mut(self.count).filter(|_| self.count < SYMBOLS_MAX - 1 && weight as u32 <= BITS_MAX);
        *place.ok_or(RecordError::BadCompression)? = weight;
        self.count += 1;
        Ok(())
    }

    /// Two states that take turns on one stream, until it has no more bits.
    fn unpack(&mut self, packed: &[u8]) -> Result<(), RecordError> {
        let mut table = fse::Table::default();
        let used = table.read(packed, WEIGHTS_LOG_MAX, BITS_MAX as u8)?;
        let mut bits = BackwardBits::new(packed.get(used..).unwrap_or_default())?;
        let mut now = table.start(&mut bits);
        let mut then = table.start(&mut bits);
        if bits.left() < 0 {
            return Err(RecordError::BadCompression);
        }
        loop {
            self.push(table.symbol(now))?;
            table.advance(&mut now, &mut bits);
            if bits.left() < 0 {
                return self.push(table.symbol(then));
            }
            std::mem::swap(&mut now, &mut then);
        }
    }

    /// Adds the last weight, which fills the sum up to a power of two; returns the longest code's bits.
    fn complete(&mut self) -> Result<u32, RecordError> {
        let share = |weight: u8| if weight == 0 { 0 } else { 1u32 << (weight - 1) };
        let sum: u32 = self.list.iter().map(|&weight| share(weight)).sum(); // at most 255 shares of 1024
        let bits = if sum == 0 { 0 } else { sum.ilog2() + 1 };
        let rest = (1u32 << bits) - sum;
        if bits == 0 || bits > BITS_MAX || !rest.is_power_of_two() {
            return Err(RecordError::BadCompression);
        }
        if let Some(last) = self.list.get_mut(self.count) {
            *last = rest.ilog2() as u8 + 1;
        }
        Ok(bits)
    }
}
