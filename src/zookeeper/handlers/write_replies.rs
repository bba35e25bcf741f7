//! What a client reads of its write, once it is decided.

use crate::engine::znodes::{ErrorCode, OpResult, Outcome, TxnError};
use crate::zookeeper::codec::{
    Opcode, encode_results, put_buffer, put_error_result, put_result_end, put_stat, put_text,
};
use crate::zookeeper::errors::Code;

/// Appends the body; the code for the header is returned. `opcodes` are those of a multi's operations.
pub fn write_reply(out: &mut Vec<u8>, opcode: Opcode, opcodes: &[Opcode], outcome: &Result<Outcome, TxnError>) -> Code {
    match outcome {
        Ok(Outcome::One(result)) => single(out, opcode, result),
        Ok(Outcome::Multi(results)) => {
            encode_results(out, opcodes.iter().copied(), results.iter());
            Code::OK
        }
        Ok(Outcome::Reconfigured { data, stat }) => {
            put_buffer(out, Some(data));
            put_stat(out, stat);
            Code::OK
        }
        Ok(_) => Code::OK,
        Err(error) if opcode == Opcode::Multi => {
            failed_multi(out, opcodes.len(), error);
            Code::OK // the results tell
        }
        Err(error) => error.code.into(),
    }
}

fn single(out: &mut Vec<u8>, opcode: Opcode, result: &OpResult) -> Code {
    match result {
        OpResult::Created { path, stat } => {
            put_text(out, path);
            if opcode != Opcode::Create {
                put_stat(out, stat);
            }
        }
        OpResult::Stat(stat) => put_stat(out, stat),
        OpResult::Done => {}
    }
    Code::OK
}

/// Those before the one that failed tell 0, those behind it that they were not tried.
fn failed_multi(out: &mut Vec<u8>, count: usize, error: &TxnError) {
    for place in 0..count {
        let code = match place.cmp(&error.failed_op) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => error.code.code(),
            std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency.code(),
        };
        put_error_result(out, code);
    }
    put_result_end(out);
}
