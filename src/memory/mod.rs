//! Memory that cannot be exceeded: a table of accounts, grants drawn from them, and an allocator that audits both.
//!
//! Bytes that the network can make grow are held under a `Grant`; who gets none waits by not reading its socket.

mod grant;
mod budget;
pub mod allocator;

pub use budget::{Accounts, Line, SocketBuffers, Table};
pub use grant::{Account, Grant};
