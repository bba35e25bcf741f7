//! The commands of ZooKeeper's admin server, by their long and their short names.

use std::fmt::{Result, Write};

use super::json::Json;
use super::{Around, decimal, version};

/// What is listed under `/commands`, and the other names of each.
const COMMANDS: &[(&str, &[&str])] = &[
    ("configuration", &["conf", "config"]),
    ("connection_stat_reset", &["crst"]),
    ("connections", &["cons"]),
    ("dirs", &[]),
    ("dump", &[]),
    ("environment", &["env", "envi"]),
    ("get_trace_mask", &["gtmk"]),
    ("hash", &[]),
    ("initial_configuration", &["icfg"]),
    ("is_read_only", &["isro"]),
    ("last_snapshot", &["lsnp"]),
    ("leader", &["lead"]),
    ("monitor", &["mntr"]),
    ("observer_connection_stat_reset", &["orst"]),
    ("observers", &["obsr"]),
    ("ruok", &[]),
    ("server_stats", &["srvr"]),
    ("set_trace_mask", &["stmk"]),
    ("stat_reset", &["srst"]),
    ("stats", &["stat"]),
    ("system_properties", &["sysp"]),
    ("voting_view", &[]),
    ("watch_summary", &["wchs"]),
    ("watches", &["wchc"]),
    ("watches_by_path", &["wchp"]),
    ("zabstate", &[]),
];

impl Around<'_> {
    /// Writes the answer to a command; the empty one is the page that lists them.
    pub(super) fn command(&self, asked: &str, out: &mut dyn Write) -> Result {
        if asked.is_empty() {
            return COMMANDS
                .iter()
                .try_for_each(|(name, _)| writeln!(out, "<a href=\"/commands/{name}\">{name}</a>\n<br/>"));
        }
        let found = COMMANDS.iter().find(|(name, others)| *name == asked || others.contains(&asked));
        let mut object = Json::object(out)?;
        let Some((name, _)) = found else {
            object.text("command", asked)?;
            object.text("error", &format!("Unknown command: {asked}"))?;
            return object.end();
        };
        let is_serving = self.engine.is_ready() && !self.is_read_only();
        let error = if is_serving || matches!(*name, "ruok" | "environment" | "system_properties" | "is_read_only") {
            self.fill(name, &mut object)?
        } else {
            Some("This ZooKeeper instance is not currently serving requests")
        };
        object.text("command", name)?;
        match error {
            Some(error) => object.text("error", error)?,
            None => object.plain("error", "null")?,
        }
        object.end()
    }

    /// The command's own fields; or why there are none.
    fn fill(&self, name: &str, object: &mut Json<'_>) -> std::result::Result<Option<&'static str>, std::fmt::Error> {
        match name {
            "configuration" => self.configuration(object)?,
            "connections" => self.connections(false, object)?,
            "dirs" => {
                object.plain("datadir_size", self.engine.snapshot_bytes())?;
                object.plain("logdir_size", self.engine.quorum_log_bytes())?;
            }
            "dump" => self.dump_command(object)?,
            "environment" | "system_properties" => self.environment(&mut |name, value| object.text(name, value))?,
            "get_trace_mask" => object.plain("tracemask", self.door.shared.trace_mask)?,
            "hash" => object.list("digests")?.end()?,
            "initial_configuration" => object.text("initial_configuration", &self.said())?,
            "is_read_only" => object.plain("read_only", self.is_read_only())?,
            "last_snapshot" => {
                object.text("zxid", &format!("{:x}", self.engine.last_zxid().0))?;
                object.plain("bytes", self.engine.snapshot_bytes())?;
            }
            "leader" if self.mode() == "standalone" => return Ok(Some("server is not initialized")),
            "leader" => {
                object.plain("is_leader", self.mode() == "leader")?;
                object.plain("leader_id", self.engine.quorum_leader().0.map_or(-1, |id| id.0))?;
            }
            "monitor" => self.monitor(object)?,
            "observers" => {
                object.plain("synced_observers", 0)?;
                object.list("observers")?.end()?;
            }
            "server_stats" => self.server_stats(object)?,
            "stats" => {
                self.server_stats(object)?;
                self.connections(true, object)?;
            }
            "set_trace_mask" => return Ok(Some("setTraceMask requires long traceMask argument")),
            "voting_view" => self.voting_view(object)?,
            "watch_summary" => self.watch_summary(object)?,
            "watches" => self.watches(object)?,
            "watches_by_path" => self.watches_by_path(object)?,
            "zabstate" => {
                object.plain("voting", self.mode() != "standalone")?;
                object.text("zabstate", if self.mode() == "standalone" { "" } else { "broadcast" })?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn server_stats(&self, object: &mut Json<'_>) -> Result {
        let (stats, latency) = (&self.door.shared.stats, self.latency());
        object.text("version", &version())?;
        object.plain("read_only", self.is_read_only())?;
        let mut inner = object.inner("server_stats")?;
        inner.plain("packets_sent", stats.sent)?;
        inner.plain("packets_received", stats.received)?;
        inner.plain("data_dir_size", self.engine.snapshot_bytes())?;
        inner.plain("log_dir_size", self.engine.quorum_log_bytes())?;
        inner.text("server_state", self.mode())?;
        inner.plain("last_processed_zxid", self.engine.last_zxid().0)?;
        inner.plain("outstanding_requests", self.outstanding())?;
        inner.plain("avg_latency", decimal(latency.average_ms()))?;
        inner.plain("max_latency", latency.max_ms)?;
        inner.plain("min_latency", latency.min_ms)?;
        inner.plain("num_alive_client_connections", self.door.connections().count())?;
        inner.plain("uptime", self.now.mono.0 / 1000)?;
        inner.plain("auth_failed_count", stats.auth_failed)?;
        inner.end()?;
        object.plain("node_count", self.engine.tree().node_count())
    }

    fn voting_view(&self, object: &mut Json<'_>) -> Result {
        let mut members = object.inner("current_config")?;
        for member in self.engine.members() {
            members.text(&member.id.to_string(), &member.line())?;
        }
        members.end()
    }

    /// The keys that somebody has set.
    fn said(&self) -> String {
        let set = self.engine.config().settings.iter().filter(|setting| !setting.is_default);
        set.map(|setting| format!("{}={}\n", setting.name, setting.value)).collect()
    }
}
