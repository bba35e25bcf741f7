//! `tern node upgrade`: raises the feature level (`coordinator::features`) to what the programs of all members understand.

use std::io;

use super::Ensemble;

/// Says what is in use, and raises it unless this is a dry run.
pub(super) fn run(ensemble: &mut Ensemble, is_dry: bool) -> io::Result<()> {
    let (level, highest) = ensemble.feature_levels()?;
    if highest <= level {
        println!("feature level {level} is in use, the highest that the programs of all members understand");
        return Ok(());
    }
    if is_dry {
        println!("{}", super::list::hint(level, highest));
        return Ok(());
    }
    ensemble.raise_feature_level(highest)?;
    println!("feature level {highest} is in use, it was {level}: programs that understand less do not start any more");
    Ok(())
}
