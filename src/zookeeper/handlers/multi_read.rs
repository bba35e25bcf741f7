//! `multiRead`: several reads in one request; each has a result or an error of its own.

use super::{Fault, Reading, children, get_data};
use crate::zookeeper::codec::{Request, encode_reads, put_error_result, put_result_end};

/// The longest end of a result: a header and a code.
const RESULT_BYTES: usize = 16;

pub(super) fn answer(cx: &mut Reading<'_>, ops: &[Request<'_>]) -> Result<(), Fault> {
    for op in ops {
        cx.reserve(RESULT_BYTES)?;
        let start = cx.out.len();
        encode_reads(cx.out, op.opcode(), |_| {});
        let result = match op {
            Request::GetData { path, watch } => get_data::answer(cx, path, *watch),
            Request::GetChildren { path, watch } => children::answer(cx, path, *watch, false),
            _ => Err(crate::zookeeper::errors::Code::MARSHALLING_ERROR.into()),
        };
        match result {
            Ok(()) => {}
            Err(Fault::Code(code)) => {
                cx.out.truncate(start);
                put_error_result(cx.out, code.0);
            }
            Err(Fault::Memory) => return Err(Fault::Memory),
        }
    }
    cx.reserve(RESULT_BYTES)?;
    put_result_end(cx.out);
    Ok(())
}
