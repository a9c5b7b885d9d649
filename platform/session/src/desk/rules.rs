//! The policy in force: every layer, every key, who set it, and what lost.

use super::{Desk, Failure, Managed, Observes, Rules};
use crate::load::{LoadError, Loaded, Question, load};
use crate::report::report;
use crate::shown::{explain, show, show_beside};
use chaperone_approvals::SessionInfo;
use chaperone_policy::{Class, KEYS, Key, LayerStatus, Mode, Policy, Show, Value};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

impl Desk {
    /// Every layer and every key, with a workspace's own file or without. Without, the sessions of
    /// all workspaces count for what needs a restart.
    ///
    /// # Errors
    /// When the workspace is no folder.
    pub fn rules(&self, workspace: Option<&str>) -> Result<Rules, Failure> {
        let loaded = self.policy(workspace)?;
        let shown = self.shown(&loaded, workspace.is_some());
        let mut workspaces: Vec<String> = Vec::new();
        let running = self.running().into_iter().map(|session| session.workspace);
        for workspace in running.chain(self.recent_workspaces(&self.summaries()?)) {
            if !workspaces.contains(&workspace) {
                workspaces.push(workspace);
            }
        }
        Ok(Rules { shown, keys: KEYS.iter().map(Key::words).collect(), workspaces })
    }

    /// The policy for a support ticket, as indented JSON: see [`report`].
    ///
    /// # Errors
    /// When the workspace is no folder.
    pub fn report(&self, workspace: Option<&str>, hosts: bool) -> Result<String, Failure> {
        let loaded = self.policy(workspace)?;
        let shown = self.shown(&loaded, workspace.is_some());
        let report = report(shown, &loaded, &self.paths, hosts);
        serde_json::to_string_pretty(&report).map_err(|error| Failure::plain(error.to_string()))
    }

    /// The same into a file, and the file's path.
    ///
    /// # Errors
    /// When the workspace is no folder, or the file cannot be written.
    pub fn save_report(
        &self,
        workspace: Option<&str>,
        hosts: bool,
        file: &Path,
    ) -> Result<String, Failure> {
        let text = self.report(workspace, hosts)?;
        let file_name = file.display().to_string();
        match std::fs::write(file, text) {
            Ok(()) => Ok(file_name),
            Err(error) => Err(Failure::new(
                format!("{file_name} cannot be written: {error}."),
                "Choose a folder that you can write to.",
            )),
        }
    }

    /// One key.
    ///
    /// # Errors
    /// When there is no such key, with the nearest one, or the workspace is no folder.
    pub fn explain(&self, key: &str, workspace: Option<&str>) -> Result<Value, Failure> {
        let found = explain(&self.policy(workspace)?, key, &self.running(), &self.paths);
        found.map_err(|unknown| Failure::plain(sentence(&unknown.to_string())))
    }

    /// Who manages this machine; `None`: nobody.
    ///
    /// # Errors
    /// When the home folder cannot be opened.
    pub fn managed(&self) -> Result<Option<Managed>, Failure> {
        Ok(managed(&self.policy(None)?.policy, Timestamp::now()))
    }

    /// The policy for a workspace; without one, for a folder that has no file of its own.
    pub(super) fn policy(&self, workspace: Option<&str>) -> Result<Loaded, Failure> {
        let workspace = match workspace {
            Some(given) => self.expand(given),
            None => self.no_workspace(),
        };
        load(&Question { workspace: Some(workspace), ..Question::default() }, &self.paths)
            .map_err(failure)
    }

    /// The policy for a folder that has no file of its own; `for_others` as in [`Question`].
    ///
    /// # Errors
    /// When the home folder cannot be opened.
    pub fn policy_for(&self, for_others: bool) -> Result<Loaded, Failure> {
        let workspace = Some(self.no_workspace());
        load(&Question { workspace, for_others, ..Question::default() }, &self.paths)
            .map_err(failure)
    }

    /// Home: a session refuses to work there, and so nobody keeps a workspace file in it.
    fn no_workspace(&self) -> PathBuf {
        self.paths.home.clone()
    }

    /// With what running sessions still have: those of the policy's workspace, or of all.
    fn shown(&self, loaded: &Loaded, of_workspace: bool) -> Show {
        let sessions = self.running();
        match of_workspace {
            true => show(loaded, &sessions, &self.paths),
            false => show_beside(loaded, &sessions, &self.paths),
        }
    }

    fn running(&self) -> Vec<SessionInfo> {
        let sessions = self.listing().map(|listing| listing.sessions).unwrap_or_default();
        sessions.into_iter().map(|known| known.info).collect()
    }
}

/// Who manages this machine, as far as layers count that its user could not have written.
pub(super) fn managed(policy: &Policy, now: Timestamp) -> Option<Managed> {
    let counts = |status| !matches!(status, LayerStatus::Absent | LayerStatus::Untrusted);
    let layers = || {
        let all = policy.layers().iter();
        all.filter(|layer| layer.class() == Class::Managed && counts(layer.status))
    };
    layers().next()?;
    let revision = policy.explain("revision").ok();
    let revision = revision.filter(|revision| revision.level == Some(Class::Managed));
    let observed = policy.observed_until().filter(|_| policy.mode(now) == Mode::Observe);
    Some(Managed {
        by: policy.organisation().map(str::to_owned),
        revision: revision.and_then(|revision| Some(revision.value.json().as_str()?.to_owned())),
        read_at: layers().filter_map(|layer| Some(layer.reading.as_ref()?.at)).min(),
        observes: observed
            .map(|until| Observes { until: until.value, origin: until.origin.clone() }),
    })
}

pub(super) fn failure(error: LoadError) -> Failure {
    Failure::plain(sentence(&error.to_string()))
}

/// With a capital letter and a full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.trim_end_matches('.').chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
