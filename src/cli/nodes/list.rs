//! `tern node list`: every member that the tree names, and what it is just now.

use std::io;

use super::Ensemble;
use crate::cli::table::{Cell, Table};
use crate::types::NodeId;

/// Prints the table; without a quorum's leader what the tree says.
pub(super) fn run(ensemble: &mut Ensemble, json: bool) -> io::Result<()> {
    let (members, _) = ensemble.members()?;
    let brokers = ensemble.brokers()?;
    let quorum = ensemble.quorum().unwrap_or_default();
    let mut table = Table::new(&["id", "address", "role", "votes", "behind", "broker"]);
    for member in &members {
        let standing = quorum.members.get(&member.id);
        let votes = match standing {
            Some(_) if member.id == quorum.leader && quorum.leader != NodeId(-1) => "leader",
            Some(standing) if standing.votes => "yes",
            Some(_) => "no",
            None => "not heard of",
        };
        let role = if member.is_observer { "observer" } else { "participant" };
        table.row(vec![
            Cell::Number(member.id.0.into()),
            format!("{}:{}:{}", member.host, member.data_port, member.quorum_port).into(),
            role.into(),
            votes.into(),
            standing.and_then(|standing| standing.behind).into(),
            brokers.get(&member.id).cloned().into(),
        ]);
    }
    table.print(json);
    if let Ok((level, highest)) = ensemble.feature_levels()
        && level < highest
        && !json
    {
        println!("{}", hint(level, highest));
    }
    Ok(())
}

/// What there is to raise.
pub(super) fn hint(level: u16, highest: u16) -> String {
    format!(
        "feature level {level} is in use, the programs of all members understand {highest}: tern node upgrade raises it"
    )
}
