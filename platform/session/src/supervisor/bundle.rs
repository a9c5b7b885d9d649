//! The signed bundle while a session runs: fetched anew whenever that is due, beside the agent and
//! never before it. Its new layers are taken up as every change of a source is.

use super::live::Live;
use chaperone_audit::{NewEvent, Segment};
use chaperone_sources::remote::DUE_AFTER;
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::thread;

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
