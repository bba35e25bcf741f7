//! Disks for tests, over the real files: an SD card's slowness, and the forgetfulness of a power cut.
//!
//! Chosen by `tern.test.disk`, which no documentation for operators names. Everything here is off otherwise.

mod card;
mod discard;

pub use card::Card;
pub use discard::Overlay;
