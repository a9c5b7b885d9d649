//! The shape of an agent file.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What we know of one agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// In kebab case, as `--agent` and `when = { agent = … }` name it.
    pub name: String,
    /// As people write it.
    pub title: String,
    /// How it is found.
    pub find: Find,
    /// Where its state lies, and what of it a session sees.
    pub state: State,
    /// Its hosts.
    #[serde(default)]
    pub network: Network,
    /// How a person signs it in.
    #[serde(default)]
    pub sign_in: SignIn,
    /// Its variables.
    #[serde(default)]
    pub environment: Environment,
    /// How its own sandbox is kept off: ours holds, and a sandbox does not nest.
    #[serde(default)]
    pub own_sandbox: OwnSandbox,
    /// How long it waits.
    #[serde(default)]
    pub patience: Patience,
    /// How it takes instructions beside the user's own; by an environment variable where nothing is
    /// known.
    pub briefing: Option<Briefing>,
}

/// How an agent is found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// The names of its program.
    pub commands: Vec<String>,
    /// The npm packages that it comes in.
    pub packages: Vec<String>,
    /// Where installers put it, beyond `PATH`.
    pub places: Vec<String>,
    /// Folders that the program needs beside its own.
    pub program: Vec<String>,
}

/// Where an agent keeps its state. The session has a copy of its own, kept from one session to the
/// next: what no item names is written there by the agent alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The user's own.
    pub user: String,
    /// The variable with which the user moves it elsewhere.
    pub moved_by: Option<String>,
    /// Set so that the agent uses the session's; `{state}` stands for it.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What is brought over from the user's.
    #[serde(default, rename = "item")]
    pub items: Vec<Item>,
    /// Folders that the agent shares with other programs.
    #[serde(default, rename = "mirror")]
    pub mirrors: Vec<Mirror>,
}

/// One file or folder of an agent's state.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// In the session's state, and in the user's where `user` does not say otherwise.
    pub path: String,
    /// Where the user's lies while it has not been moved.
    pub user: Option<String>,
    /// How it is brought over.
    pub how: How,
    /// JSON or TOML keys with the value that they have inside.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// JSON keys that are the user's at each start, or absent; `*` stands for every key.
    #[serde(default)]
    pub reset: Vec<String>,
    /// JSON keys that are the user's at each start where the user has them.
    #[serde(default)]
    pub follow: Vec<String>,
    /// What in a refreshed folder is the agent's own.
    #[serde(default)]
    pub except: Vec<String>,
}

/// How an item is brought over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The newer of the two counts; the agent writes it.
    SignIn,
    /// As the user's at each start; the agent does not write it.
    Refreshed,
    /// The agent writes it; named keys are the user's at each start.
    Mixed,
}

/// A folder that a variable names for every program: the session's own, in which everything that
/// the user's has is linked but what the agent keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The variable.
    pub variable: String,
    /// The user's, where the variable is not set.
    pub user: String,
    /// The session's, in its state.
    pub path: String,
    /// What is not linked.
    pub own: Vec<String>,
}

/// An agent's hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Where its models are, and where it signs in: `host:port`, as in `network.allow`.
    pub models: Vec<String>,
    /// Host sets from which what it works on installs packages.
    #[serde(default)]
    pub registries: Vec<String>,
}

/// How a person signs an agent in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The pages that it opens in a browser for it: addresses without what is asked of them.
    pub pages: Vec<String>,
}

/// An agent's variables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// What it may receive of the user's, its own key among it.
    #[serde(default)]
    pub pass: Vec<String>,
    /// What is set for it.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// How an agent's own sandbox is kept off.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSandbox {
    /// Put right after the program.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Set in its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Arguments that would switch it on: `--x`, or `--x=value` for `--x value` too.
    #[serde(default)]
    pub refused_arguments: Vec<String>,
    /// Settings that switch it on and that ours do not override.
    #[serde(default)]
    pub forced_by: Vec<ForcedBy>,
}

/// A setting that forces an agent's own sandbox on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForcedBy {
    /// A JSON or TOML file; `{workspace}` stands for the workspace.
    pub file: String,
    /// The key, its parts joined by dots.
    pub key: String,
    /// The value that does it.
    pub value: toml::Value,
}

/// How long an agent waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// After so many seconds it ends a command that it runs, unless the model asks for longer.
    pub command: Option<u64>,
}

/// How an agent takes instructions of one session, beside those that the user has for it. None of
/// these changes a file of the user's, and what the user gives in the same way is joined with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "how")]
pub enum Briefing {
    /// An option whose value is the text.
    Option {
        /// Such as `--append-system-prompt`.
        option: String,
    },
    /// A setting that an option gives, as TOML: `-c KEY="TEXT"`. It counts over the file's.
    Setting {
        /// The option's names; the first is the one that is put in.
        options: Vec<String>,
        /// The setting.
        key: String,
        /// The settings file, in the agent's state: what it says of the key is joined.
        file: String,
    },
    /// A file of its own, in a folder of the session's state that the agent does not write.
    File {
        /// In the agent's state; `{session}` stands for the session's id.
        path: String,
        /// What else lies in its folder, by name: the same for every session.
        #[serde(default)]
        beside: BTreeMap<String, String>,
        /// The variable that names the file to the agent, where the place alone does not.
        listed: Option<Listed>,
    },
}

/// A variable that holds settings as JSON, in which a list names files of instructions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The variable.
    pub variable: String,
    /// The list's key.
    pub key: String,
}

impl AgentFile {
    /// Reads an agent file.
    ///
    /// # Errors
    /// With the line and what was expected there.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
