//! Several operations in one request: each under a small header, the last header alone.
//!
//! Requests and results have the same frame: type, done, error; what follows depends on the type.

use super::{DecodeError, Jute, Opcode, Reply, Request, put_stat, put_text, stat};
use crate::engine::znodes::{OpResult, Stat};
use crate::types::Writer;

/// The type of a result that is an error.
const ERROR_TYPE: i32 = -1;

/// The least that an operation takes.
const HEADER_BYTES: usize = 9;

/// One result of a multi or a multi-read, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the protocol's
pub enum MultiResult<'a> {
    Created { path: &'a str, stat: Option<Stat> },
    Deleted,
    Checked,
    Set(Stat),
    Data { data: Option<&'a [u8]>, stat: Stat },
    Children(Vec<&'a str>),
    Error(i32),
}

fn put_header(out: &mut Vec<u8>, kind: i32, is_done: bool, error: i32) {
    let mut writer = Writer::new(out);
    writer.i32(kind);
    writer.u8(u8::from(is_done));
    writer.i32(error);
}

fn header(jute: &mut Jute<'_>) -> Result<(i32, bool, i32), DecodeError> {
    Ok((jute.int()?, jute.bool()?, jute.int()?))
}

/// Reads the operations of a request, all of which `may_hold` must allow.
pub(super) fn read<'a>(jute: &mut Jute<'a>, may_hold: fn(Opcode) -> bool) -> Result<Vec<Request<'a>>, DecodeError> {
    let mut ops = Vec::new();
    loop {
        let (kind, is_done, _) = header(jute)?;
        if is_done {
            return Ok(ops);
        }
        let opcode = Opcode::from_code(kind).filter(|&opcode| may_hold(opcode)).ok_or(DecodeError::Malformed)?;
        ops.push(Request::read(opcode, jute)?);
    }
}

/// Appends the operations of a request.
pub(super) fn write(ops: &[Request<'_>], out: &mut Vec<u8>) {
    out.reserve(ops.len() * 4 * HEADER_BYTES);
    for op in ops {
        put_header(out, op.opcode().code(), false, -1);
        op.encode(out);
    }
    put_result_end(out);
}

/// Appends one error result.
pub fn put_error_result(out: &mut Vec<u8>, error: i32) {
    put_header(out, ERROR_TYPE, false, error);
    Writer::new(out).i32(error);
}

/// Appends what stands behind the last result.
pub fn put_result_end(out: &mut Vec<u8>) {
    put_header(out, ERROR_TYPE, true, -1);
}

/// Appends the results of a multi that succeeded; `opcodes` are those of its operations. As in 3.8, every create that
/// tells a Stat does so under the number of `Create2`.
pub fn encode_results<'r>(
    out: &mut Vec<u8>,
    opcodes: impl Iterator<Item = Opcode>,
    results: impl Iterator<Item = &'r OpResult>,
) {
    for (opcode, result) in opcodes.zip(results) {
        match result {
            OpResult::Created { path, stat } if opcode == Opcode::Create => {
                put_header(out, opcode.code(), false, 0);
                put_text(out, path);
                let _ = stat;
            }
            OpResult::Created { path, stat } => {
                put_header(out, Opcode::Create2.code(), false, 0);
                put_text(out, path);
                put_stat(out, stat);
            }
            OpResult::Stat(stat) => {
                put_header(out, opcode.code(), false, 0);
                put_stat(out, stat);
            }
            OpResult::Done => put_header(out, opcode.code(), false, 0),
        }
    }
    put_result_end(out);
}

/// Appends one result of a multi-read: its header, then what `body` appends.
pub fn encode_reads(out: &mut Vec<u8>, opcode: Opcode, body: impl FnOnce(&mut Vec<u8>)) {
    put_header(out, opcode.code(), false, 0);
    body(out);
}

/// Reads all results.
pub fn decode_results<'a>(jute: &mut Jute<'a>) -> Result<Vec<MultiResult<'a>>, DecodeError> {
    let mut results = Vec::new();
    loop {
        let (kind, is_done, _) = header(jute)?;
        if is_done {
            return Ok(results);
        }
        results.push(match Opcode::from_code(kind) {
            None if kind == ERROR_TYPE => MultiResult::Error(jute.int()?),
            Some(Opcode::Create) => MultiResult::Created { path: jute.text()?, stat: None },
            Some(Opcode::Create2) => MultiResult::Created { path: jute.text()?, stat: Some(stat(jute)?) },
            Some(Opcode::Delete) => MultiResult::Deleted,
            Some(Opcode::Check) => MultiResult::Checked,
            Some(Opcode::SetData) => MultiResult::Set(stat(jute)?),
            Some(Opcode::GetData) => MultiResult::Data { data: jute.buffer()?, stat: stat(jute)? },
            Some(Opcode::GetChildren) => MultiResult::Children(jute.texts()?),
            _ => return Err(DecodeError::Malformed),
        });
    }
}

impl Reply<'_> {
    /// True when a multi's reply says that nothing was done.
    pub fn is_failed_multi(&self) -> bool {
        let super::Body::Results(results) = &self.body else { return false };
        results.iter().any(|result| matches!(result, MultiResult::Error(_)))
    }
}
