//! What we know of each agent (`profiles/agents/*.toml`): which are there, which one a command
//! starts, what it needs to run inside, and how its own sandbox is kept off.
//!
//! Nothing here runs an agent, and nothing reaches the network.

mod command;
mod file;
mod find;
mod keys;
mod seed;

#[cfg(unix)]
mod folder;

#[cfg(test)]
mod tests;

pub use command::{Insists, command, inner_command};
pub use file::{
    AgentFile, Environment, Find, ForcedBy, How, Item, Mirror, Network, OwnSandbox, Patience,
    State, Wrapper,
};
pub use find::{Found, detect, find_installed, program};
pub use seed::{SeedError, seed};

use chaperone_policy::{Layer, SourceKind};
use std::sync::LazyLock;

/// The agent files, compiled in: their text.
const TEXTS: [&str; 4] = [
    include_str!("../../../../profiles/agents/claude-code.toml"),
    include_str!("../../../../profiles/agents/codex.toml"),
    include_str!("../../../../profiles/agents/gemini-cli.toml"),
    include_str!("../../../../profiles/agents/opencode.toml"),
];

/// Every agent file. Read when it is first asked for.
pub fn all() -> &'static [AgentFile] {
    // A test reads each of them; one that cannot be read would be an agent that is not known.
    static ALL: LazyLock<Vec<AgentFile>> =
        LazyLock::new(|| TEXTS.iter().filter_map(|text| AgentFile::parse(text).ok()).collect());
    &ALL
}

/// What an agent's file adds to the policy: its hosts and its variables, which a policy may take
/// away again.
pub fn layer(agent: &AgentFile) -> Layer {
    let list = |values: &[String]| {
        toml::Value::Array(values.iter().cloned().map(toml::Value::String).collect())
    };
    let text = format!(
        "[network]\nallow = {}\n\n[environment]\npass = {}\n",
        list(&agent.network.allow),
        list(&agent.environment.pass)
    );
    Layer::from_toml(SourceKind::AgentFile, &agent.name, &text)
}
