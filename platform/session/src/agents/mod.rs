//! What we know of each agent (`profiles/agents/*.toml`): which are there, which one a command
//! starts, what it needs to run inside, and how its own sandbox is kept off.
//!
//! Nothing here runs an agent, and nothing reaches the network.

mod brief;
mod command;
mod file;
mod find;
mod keys;
mod seed;

#[cfg(unix)]
mod folder;

#[cfg(test)]
mod tests;

pub use brief::{BRIEFING, Briefed, brief};
#[cfg(unix)]
pub use brief::{Written, write};
pub use command::{Insists, command};
pub use file::{
    AgentFile, Briefing, Environment, Find, ForcedBy, How, Item, Listed, Mirror, Network,
    OwnSandbox, Patience, SignIn, State,
};
pub use find::{Found, detect, find_installed, program};
pub use seed::{SeedError, seed};

use chaperone_policy::{Layer, SourceKind};
use std::sync::OnceLock;

/// The agent files, compiled in: their text.
const TEXTS: [&str; 4] = [
    include_str!("../../../../profiles/agents/claude-code.toml"),
    include_str!("../../../../profiles/agents/codex.toml"),
    include_str!("../../../../profiles/agents/gemini-cli.toml"),
    include_str!("../../../../profiles/agents/opencode.toml"),
];

/// Every agent file. Each is read when it is first asked for.
pub fn all() -> impl Iterator<Item = &'static AgentFile> {
    mentioning("")
}

/// The agent files whose text has these words: no other needs to be read for them.
fn mentioning(words: &str) -> impl Iterator<Item = &'static AgentFile> {
    static ALL: [OnceLock<Option<AgentFile>>; TEXTS.len()] = [const { OnceLock::new() }; _];
    // A test reads each of them; one that cannot be read would be an agent that is not known.
    let files = TEXTS.iter().zip(&ALL).filter(move |(text, _)| text.contains(words));
    files.filter_map(|(text, read)| read.get_or_init(|| AgentFile::parse(text).ok()).as_ref())
}

/// What an agent's file adds to the policy: its hosts and its variables, which a policy may take
/// away again.
pub fn layer(agent: &AgentFile) -> Layer {
    fn list<'v>(values: impl IntoIterator<Item = &'v String>) -> toml::Value {
        toml::Value::Array(values.into_iter().cloned().map(toml::Value::String).collect())
    }
    let Network { models, registries } = &agent.network;
    let text = format!(
        "[network]\nallow = {}\n\n[environment]\npass = {}\n",
        list(models.iter().chain(registries)),
        list(&agent.environment.pass)
    );
    Layer::from_toml(SourceKind::AgentFile, &agent.name, &text)
}
