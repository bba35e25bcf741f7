//! Draws the bytes of a message from its line in the table, without the code that reads or writes messages.

use tern::kafka::codec::{FieldSchema, Kind};
use tern::types::{Rng, Writer};

/// Draws messages of one version.
pub struct Generator {
    pub rng: Rng,
    pub version: i16,
    pub flexible: bool,
    /// Where the counts of arrays begin and end.
    pub counts: Vec<std::ops::Range<usize>>,
}

impl Generator {
    /// Appends a value of that kind.
    pub fn value(&mut self, kind: &Kind, nullable: bool, out: &mut Vec<u8>) {
        if nullable && self.rng.one_in(5) {
            return self.null(kind, out);
        }
        match kind {
            Kind::Bool => out.push(1),
            Kind::Integer(size) => self.raw(*size, out),
            Kind::Uuid => self.raw(16, out),
            Kind::Text => {
                let text: String = (0..self.rng.below(9)).map(|_| self.character()).collect();
                self.length(text.len(), 2, out);
                out.extend(text.bytes());
            }
            Kind::Bytes => {
                let length = self.rng.below(30) as usize;
                self.length(length, 4, out);
                self.raw(length, out);
            }
            Kind::Array(element) => {
                let count = self.rng.below(4) as usize;
                let start = out.len();
                self.length(count, 4, out);
                self.counts.push(start..out.len());
                (0..count).for_each(|_| self.value(element, false, out));
            }
            Kind::Struct(fields) => self.fields(fields, out),
            Kind::OptionalStruct(inner) => {
                out.push(1);
                self.value(inner, false, out);
            }
        }
    }

    fn fields(&mut self, fields: &[FieldSchema], out: &mut Vec<u8>) {
        let present: Vec<&FieldSchema> = fields.iter().filter(|field| field.versions.contains(self.version)).collect();
        for field in present.iter().filter(|field| field.tag.is_none()) {
            self.value(&field.kind, self.nullable(field), out);
        }
        if !self.flexible {
            return;
        }
        let tagged: Vec<_> = present.iter().filter(|field| field.tag.is_some() && self.rng.one_in(2)).collect();
        Writer::new(out).unsigned_varint(tagged.len() as u32);
        for field in tagged {
            self.tagged(field, out);
        }
    }

    /// A tagged field is written only when it differs from its default, which is empty, null or a special number.
    fn tagged(&mut self, field: &FieldSchema, out: &mut Vec<u8>) {
        let outer = std::mem::take(&mut self.counts);
        let mut value = Vec::new();
        while value.len() < 2 && !matches!(field.kind, Kind::Bool)
            || value.iter().all(|&byte| byte == 0)
            || value.iter().all(|&byte| byte == 0xff)
        {
            value.clear();
            self.counts.clear();
            self.value(&field.kind, false, &mut value);
        }
        let mut writer = Writer::new(out);
        writer.unsigned_varint(field.tag.unwrap());
        writer.unsigned_varint(value.len() as u32);
        let inner = std::mem::replace(&mut self.counts, outer);
        self.counts.extend(inner.into_iter().map(|range| range.start + out.len()..range.end + out.len()));
        out.extend(value);
    }

    fn nullable(&self, field: &FieldSchema) -> bool {
        field.nullable.is_some_and(|versions| versions.contains(self.version))
    }

    fn null(&mut self, kind: &Kind, out: &mut Vec<u8>) {
        match kind {
            Kind::OptionalStruct(_) => out.push(0xff),
            _ if self.flexible => out.push(0),
            Kind::Text => out.extend([0xff; 2]),
            _ => out.extend([0xff; 4]),
        }
    }

    fn length(&mut self, length: usize, size: usize, out: &mut Vec<u8>) {
        match size {
            _ if self.flexible => Writer::new(out).unsigned_varint(length as u32 + 1),
            2 => Writer::new(out).i16(length as i16),
            _ => Writer::new(out).i32(length as i32),
        }
    }

    fn raw(&mut self, count: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + count, 0);
        self.rng.fill(&mut out[start..]);
    }

    fn character(&mut self) -> char {
        *['a', 'Z', '0', '.', '-', '_', 'ä', '✓', '"', '\\', ' ', '\n'].get(self.rng.below(12) as usize).unwrap()
    }
}
