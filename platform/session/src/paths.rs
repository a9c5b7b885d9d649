//! Where Chaperone keeps its own files for one user.
//!
//! Follows the XDG base directory specification on Linux; Windows is asked for its folders. None of
//! them is ever reachable from inside a session.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The folders of one user. All absolute; none needs to exist yet. Windows has other places for the
/// same: settings in `%APPDATA%\Chaperone`, the rest in `%LOCALAPPDATA%\Chaperone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The user's home folder.
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME/chaperone`: the user's own configuration.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/chaperone`: history and the agents' redirected state.
    pub state: PathBuf,
    /// `$XDG_CACHE_HOME/chaperone`: temporary folders and caches of agents.
    pub cache: PathBuf,
    /// `$XDG_RUNTIME_DIR/chaperone`, or `run` in the state folder where there is none: sockets.
    pub runtime: PathBuf,
}

/// Why the folders could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The system names no folders for this user.
    #[cfg(windows)]
    #[error("Windows knows no profile of this user; sign in as the user once and try again")]
    NoProfile,
    /// Neither `$HOME` nor an absolute path in it.
    #[error(
        "your home folder is not known: HOME is {found}; set it to an absolute path and try again"
    )]
    NoHome {
        /// What stands in `$HOME`.
        found: String,
    },
}

impl Paths {
    /// From the environment of this process.
    ///
    /// # Errors
    /// When the home folder is not known.
    #[cfg(not(windows))]
    pub fn of_this_user() -> Result<Self, PathsError> {
        Self::from_environment(|name| std::env::var_os(name))
    }

    /// As Windows names them.
    ///
    /// # Errors
    /// When the user has no profile.
    #[cfg(windows)]
    pub fn of_this_user() -> Result<Self, PathsError> {
        let folders = chaperone_sources::user_folders().ok_or(PathsError::NoProfile)?;
        let local = folders.local.join("Chaperone");
        Ok(Self {
            home: folders.home,
            config: folders.roaming.join("Chaperone"),
            cache: local.join("cache"),
            runtime: local.join("run"),
            state: local,
        })
    }

    /// From any environment. As the specification demands, relative values count as unset.
    ///
    /// # Errors
    /// When `HOME` is not an absolute path.
    pub fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathsError> {
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let Some(home) = absolute("HOME") else {
            let found = get("HOME")
                .map_or_else(|| "not set".to_owned(), |v| format!("`{}`", v.to_string_lossy()));
            return Err(PathsError::NoHome { found });
        };
        // The sandbox compares paths that the kernel has resolved; a home behind a symbolic link
        // (/home -> /data/home) must be named as the kernel names it.
        let home = home.canonicalize().unwrap_or(home);
        let base = |name: &str, fallback: &str| {
            absolute(name).unwrap_or_else(|| home.join(fallback)).join("chaperone")
        };
        let state = base("XDG_STATE_HOME", ".local/state");
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            cache: base("XDG_CACHE_HOME", ".cache"),
            runtime: absolute("XDG_RUNTIME_DIR")
                .filter(|dir| dir.is_dir())
                .map_or_else(|| state.join("run"), |dir| dir.join("chaperone")),
            state,
            home,
        })
    }

    /// The audit store.
    pub fn history(&self) -> PathBuf {
        self.state.join("history")
    }

    /// The reports of self-tests.
    pub fn self_tests(&self) -> PathBuf {
        self.state.join("self-test")
    }

    /// The signed policy bundles that were fetched for this user.
    pub fn bundles(&self) -> PathBuf {
        self.state.join("bundles")
    }

    /// What is known of the credentials that the keychain keeps, none of it secret.
    pub fn credentials(&self) -> PathBuf {
        self.state.join("credentials")
    }

    /// The approvals that hold in a workspace.
    pub fn grants(&self) -> PathBuf {
        self.state.join("grants")
    }

    /// The redirected state of one agent, kept from session to session.
    pub fn agent_state(&self, agent: &str) -> PathBuf {
        self.state.join("agents").join(agent)
    }

    /// Caches that an agent may write, kept from session to session.
    pub fn agent_cache(&self, agent: &str) -> PathBuf {
        self.agent_caches().join(agent)
    }

    fn agent_caches(&self) -> PathBuf {
        self.cache.join("agents")
    }

    /// The private temporary folders of sessions.
    pub fn temp(&self) -> PathBuf {
        self.cache.join("tmp")
    }

    /// The supervisor's own folders, which no session reaches but for its agent's state.
    pub fn own(&self) -> Vec<PathBuf> {
        vec![self.config.clone(), self.state.clone(), self.runtime.clone()]
    }

    /// The same, and the folders with every session's caches and temporary files, of which each
    /// reaches its own.
    pub fn own_and_shared(&self) -> Vec<PathBuf> {
        [self.own(), vec![self.agent_caches(), self.temp()]].concat()
    }
}

/// The path without links and as people write it: what Windows answers begins with `\\?\`, which
/// no policy's path does.
///
/// # Errors
/// As [`Path::canonicalize`].
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let plain = real.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let drive = plain.filter(|rest| cfg!(windows) && rest.get(1..3) == Some(r":\"));
    Ok(drive.map_or(real.clone(), PathBuf::from))
}

/// Creates a folder and its parents, the folder itself readable by its owner alone.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(set: &[(&str, &str)]) -> Result<Paths, PathsError> {
        let set: Vec<(String, OsString)> =
            set.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        Paths::from_environment(|name| {
            set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn home_alone_is_enough() {
        let paths = paths(&[("HOME", "/nowhere/ada")]).unwrap();
        assert_eq!(paths.state, Path::new("/nowhere/ada/.local/state/chaperone"));
        assert_eq!(paths.config, Path::new("/nowhere/ada/.config/chaperone"));
        assert_eq!(paths.runtime, Path::new("/nowhere/ada/.local/state/chaperone/run"));
    }

    #[test]
    fn what_policy_was_fetched_lies_where_no_session_reaches() {
        let paths = paths(&[("HOME", "/nowhere/ada")]).unwrap();
        let within = |folder: &PathBuf| paths.bundles().starts_with(folder);
        assert!(paths.own().iter().any(within), "{}", paths.bundles().display());
    }

    #[test]
    fn relative_values_count_as_unset() {
        let paths = paths(&[("HOME", "/nowhere/ada"), ("XDG_STATE_HOME", "state")]).unwrap();
        assert_eq!(paths.state, Path::new("/nowhere/ada/.local/state/chaperone"));
    }

    #[test]
    fn without_a_home_the_error_says_what_was_found() {
        let error = paths(&[("HOME", "ada")]).unwrap_err().to_string();
        assert!(error.contains("HOME is `ada`"), "{error}");
    }
}
