//! Budgets of bytes: so many may be sent within a time, over all connections that share one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Into so many pieces the time of a budget is cut: what was sent in one counts until all of it is
/// that long ago, so never more than the budget is sent in any such time.
const PIECES: u32 = 64;

/// What was sent within a time.
#[derive(Debug)]
pub struct Usage {
    /// Without one, since it was made.
    per: Option<Duration>,
    since: Instant,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// The pieces of time in which anything was sent, by their numbers.
    pieces: VecDeque<(u128, u64)>,
    /// Their sum.
    all: u64,
}

impl Usage {
    /// Of nothing so far.
    pub fn new(per: Option<Duration>) -> Self {
        Self { per, since: Instant::now(), sent: Mutex::default() }
    }

    /// What counts now, and the number of this piece of time.
    fn now(&self) -> (MutexGuard<'_, Sent>, u128) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = self
            .per
            .map_or(0, |per| self.since.elapsed().as_nanos() / (per / PIECES).as_nanos().max(1));
        while let Some((first, bytes)) = sent.pieces.front().copied()
            && first + u128::from(PIECES) < piece
        {
            sent.pieces.pop_front();
            sent.all = sent.all.saturating_sub(bytes);
        }
        (sent, piece)
    }

    fn add(sent: &mut Sent, piece: u128, bytes: u64) {
        sent.all = sent.all.saturating_add(bytes);
        match sent.pieces.back_mut() {
            Some((last, sum)) if *last == piece => *sum = sum.saturating_add(bytes),
            _ => sent.pieces.push_back((piece, bytes)),
        }
    }

    /// Bytes that count.
    pub fn sent(&self) -> u64 {
        self.now().0.all
    }

    fn count(&self, bytes: u64) {
        let (mut sent, piece) = self.now();
        Self::add(&mut sent, piece, bytes);
    }

    /// Whether this much more stays within a limit. Where it does not, the limit is reached: whoever
    /// is refused once is not let through with a little less.
    fn fits(&self, bytes: u64, limit: u64) -> bool {
        let (mut sent, piece) = self.now();
        let fits = sent.all.saturating_add(bytes) <= limit;
        let left = limit.saturating_sub(sent.all);
        if !fits && left > 0 {
            Self::add(&mut sent, piece, left);
        }
        fits
    }
}

/// Told each time that something would exceed a budget; answers whether that is refused.
pub type Exceeded = dyn Fn() -> bool + Send + Sync;

/// A budget.
pub struct Budget {
    usage: Arc<Usage>,
    bytes: u64,
    refusal: String,
    exceeded: Box<Exceeded>,
}

impl Budget {
    /// Of so many bytes. `refusal` is what the agent reads, where it reads anything.
    pub fn new(usage: Arc<Usage>, bytes: u64, refusal: String, exceeded: Box<Exceeded>) -> Self {
        Self { usage, bytes, refusal, exceeded }
    }

    /// Whether nothing more may be sent.
    pub fn is_spent(&self) -> bool {
        self.usage.sent() >= self.bytes
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { usage, bytes, refusal: _, exceeded: _ } = self;
        f.debug_struct("Budget").field("usage", usage).field("bytes", bytes).finish()
    }
}

/// Whether this much may be sent; else what the agent reads.
pub(crate) fn fits(budgets: &[Arc<Budget>], bytes: usize) -> Result<(), String> {
    let exceeded =
        |own: &&Arc<Budget>| !own.usage.fits(bytes as u64, own.bytes) && (own.exceeded)();
    budgets.iter().find(exceeded).map_or(Ok(()), |own| Err(own.refusal.clone()))
}

/// Counts what was sent, once for each usage.
pub(crate) fn count(budgets: &[Arc<Budget>], bytes: usize) {
    for (at, own) in budgets.iter().enumerate() {
        let same = |other: &Arc<Budget>| Arc::ptr_eq(&other.usage, &own.usage);
        if !budgets.iter().take(at).any(same) {
            own.usage.count(bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn budget(usage: &Arc<Usage>, bytes: u64) -> Arc<Budget> {
        let (usage, exceeded) = (Arc::clone(usage), Box::new(|| true));
        Arc::new(Budget::new(usage, bytes, format!("{bytes} are spent"), exceeded))
    }

    #[test]
    fn what_exceeds_a_budget_is_refused_and_nothing_passes_after_it() {
        let usage = Arc::new(Usage::new(None));
        let budgets = [budget(&usage, 100), budget(&usage, 40)];
        assert_eq!(fits(&budgets, 40), Ok(()));
        count(&budgets, 30);
        assert_eq!((usage.sent(), fits(&budgets, 10)), (30, Ok(())));
        assert_eq!(fits(&budgets, 11), Err("40 are spent".to_owned()));
        assert_eq!(fits(&budgets, 1), Err("40 are spent".to_owned()));
        assert!(!budgets[0].is_spent() && budgets[1].is_spent());
        let only_observed = Budget::new(Arc::clone(&usage), 1, String::new(), Box::new(|| false));
        assert_eq!(fits(&[Arc::new(only_observed)], 50), Ok(()));
    }

    #[test]
    fn what_was_sent_longer_ago_than_the_time_does_not_count() {
        let per = Duration::from_millis(640);
        let usage = Arc::new(Usage::new(Some(per)));
        let budgets = [budget(&usage, 10)];
        count(&budgets, 10);
        let begun = Instant::now();
        while budgets[0].is_spent() {
            thread::yield_now();
        }
        assert!(begun.elapsed() + Duration::from_millis(10) >= per, "{:?}", begun.elapsed());
        assert_eq!((usage.sent(), fits(&budgets, 10)), (0, Ok(())));
    }
}
