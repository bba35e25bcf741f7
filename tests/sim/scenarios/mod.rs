//! Directed stories, one file each: what chance alone would tell too rarely.

mod lost_disk;
mod power_everywhere;
mod rot;
