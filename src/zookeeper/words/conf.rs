//! `conf`, `envi` and `dirs`: settings, surroundings, sizes of files.

use std::fmt::{Result, Write};

use super::json::Json;
use super::{Around, version};

impl Around<'_> {
    pub(super) fn conf(&self, out: &mut dyn Write) -> Result {
        let config = self.engine.config();
        let zookeeper = &config.zookeeper;
        let (port, directory) = (zookeeper.bind.port, config.directories.coordinator.display());
        writeln!(out, "clientPort={port}\nsecureClientPort=-1\ndataDir={directory}")?;
        writeln!(out, "dataDirSize={}\ndataLogDir={directory}", self.engine.snapshot_bytes())?;
        writeln!(out, "dataLogSize={}\ntickTime={}", self.engine.quorum_log_bytes(), zookeeper.tick_ms)?;
        writeln!(out, "maxClientCnxns={}", zookeeper.connections_per_address_max.unwrap_or(0))?;
        writeln!(out, "minSessionTimeout={}", zookeeper.session_timeout_ms_min)?;
        writeln!(out, "maxSessionTimeout={}\nclientPortListenBacklog=-1", zookeeper.session_timeout_ms_max)?;
        writeln!(out, "serverId={}", if config.ensemble.is_empty() { 0 } else { config.node_id.0 })?;
        if config.ensemble.is_empty() {
            return Ok(());
        }
        writeln!(out, "initLimit={}\nsyncLimit={}", zookeeper.init_limit_ticks, zookeeper.sync_limit_ticks)?;
        let members = self.engine.members();
        let is_observer = members.iter().any(|member| member.id == config.node_id && member.is_observer);
        writeln!(out, "electionAlg=3\npeerType={}\nmembership: ", is_observer as u8)?;
        for member in members {
            writeln!(out, "server.{}={}", member.id, member.line())?;
        }
        Ok(())
    }

    pub(super) fn configuration(&self, object: &mut Json<'_>) -> Result {
        let config = self.engine.config();
        let zookeeper = &config.zookeeper;
        let directory = config.directories.coordinator.display().to_string();
        object.plain("client_port", zookeeper.bind.port)?;
        object.text("data_dir", &directory)?;
        object.text("data_log_dir", &directory)?;
        object.plain("tick_time", zookeeper.tick_ms)?;
        object.plain("max_client_cnxns", zookeeper.connections_per_address_max.unwrap_or(0))?;
        object.plain("min_session_timeout", zookeeper.session_timeout_ms_min)?;
        object.plain("max_session_timeout", zookeeper.session_timeout_ms_max)?;
        object.plain("server_id", if config.ensemble.is_empty() { 0 } else { config.node_id.0 })?;
        object.plain("client_port_listen_backlog", -1)
    }

    pub(super) fn envi(&self, out: &mut dyn Write) -> Result {
        writeln!(out, "Environment:")?;
        self.environment(&mut |name, value| writeln!(out, "{name}={value}"))
    }

    /// Names as ZooKeeper's; those of the Java machine do not apply.
    pub(super) fn environment(&self, tell: &mut dyn FnMut(&str, &str) -> Result) -> Result {
        let zookeeper = &self.engine.config().zookeeper;
        tell("zookeeper.version", &version())?;
        tell("host.name", &zookeeper.bind.host)?;
        tell("os.name", if cfg!(target_os = "linux") { "Linux" } else { "other" })?;
        tell("memory.budget", &self.engine.config().memory.budget_bytes.to_string())
    }

    pub(super) fn dirs(&self, out: &mut dyn Write) -> Result {
        let (data, log) = (self.engine.snapshot_bytes(), self.engine.quorum_log_bytes());
        write!(out, "datadir_size: {data}\nlogdir_size: {log}\n")
    }
}
