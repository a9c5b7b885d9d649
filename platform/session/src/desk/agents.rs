//! The agents on this machine, and whether they are governed.

use super::{Agent, Desk, Governed};
use crate::agents::find_installed;
use crate::load::environment;
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Desk {
    /// Every agent that is installed, by title. `last`: when each was last started by Chaperone.
    pub(super) fn agents(&self, last: &BTreeMap<String, Timestamp>) -> Vec<Agent> {
        let mut agents: Vec<Agent> = find_installed(&environment(), &self.paths.home)
            .into_iter()
            .map(|found| {
                let version = found.version();
                let governed = last.contains_key(&found.name) || last.contains_key(&found.title);
                let program = found.path.file_name().unwrap_or_default().to_string_lossy();
                let command = format!("chaperone run -- {program}");
                Agent {
                    governed: if governed { Governed::Sandboxed } else { Governed::NotGoverned },
                    detail: if governed {
                        "Its sessions run in the sandbox when they are started with chaperone run."
                    } else {
                        "It has not been started through Chaperone yet."
                    }
                    .to_owned(),
                    name: found.name,
                    title: found.title,
                    version,
                    path: found.path.display().to_string(),
                    command_to_start: command,
                }
            })
            .collect();
        agents.sort_by(|a, b| a.title.cmp(&b.title));
        agents
    }
}
