//! Disks for tests, over the real files: an SD card's slowness, and the forgetfulness of a power cut.
//!
//! Chosen by `tern.test.disk`, which no documentation for operators names. Everything here is off otherwise.

mod card;
mod discard;

pub use card::Card;
pub use discard::Overlay;

/// How the disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emulation {
    /// As it is.
    #[default]
    None,
    /// `card`: 6 ms a sync, 20 MB/s, a stall of 400 ms every 500 syncs, all lanes sharing the one device.
    Card,
    /// `discard`: what was written and not synced is gone when the process is killed.
    Discard,
}

impl Emulation {
    /// The value of `tern.test.disk`; `None` for a word that means nothing.
    pub fn parse(word: &str) -> Option<Emulation> {
        match word {
            "" | "none" => Some(Emulation::None),
            "card" => Some(Emulation::Card),
            "discard" => Some(Emulation::Discard),
            _ => None,
        }
    }
}
