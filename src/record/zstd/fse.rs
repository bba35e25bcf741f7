//! Finite state entropy tables: described by probabilities, walked by states (RFC 8878, 4.1).

use super::bits::{BackwardBits, ForwardBits};
use crate::record::RecordError;

/// Most symbols that any table here has: 256 would be legal nowhere.
const SYMBOLS_MAX: usize = 64;

/// One state: the symbol it stands for, and where the next one is.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    symbol: u8,
    bits: u8,
    base: u16,
}

/// A table of 2^log states. Empty until it is filled.
#[derive(Debug, Default)]
pub struct Table {
    log: u32,
    entries: Vec<Entry>,
}

/// Probabilities by symbol, -1 for "less than one".
struct Distribution {
    log: u32,
    counts: [i16; SYMBOLS_MAX],
    symbols: usize,
}

impl Table {
    /// True before the first table.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a description from the front of `bytes`; returns how many it took.
    pub fn read(&mut self, bytes: &[u8], log_max: u32, symbol_max: u8) -> Result<usize, RecordError> {
        let mut bits = ForwardBits::new(bytes);
        let distribution = Distribution::read(&mut bits, log_max, symbol_max)?;
        self.build(distribution.log, distribution.counts.get(..distribution.symbols).unwrap_or_default())?;
        Ok(bits.bytes_used())
    }

    /// A table that never leaves one symbol and takes no bits.
    pub fn one_symbol(&mut self, symbol: u8) {
        self.log = 0;
        self.entries.clear();
        self.entries.push(Entry { symbol, bits: 0, base: 0 });
    }

    /// Spreads the symbols over 2^log states; an error unless the counts add up to that.
    pub fn build(&mut self, log: u32, counts: &[i16]) -> Result<(), RecordError> {
        let size = 1usize << log;
        self.log = log;
        self.entries.clear();
        self.entries.resize(size, Entry::default());
        let mut next = [0u16; SYMBOLS_MAX];
        let mut high = size;
        for ((symbol, &count), next) in counts.iter().enumerate().zip(&mut next) {
            *next = count.unsigned_abs();
            if count == -1 {
                high = high.checked_sub(1).ok_or(RecordError::BadCompression)?;
                self.set_symbol(high, symbol);
            }
        }
        let (step, mut position) = ((size >> 1) + (size >> 3) + 3, 0);
        for (symbol, &count) in counts.iter().enumerate() {
            for _ in 0..count.max(0) {
                if position >= high {
                    return Err(RecordError::BadCompression); // more than the states
                }
                self.set_symbol(position, symbol);
                position = (position + step) & (size - 1);
                while position >= high && high > 0 {
                    position = (position + step) & (size - 1);
                }
            }
        }
        if position != 0 {
            return Err(RecordError::BadCompression);
        }
        for entry in &mut self.entries {
            let Some(next) = next.get_mut(entry.symbol as usize) else { return Err(RecordError::BadCompression) };
            let bits = log.checked_sub(next.max(&mut 1).ilog2()).ok_or(RecordError::BadCompression)?;
            entry.bits = bits as u8;
            entry.base = ((*next as usize) << bits).wrapping_sub(size) as u16;
            *next += 1;
        }
        Ok(())
    }

    fn set_symbol(&mut self, position: usize, symbol: usize) {
        if let Some(entry) = self.entries.get_mut(position) {
            entry.symbol = symbol as u8;
        }
    }

    /// The first state of a stream.
    pub fn start(&self, bits: &mut BackwardBits<'_>) -> State {
        State(bits.read(self.log) as u16)
    }

    /// The symbol of a state.
    #[inline]
    pub fn symbol(&self, state: State) -> u8 {
        self.entry(state).symbol
    }

    /// Moves on.
    #[inline]
    pub fn advance(&self, state: &mut State, bits: &mut BackwardBits<'_>) {
        let entry = self.entry(*state);
        state.0 = entry.base.wrapping_add(bits.read(entry.bits as u32) as u16);
    }

    #[inline]
    fn entry(&self, state: State) -> Entry {
        self.entries.get(state.0 as usize).copied().unwrap_or_default()
    }
}

/// A place in a table.
#[derive(Clone, Copy, Debug)]
pub struct State(u16);

impl Distribution {
    fn read(bits: &mut ForwardBits<'_>, log_max: u32, symbol_max: u8) -> Result<Distribution, RecordError> {
        let log = bits.read(4)? + 5;
        if log > log_max {
            return Err(RecordError::BadCompression);
        }
        let mut distribution = Distribution { log, counts: [0; SYMBOLS_MAX], symbols: 0 };
        let mut remaining = 1i32 << log;
        while remaining > 0 {
            let count = read_count(bits, remaining as u32)?;
            remaining -= count.abs() as i32;
            distribution.push(count, symbol_max)?;
            if count == 0 {
                distribution.push_zeros(bits, symbol_max)?;
            }
        }
        if remaining == 0 { Ok(distribution) } else { Err(RecordError::BadCompression) }
    }

    fn push(&mut self, count: i16, symbol_max: u8) -> Result<(), RecordError> {
        match self.counts.get_mut(self.symbols) {
            Some(place) if self.symbols <= symbol_max as usize => *place = count,
            _ => return Err(RecordError::BadCompression),
        }
        self.symbols += 1;
        Ok(())
    }

    /// A zero is followed by how many more there are, two bits at a time.
    fn push_zeros(&mut self, bits: &mut ForwardBits<'_>, symbol_max: u8) -> Result<(), RecordError> {
        loop {
            let zeros = bits.read(2)?;
            for _ in 0..zeros {
                self.push(0, symbol_max)?;
            }
            if zeros < 3 {
                return Ok(());
            }
        }
    }
}

/// A value of 0 to `remaining` + 1, the lower ones in one bit less, minus 1.
fn read_count(bits: &mut ForwardBits<'_>, remaining: u32) -> Result<i16, RecordError> {
    let width = (remaining + 1).ilog2() + 1;
    let low_mask = (1 << (width - 1)) - 1;
    let threshold = (1 << width) - 1 - (remaining + 1);
    let value = bits.peek(width);
    if value & low_mask < threshold {
        bits.skip(width - 1)?;
        return Ok((value & low_mask) as i16 - 1);
    }
    bits.skip(width)?;
    Ok(if value > low_mask { value - threshold } else { value } as i16 - 1)
}
