//! The signed bundle of a session: fetched anew whenever that is due, beside the agent. Its new
//! layers are taken up as every change of a source is. Before the agent it is fetched only where
//! the session would not start otherwise.

use super::live::Live;
use crate::load::Loaded;
use chaperone_audit::{NewEvent, Segment};
use chaperone_policy::{LayerStatus, Policy, SourceKind};
use chaperone_sources::remote::DUE_AFTER;
use jiff::Timestamp;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

/// Whether no session starts for the bundle alone, which could be fetched: it never was, or it has
/// expired.
pub(crate) fn is_all_that_is_missing(policy: &Policy) -> bool {
    let mut blocking = policy.layers().iter().filter(|layer| layer.blocks()).peekable();
    blocking.peek().is_some()
        && blocking.all(|layer| {
            layer.kind == SourceKind::ManagedBundle && layer.status != LayerStatus::Present
        })
}

/// Fetches the bundle while a person waits. Should that fail, its layers say why.
pub(crate) fn fetch(loaded: &Loaded) {
    let Some(bundle) = loaded.bundle() else { return };
    let url = bundle.url();
    let _ = writeln!(io::stderr(), "chaperone: fetching the policy bundle at {url}");
    let _ = bundle.refresh(Timestamp::now());
}

/// Keeps the bundle fresh on a thread of its own until the process ends.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn keep_fresh(live: &Arc<Live>, segment: &Arc<Segment>) -> io::Result<()> {
    let (live, segment) = (Arc::clone(live), Arc::clone(segment));
    let serve = move || loop {
        let refreshed = live.bundle().and_then(|bundle| bundle.refresh_if_due(Timestamp::now()));
        if let Some(Err(error)) = refreshed {
            let event = NewEvent::finding("The policy bundle could not be fetched anew.")
                .detail("why", error.to_string());
            // What holds meanwhile is recorded with the session's start and with each change.
            let _ = segment.append(event);
        }
        thread::sleep(DUE_AFTER);
    };
    thread::Builder::new().name("bundle".into()).spawn(serve)?;
    Ok(())
}
