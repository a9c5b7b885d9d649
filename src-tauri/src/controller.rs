//! The one event loop: hears what changed, and tells the desktop.
//!
//! Generic over [`Shell`], so that what is told when can be tested without a desktop.

use chaperone_session::desk::{Change, Desk, RequestCard};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What the loop may ask of the desktop.
pub(crate) trait Shell {
    /// Has the pages ask again for what changed.
    fn tell(&self, change: Change);
    /// Shows in the tray how many requests wait, and the newest of them.
    fn waiting(&self, count: usize, newest: Option<&RequestCard>);
    /// Says that a request arrived, without taking the focus.
    fn notify(&self, request: &RequestCard);
    /// Whether a person is looking at the window.
    fn in_front(&self) -> bool;
}

/// Runs until every sender of changes is gone.
pub(crate) fn run(desk: &Arc<Desk>, shell: &impl Shell, changes: &Receiver<Change>) {
    let mut known = BTreeSet::new();
    refresh(desk, shell, &mut known);
    while let Ok(change) = changes.recv() {
        // What piled up meanwhile is one change to the pages.
        let mut heard = BTreeSet::from([change]);
        heard.extend(changes.try_iter());
        if heard.contains(&Change::Requests) {
            refresh(desk, shell, &mut known);
        }
        for change in heard {
            shell.tell(change);
        }
    }
}

/// Updates the tray, and notifies of each request that was not there the last time.
fn refresh(desk: &Desk, shell: &impl Shell, known: &mut BTreeSet<(String, String)>) {
    // A socket that cannot be read at this instant is read again at its next change; the page
    // itself shows the error.
    let Ok(requests) = desk.requests() else { return };
    let cards: Vec<&RequestCard> =
        requests.groups.iter().flat_map(|group| &group.requests).filter(|c| c.waiting).collect();
    let newest = cards.iter().max_by_key(|card| card.asked_at).copied();
    shell.waiting(cards.len(), newest);
    let now: BTreeSet<_> = cards.iter().map(|c| (c.session.clone(), c.id.clone())).collect();
    let quiet = shell.in_front() || desk.asking_is_paused();
    for card in cards {
        if !quiet && !known.contains(&(card.session.clone(), card.id.clone())) {
            shell.notify(card);
        }
    }
    *known = now;
}
