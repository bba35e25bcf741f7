//! The system calls that the standard library does not have, and what their errors mean.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::effect::{DiskError, DiskSpace};

/// Slices that one pwritev takes (IOV_MAX).
const SLICES_MAX: usize = 1024;

/// Sorts an error of the operating system; `what` says what was tried on which file.
pub fn disk_error(error: &io::Error, what: impl FnOnce() -> String) -> DiskError {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => DiskError::Full,
        Some(libc::EROFS) => DiskError::ReadOnly,
        Some(libc::ENOENT) => DiskError::NotFound,
        _ => DiskError::Io(format!("{}: {error}", what())),
    }
}

/// Writes `parts` one after the other from `position` on, in as few calls as the kernel allows.
pub fn write_all_at(file: &File, mut position: u64, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = slices.as_mut_slice();
    IoSlice::advance_slices(&mut left, 0); // drops empty parts at the front
    while !left.is_empty() {
        let count = left.len().min(SLICES_MAX) as libc::c_int;
        // SAFETY: IoSlice has the layout of iovec; `count` of them are valid and borrowed for the call.
        let written = unsafe {
            libc::pwritev64(file.as_raw_fd(), left.as_ptr().cast::<libc::iovec>(), count, position as libc::off64_t)
        };
        match usize::try_from(written) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Appends up to `most` bytes from `position` on to `buffer`, into room that it has already; 0 at the end of the file.
/// Nothing is written twice: filling the room with zeros first would cost as much as reading it.
pub fn append_from(file: &File, position: u64, most: usize, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let room = buffer.spare_capacity_mut();
    let bytes = room.len().min(most);
    // SAFETY: the kernel writes at most `bytes` into room that belongs to `buffer` alone.
    let read = unsafe {
        libc::pread64(file.as_raw_fd(), room.as_mut_ptr().cast::<libc::c_void>(), bytes, position as libc::off64_t)
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just written so many bytes of that room, which is no less.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

/// Reserves blocks for the first `bytes` bytes and extends the file to them.
pub fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    // SAFETY: takes no pointers; the descriptor is open.
    match unsafe { libc::posix_fallocate64(file.as_raw_fd(), 0, bytes as libc::off64_t) } {
        0 => Ok(()),
        libc::EINTR => allocate(file, bytes),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The room on the file system of `path`.
pub fn space(path: &Path) -> io::Result<DiskSpace> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statvfs64 is plain integers, for which zeros are a value.
    let mut status: libc::statvfs64 = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    match unsafe { libc::statvfs64(path.as_ptr(), &mut status) } {
        #[allow(clippy::unnecessary_cast)] // the fields' widths differ between targets
        0 => Ok(DiskSpace {
            usable_bytes: (status.f_bavail as u64).saturating_mul(status.f_frsize as u64),
            total_bytes: (status.f_blocks as u64).saturating_mul(status.f_frsize as u64),
        }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes the exclusive lock of an open file, without waiting; false when another process has it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: takes no pointers; the descriptor is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

/// Syncs a directory: names in it are durable. File systems that have no such thing say EINVAL.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}
