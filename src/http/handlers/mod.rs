//! One file a page. A page is rendered twice: once to learn its length, for the grant, and once for good.

mod groups;
mod metrics;
mod status;

use std::fmt;

use super::codec::{self, Request, Status};
use super::view::View;

/// A page that was asked for.
pub(super) struct Page {
    pub status: Status,
    pub content: &'static str,
    pub render: fn(&View<'_>, &mut dyn fmt::Write) -> fmt::Result,
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The admin command that a request is for; the empty one is the list of them.
pub(super) fn command(head: &[u8]) -> Option<&str> {
    let Request::Get(path) = codec::parse(head) else { return None };
    let rest = path.strip_prefix("/commands")?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// The page at `path`.
pub(super) fn page(path: &str, view: &View<'_>) -> Page {
    let ok = |content, render| Page { status: Status::Ok, content, render };
    match path {
        "/metrics" => ok("text/plain; version=0.0.4; charset=utf-8", metrics::render),
        "/status" => ok("application/json", status::render),
        "/health" if view.is_ready => ok(TEXT, |_, out| out.write_str("ok\n")),
        "/health" => Page { status: Status::Unavailable, content: TEXT, render: |_, out| out.write_str("starting\n") },
        "/" => ok(TEXT, |_, out| {
            out.write_str("Tern\n/status   this node and what it knows, as JSON\n/metrics  numbers for Prometheus\n/health   ok or starting\n/commands of ZooKeeper's admin server\n")
        }),
        _ => Page {
            status: Status::NotFound,
            content: TEXT,
            render: |_, out| out.write_str("there is /status, /metrics, /health and /commands\n"),
        },
    }
}
