//! What a plan says of one path, for people who ask.

use super::{Access, Plan};
use chaperone_policy::Glob;
use std::path::Path;

/// What a session may do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Neither read nor write it.
    Nothing,
    /// Read it.
    Read,
    /// Read it; it lies where the session writes, and is protected.
    Protected,
    /// Read, create, change and remove it.
    Write,
}

impl Plan {
    /// What a session with this plan may do with an absolute path without symbolic links, whether
    /// it exists or not.
    pub fn reach(&self, path: &Path) -> Reach {
        if self.hidden.iter().any(|hidden| path.starts_with(hidden)) {
            return Reach::Nothing;
        }
        let widest = self
            .grants
            .iter()
            .filter(|grant| path.starts_with(&grant.path))
            .map(|grant| match grant.access {
                Access::Read => Reach::Read,
                Access::Write | Access::Device => Reach::Write,
            })
            .max()
            .unwrap_or(Reach::Nothing);
        if widest == Reach::Write && self.is_protected(path) { Reach::Protected } else { widest }
    }

    fn is_protected(&self, path: &Path) -> bool {
        let covers = |glob: &str| Glob::new(glob).is_ok_and(|glob| glob.covers(path));
        self.read_only.iter().any(|own| path.starts_with(own))
            || self.guarded.iter().any(|own| path.starts_with(own) || covers(own))
            || self
                .guarded_but
                .iter()
                .any(|own| covers(&own.glob) && !own.but.iter().any(|exception| covers(exception)))
    }
}
