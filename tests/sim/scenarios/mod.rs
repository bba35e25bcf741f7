//! Directed stories, one file each: what chance alone would tell too rarely.

mod few_copies;
mod lost_disk;
mod lost_shrink;
mod power_everywhere;
mod rot;
