//! Frames: a length of four bytes, then so many bytes.

use crate::types::Writer;

/// Begins a frame in `out`; its length is filled in by `end_frame`, which gets what this returns.
pub fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    Writer::new(out).i32(0);
    start
}

/// Ends the frame that began at `start`.
pub fn end_frame(out: &mut Vec<u8>, start: usize) {
    let length = out.len().saturating_sub(start + 4);
    Writer::new(out).patch_i32(start, length.min(i32::MAX as usize) as i32);
}

/// The first frame of `bytes` without its length, and how many bytes it took; `Ok(None)` when more are needed,
/// `Err` with the length when that is negative or above `bytes_max`.
pub fn split_frame(bytes: &[u8], bytes_max: usize) -> Result<Option<(&[u8], usize)>, i32> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*head);
    match usize::try_from(length) {
        Ok(count) if count <= bytes_max => Ok(rest.get(..count).map(|frame| (frame, count + 4))),
        _ => Err(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame is found when its last byte is there, and an impossible length at its fourth byte.
    #[test]
    fn frames() {
        let mut out = vec![9];
        let start = begin_frame(&mut out);
        out.extend_from_slice(b"abc");
        end_frame(&mut out, start);
        let frame = &out[1..];
        for end in 0..frame.len() {
            assert_eq!(split_frame(&frame[..end], 3), Ok(None));
        }
        assert_eq!(split_frame(frame, 3), Ok(Some((&b"abc"[..], 7))));
        assert_eq!(split_frame(&frame[..4], 2), Err(3));
        assert_eq!(split_frame(&[0xff; 4], 100), Err(-1));
    }
}
