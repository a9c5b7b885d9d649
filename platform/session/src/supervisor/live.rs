//! The policy in force while a session runs: what its sources say now.
//!
//! Before each decision the sources' stamps are looked at, so a decision is never older than
//! [`LOOK_EVERY`]; and once something is open that a change may end, the sources are watched, too.
//! What is broken, unreadable or gone leaves no gap: a managed layer that was read
//! whole holds until it is read whole again, and any other trouble leaves the policy as it was.

use crate::load::{Ground, Loaded};
use chaperone_audit::{NewEvent, Segment};
use chaperone_policy::{KEYS, LayerStatus, Policy, merge};
use chaperone_sources::Stamp;
use chaperone_sources::remote::Bundle;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How old the knowledge of the sources may be when a decision is made.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How old what was read may be, should nothing have told of a change: what is signed for a time
/// runs out without one.
const READ_EVERY: Duration = Duration::from_secs(15 * 60);

/// How often the sources are looked at while something is open, where the system cannot watch them.
const UNWATCHED: Duration = Duration::from_millis(500);

/// Does to what is open what another policy asks for. It must not ask for the policy itself.
type Follow = Box<dyn Fn(&Arc<Policy>) + Send + Sync>;

/// A session's policy.
pub(crate) struct Live {
    ground: Ground,
    segment: Arc<Segment>,
    state: Mutex<State>,
    follow: OnceLock<Follow>,
    watched: Once,
}

struct State {
    policy: Arc<Policy>,
    stamp: Stamp,
    looked: Instant,
    read: Instant,
}

impl Live {
    pub(crate) fn new(loaded: &Loaded, segment: Arc<Segment>) -> Self {
        let state = State {
            policy: Arc::clone(&loaded.policy),
            stamp: loaded.stamp.clone(),
            looked: Instant::now(),
            read: Instant::now(),
        };
        Self {
            ground: loaded.ground.clone(),
            segment,
            state: Mutex::new(state),
            follow: OnceLock::new(),
            watched: Once::new(),
        }
    }

    /// Calls this whenever the policy has become another one, before anybody else sees it. Only the
    /// first call counts.
    pub(crate) fn follow(&self, follow: impl Fn(&Arc<Policy>) + Send + Sync + 'static) {
        let _ = self.follow.set(Box::new(follow));
    }

    /// From now on something may be open that a change of the policy ends, also while the agent does
    /// nothing that would be decided.
    pub(crate) fn watch(self: &Arc<Self>) {
        self.watched.call_once(|| {
            let live = Arc::downgrade(self);
            let thread = thread::Builder::new().name("policy".into()).spawn(|| watch(live));
            // Without it what is open follows with the next decision, and answers do in any case.
            drop(thread);
        });
    }

    /// The policy that holds now, as of [`LOOK_EVERY`]. It is another one exactly where the sources
    /// say something else.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy_as_of(LOOK_EVERY)
    }

    /// The policy that holds at this very moment.
    pub(crate) fn policy_now(&self) -> Arc<Policy> {
        self.policy_as_of(Duration::ZERO)
    }

    fn policy_as_of(&self, age: Duration) -> Arc<Policy> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= age {
            if state.stamp.is_outdated() || state.read.elapsed() >= READ_EVERY {
                self.read_anew(&mut state);
            }
            state.looked = Instant::now();
        }
        Arc::clone(&state.policy)
    }

    /// The signed bundle that the policy names now.
    pub(crate) fn bundle(&self) -> Option<Bundle> {
        self.ground.bundle(&self.policy())
    }

    fn read_anew(&self, state: &mut State) {
        let (layers, stamp) = self.ground.read(state.policy.layers());
        state.stamp = stamp;
        state.read = Instant::now();
        let policy = merge(layers, &self.ground.context);
        // A bundle for whose end no session starts restricts those that run.
        let mut blocking = policy.layers().iter().filter(|layer| layer.blocks());
        let holds = blocking.all(|layer| layer.status == LayerStatus::Expired);
        let event = match policy.blocked().first().filter(|_| !holds) {
            Some(blocked) => Some(
                NewEvent::finding("The policy changed and is not whole.")
                    .detail("holds", "the policy from before")
                    .detail("why", format!("{} ({})", blocked.reason, blocked.origin)),
            ),
            None => changed_event(&state.policy, &policy),
        };
        // The change itself is not an action: should this fail, so does the record of the next.
        if let Some(event) = event {
            let _ = self.segment.append(event);
        }
        if holds {
            state.policy = Arc::new(policy);
            if let Some(follow) = self.follow.get() {
                follow(&state.policy);
            }
        }
    }
}

/// Looks at the sources whenever one of them may have changed, until the session is over.
fn watch(live: Weak<Live>) {
    while let Some(live) = live.upgrade() {
        let watcher = live.ground.watcher(&live.policy());
        // What changed before it was watched.
        live.policy_now();
        drop(live);
        match watcher {
            Ok(mut watcher) => {
                watcher.wait(Duration::MAX);
            }
            Err(_) => thread::sleep(UNWATCHED),
        }
    }
}

/// What a person wants to know of a change; `None` where everything still says the same.
fn changed_event(before: &Policy, after: &Policy) -> Option<NewEvent> {
    let told = |policy: &Policy| -> Vec<(String, LayerStatus, String)> {
        let layers = policy.layers().iter();
        layers.map(|own| (own.locator.clone(), own.status, own.detail.clone())).collect()
    };
    let (values, now) = (before.values(), after.values());
    let (layers, layers_now) = (told(before), told(after));
    if values == now && layers == layers_now {
        return None;
    }
    let event = NewEvent::finding("The policy changed.")
        .detail("revision", after.revision().unwrap_or("none").to_owned());
    let sources: Vec<String> = layers_now
        .iter()
        .filter(|layer| !layers.contains(layer))
        .map(|(locator, status, detail)| format!("{locator} is {}. {detail}", status.word()))
        .map(|line| line.trim_end().to_owned())
        .collect();
    let next: Vec<&str> = values
        .iter()
        .zip(&now)
        .filter(|(before, after)| before.value != after.value)
        .map(|(_, after)| after.key)
        .filter(|key| KEYS.iter().any(|known| known.name == *key && !known.live))
        .collect();
    Some(event.detail("sources", sources).detail("from_the_next_session", next.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Paths, Question, load};
    use chaperone_audit::{Redactor, Start, Store};
    use std::fs;

    #[test]
    fn sources_of_which_nothing_tells_are_read_again_after_a_quarter_of_an_hour() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let paths = Paths::from_environment(|name| (name == "HOME").then(|| home.into())).unwrap();
        let workspace = home.join("work");
        fs::create_dir(&workspace).unwrap();
        let question = Question { workspace: Some(workspace), ..Question::default() };
        let loaded = load(&question, &paths).unwrap();
        fs::create_dir_all(&paths.state).unwrap();
        let store = Store::open(&paths.history()).unwrap();
        let redactor = Redactor::from_environment([("", ""); 0]);
        let start = NewEvent::session_start(Start::default());
        let live = Live::new(&loaded, Arc::new(store.begin("s", redactor, start).unwrap()));
        let followed = Arc::new(Mutex::new(0));
        live.follow({
            let followed = Arc::clone(&followed);
            move |_| *followed.lock().unwrap() += 1
        });
        let age = |age: Duration| {
            let at = Instant::now().checked_sub(age).unwrap();
            let mut state = live.state.lock().unwrap();
            (state.read, state.looked) = (at, at);
        };

        let before = live.policy_now();
        age(READ_EVERY - Duration::from_secs(60));
        assert!(Arc::ptr_eq(&before, &live.policy()), "nothing has changed, and it is not due");
        age(READ_EVERY);
        let after = live.policy();
        assert!(!Arc::ptr_eq(&before, &after), "it is due");
        assert_eq!(before.values(), after.values());
        assert!(Arc::ptr_eq(&after, &live.policy_now()), "counted from then");
        assert_eq!(*followed.lock().unwrap(), 1);
        assert_eq!(READ_EVERY, Duration::from_secs(15 * 60));
    }
}
