//! From a folder and a user to the policy in force there: read the layers, know the agent, merge.

use crate::agents::{self, AgentFile};
use crate::gaps;
use crate::paths::{Paths, resolved};
use chaperone_policy::{Context, Layer, Os, Policy, built_in, merge, remote};
use chaperone_sources::remote::Bundle;
use chaperone_sources::{Locations, Stamp, WatchError, Watcher};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose policy, and for what.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The folder; the current one if none is given.
    pub workspace: Option<PathBuf>,
    /// The agent's name, if it is not to be told from the command.
    pub agent: Option<String>,
    /// `--policy FILE`, in the order given.
    pub policy: Vec<PathBuf>,
    /// What is to be run, to tell the agent from.
    pub command: Vec<OsString>,
    /// Root asks for everybody else: managed files are judged as they are for an ordinary user, who
    /// could not have written them.
    pub for_others: bool,
}

/// The policy in force.
#[derive(Debug)]
pub struct Loaded {
    /// Absolute and without symbolic links.
    pub workspace: PathBuf,
    /// What is known of the agent.
    pub agent: Option<&'static AgentFile>,
    /// The result of all layers.
    pub policy: Arc<Policy>,
    /// What is needed to read them again.
    pub(crate) ground: Ground,
    /// The sources as they were.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no session runs there"))]
    pub(crate) stamp: Stamp,
}

/// Where the layers of a session come from.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    agent: Option<&'static AgentFile>,
    locations: Locations,
    bundles: PathBuf,
    pub(crate) context: Context,
}

impl Ground {
    /// Reads every layer, and how the sources were before. What is broken, unreadable or gone leaves
    /// no gap: what a managed layer said `before` holds until it is read whole again.
    pub(crate) fn read(&self, before: &[Layer]) -> (Vec<Layer>, Stamp) {
        let mut stamp = chaperone_sources::stamp(&self.locations);
        let mut layers = vec![built_in()];
        layers.extend(self.agent.map(agents::layer));
        layers.extend(chaperone_sources::read(&self.locations));
        let mut layers = gaps::without(before, layers);
        if let Some(remote) = remote(&layers, &self.context) {
            let bundle = Bundle::new(&remote, &self.bundles, &self.locations.trust);
            stamp = bundle.stamp(stamp);
            let kept = bundle.read(Timestamp::now());
            stamp = kept.stamp(stamp);
            layers.extend(gaps::bundle_without(before, kept.layers));
        }
        (layers, stamp)
    }

    /// Hears of changes of the sources, and of the bundle that the policy names.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no session runs there"))]
    pub(crate) fn watcher(&self, policy: &Policy) -> Result<Watcher, WatchError> {
        Watcher::new(&self.locations, self.bundle(policy).iter().flat_map(Bundle::places))
    }

    /// The signed bundle that the policy names.
    pub(crate) fn bundle(&self, policy: &Policy) -> Option<Bundle> {
        let remote = policy.remote()?;
        Some(Bundle::new(remote, &self.bundles, &self.locations.trust))
    }
}

impl Loaded {
    /// The signed bundle that the policy names, to be fetched anew.
    pub fn bundle(&self) -> Option<Bundle> {
        self.ground.bundle(&self.policy)
    }
}

/// Why no policy could be told.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The workspace is not a folder that can be opened.
    #[error("the workspace {path} cannot be opened: {source}")]
    Workspace {
        /// As it was given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// `--agent` names none that is known.
    #[error("no agent is called `{name}`; known are {known}")]
    UnknownAgent {
        /// As it was given.
        name: String,
        /// Every name there is.
        known: String,
    },
    /// `--policy` names a file that cannot be read.
    #[error("--policy {path}: {source}")]
    PolicyFile {
        /// As it was given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Reads every layer and merges them.
///
/// # Errors
/// When the workspace, the agent or a `--policy` file does not exist. What is wrong *inside* a
/// layer is no error here: it falls to its strictest value and shows in the layer's status.
pub fn load(question: &Question, paths: &Paths) -> Result<Loaded, LoadError> {
    let given = question.workspace.clone().unwrap_or_else(|| PathBuf::from("."));
    let workspace = resolved(&given)
        .and_then(|path| if path.is_dir() { Ok(path) } else { Err(not_a_folder()) })
        .map_err(|source| LoadError::Workspace { path: given, source })?;
    let agent = agent_of(question)?;
    for path in &question.policy {
        std::fs::File::open(path)
            .map_err(|source| LoadError::PolicyFile { path: path.clone(), source })?;
    }

    let mut locations =
        Locations::system(&paths.home, None, Some(&workspace), question.policy.clone());
    locations.user = paths.config.join("config.toml");
    if question.for_others {
        locations.trust.user = NOBODY;
    }
    let context = Context {
        home: paths.home.clone(),
        workspace: workspace.clone(),
        agent: agent.map(|agent| agent.name.clone()),
        os: Os::current(),
    };
    let ground = Ground { agent, locations, bundles: paths.bundles(), context };
    let (layers, stamp) = ground.read(&[]);
    let policy = Arc::new(merge(layers, &ground.context));
    Ok(Loaded { workspace, agent, policy, ground, stamp })
}

/// The user who owns nothing (user_namespaces(7), "overflow").
const NOBODY: u32 = 65534;

fn not_a_folder() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is not a folder")
}

fn agent_of(question: &Question) -> Result<Option<&'static AgentFile>, LoadError> {
    let Some(name) = &question.agent else { return Ok(agents::detect(&question.command)) };
    agents::all().find(|agent| agent.name == *name).map(Some).ok_or_else(|| {
        let known: Vec<&str> = agents::all().map(|agent| agent.name.as_str()).collect();
        LoadError::UnknownAgent { name: name.clone(), known: known.join(", ") }
    })
}

/// This process's environment, as far as it is text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
