//! How often the same was refused in this session, a command or what goes out: who tries it again and
//! again is told to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// So many identical refusals, and the agent is told to stop.
const PATIENCE: u32 = 3;

/// More different ones than this are not told apart: an agent does not fill the memory.
const MOST: usize = 1024;

/// The refusals of one session, by the arguments of the command, or by what was to go out in words.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Vec<String>, u32>>);

impl Refusals {
    /// Counts a refusal, and adds to what the agent reads where it is one too many.
    pub(crate) fn count(&self, what: &[String], mut message: String) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(what) {
            return message;
        }
        let times = known.entry(what.to_vec()).or_default();
        *times = times.saturating_add(1);
        if *times >= PATIENCE {
            message.push_str(&format!(
                "\n  This was refused {times} times in this session and will be again. Stop here, \
                 and tell the user what was refused and what you need it for."
            ));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_third_identical_refusal_on_the_agent_is_told_to_stop() {
        let refusals = Refusals::default();
        let said = |words: &[&str]| {
            refusals.count(&words.iter().map(ToString::to_string).collect::<Vec<_>>(), "no".into())
        };
        assert_eq!(said(&["git", "push"]), "no");
        assert_eq!(said(&["git", "push", "-f"]), "no");
        assert_eq!(said(&["git", "push"]), "no");
        let third = said(&["git", "push"]);
        assert!(third.contains("refused 3 times") && third.contains("tell the user"), "{third}");
        assert!(said(&["git", "push"]).contains("refused 4 times"));
        assert_eq!(said(&["git", "push", "-f"]), "no");
    }

    #[test]
    fn an_agent_does_not_fill_the_memory() {
        let refusals = Refusals::default();
        for number in 0..2 * MOST {
            refusals.count(&[number.to_string()], String::new());
        }
        assert_eq!(refusals.0.lock().unwrap().len(), MOST);
    }
}
