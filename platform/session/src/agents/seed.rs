//! Prepares the state that an agent finds in a session: what is the user's is brought over, what
//! is the agent's own is left as it was.

use super::AgentFile;
use chaperone_sandbox::AgentAccess;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The state could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct SeedError {
    /// What was being prepared, in the session's state.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Prepares `state_dir` (absolute; created if need be) and says what the session is to be given.
/// It does nothing twice, follows no link out of the user's own folder, and none at all in the
/// session's.
///
/// # Errors
/// When a file of the user's cannot be read, or one in `state_dir` not be written.
pub fn seed(
    agent: &AgentFile,
    user_home: &Path,
    environment: &BTreeMap<String, String>,
    state_dir: &Path,
) -> Result<AgentAccess, SeedError> {
    let mut access = AgentAccess { write: vec![state_dir.to_owned()], ..AgentAccess::default() };
    let state = state_dir.to_string_lossy();
    let redirected = agent.state.environment.iter();
    let redirected =
        redirected.map(|(name, value)| (name.clone(), value.replace("{state}", &state)));
    access.environment.extend(redirected);
    access.environment.extend(agent.environment.set.clone());
    access.environment.extend(agent.own_sandbox.environment.clone());
    for mirror in &agent.state.mirrors {
        let path = state_dir.join(&mirror.path).to_string_lossy().into_owned();
        access.environment.insert(mirror.variable.clone(), path);
    }
    bring_over(agent, user_home, environment, state_dir, &mut access)?;
    Ok(access)
}

#[cfg(unix)]
use unix::bring_over;

/// Nothing is copied on a system where no session can start yet.
#[cfg(not(unix))]
fn bring_over(
    _agent: &AgentFile,
    _user_home: &Path,
    _environment: &BTreeMap<String, String>,
    state_dir: &Path,
    _access: &mut AgentAccess,
) -> Result<(), SeedError> {
    let source = io::Error::new(io::ErrorKind::Unsupported, "not supported on this system yet");
    Err(SeedError { path: state_dir.to_owned(), source })
}

#[cfg(unix)]
mod unix {
    use super::super::find::expand;
    use super::super::folder::{Changed, Folder};
    use super::super::keys::Document;
    use super::super::{AgentFile, Briefing, How, Item, Mirror};
    use super::SeedError;
    use chaperone_sandbox::AgentAccess;
    use rustix::fs::FileType;
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    /// Deeper than any folder of skills or plugins; a loop of links ends here.
    const DEPTH: u8 = 24;

    pub(super) fn bring_over(
        agent: &AgentFile,
        user_home: &Path,
        environment: &BTreeMap<String, String>,
        state_dir: &Path,
        access: &mut AgentAccess,
    ) -> Result<(), SeedError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| SeedError { path, source }
        };
        let state = Folder::open(state_dir).map_err(at(state_dir))?;
        for mirror in &agent.state.mirrors {
            link_all(&state, mirror, user_home, environment)
                .map_err(at(&state_dir.join(&mirror.path)))?;
        }
        let moved = agent.state.moved_by.as_ref().and_then(|name| environment.get(name));
        let moved = moved.map(PathBuf::from).filter(|path| path.is_absolute());
        let root = expand(&agent.state.user, user_home);
        for item in &agent.state.items {
            let path = state_dir.join(&item.path);
            let user = match (&moved, &item.user) {
                (Some(moved), _) => moved.join(&item.path),
                (None, Some(user)) => expand(user, user_home),
                (None, None) => root.join(&item.path),
            };
            // Links may stay within the folder that holds the user's state, and go no further.
            let is_beneath = |folder: &Path| folder != user_home && user.starts_with(folder);
            let parent = user.parent().unwrap_or(&user);
            let within = [moved.as_deref().unwrap_or(&root), parent];
            let within = within.into_iter().find(|folder| is_beneath(folder)).unwrap_or(&user);
            let within = within.canonicalize().unwrap_or_else(|_| within.to_owned());
            let user = User { within, path: user };
            let kept = kept(agent, item);
            bring(&state, item, &user, kept).map_err(at(&path))?;
            if item.how == How::Refreshed {
                protect(item, &path, access);
            }
        }
        if let Some(Briefing::File { path, beside, listed: _ }) = &agent.briefing {
            let Some(folder) = Path::new(path).parent() else { return Ok(()) };
            let path = state_dir.join(folder);
            prepare(&state, folder, beside).map_err(at(&path))?;
            if !access.read_only.iter().any(|own| path.starts_with(own)) {
                access.read_only.push(path);
            }
        }
        Ok(())
    }

    /// What in a refreshed folder is neither the user's nor the agent's: where briefings lie.
    fn kept<'a>(agent: &'a AgentFile, item: &Item) -> Option<&'a OsStr> {
        let Some(Briefing::File { path, .. }) = &agent.briefing else { return None };
        Path::new(path).strip_prefix(&item.path).ok()?.iter().next()
    }

    fn prepare(state: &Folder, folder: &Path, beside: &BTreeMap<String, String>) -> io::Result<()> {
        let folder = state.enter_all(folder)?;
        beside
            .iter()
            .try_for_each(|(name, text)| write_if_new(&folder, OsStr::new(name), text.as_bytes()))
    }

    /// Something of the user's, as far as it may be followed.
    struct User {
        path: PathBuf,
        within: PathBuf,
    }

    impl User {
        /// The file or folder itself, if it is there and within.
        fn real(&self) -> Option<PathBuf> {
            let real = self.path.canonicalize().ok()?;
            real.starts_with(&self.within).then_some(real)
        }
    }

    fn bring(state: &Folder, item: &Item, user: &User, kept: Option<&OsStr>) -> io::Result<()> {
        let path = Path::new(&item.path);
        let name = path.file_name().unwrap_or(OsStr::new(&item.path));
        let real = user.real();
        let folder;
        let into = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            None => state,
            Some(parent) => {
                folder = state.enter_all(parent)?;
                &folder
            }
        };
        match (item.how, real) {
            (How::SignIn, Some(real)) => sign_in(into, name, &real),
            (How::SignIn, None) => Ok(()),
            (How::Mixed, real) => mix(into, name, item, real.as_deref()),
            (How::Refreshed, None) if kept.is_some() => {
                remove_but(&into.enter(name)?, kept.as_slice())
            }
            (How::Refreshed, None) if item.set.is_empty() => into.remove(name),
            (How::Refreshed, real) if !item.set.is_empty() => {
                set(into, name, item, real.as_deref())
            }
            (How::Refreshed, Some(real)) if real.is_dir() => {
                let except = item.except.iter().map(|name| name.as_ref()).chain(kept);
                let except = except.collect::<Vec<_>>();
                refresh_folder(into, name, &real, user, &except, DEPTH)
            }
            (How::Refreshed, Some(real)) => refresh_file(into, name, &real),
            (How::Refreshed, None) => Ok(()),
        }
    }

    /// The newer of the two counts: the agent renews what it signed in with.
    fn sign_in(into: &Folder, name: &OsStr, real: &Path) -> io::Result<()> {
        let metadata = fs::metadata(real)?;
        let changed = Changed::of(&metadata);
        match into.see(name)? {
            Some(own) if own.kind == FileType::RegularFile && own.changed >= changed => Ok(()),
            _ => into.write(name, &fs::read(real)?, false, Some(changed)),
        }
    }

    fn refresh_file(into: &Folder, name: &OsStr, real: &Path) -> io::Result<()> {
        let metadata = fs::metadata(real)?;
        if !metadata.is_file() {
            return into.remove(name);
        }
        let changed = Changed::of(&metadata);
        let is_same = into.see(name)?.is_some_and(|own| {
            own.kind == FileType::RegularFile
                && own.size == metadata.len()
                && own.changed == changed
        });
        if is_same {
            return Ok(());
        }
        let executable = metadata.permissions().mode() & 0o100 != 0;
        into.write(name, &fs::read(real)?, executable, Some(changed))
    }

    fn refresh_folder(
        into: &Folder,
        name: &OsStr,
        real: &Path,
        user: &User,
        except: &[&OsStr],
        depth: u8,
    ) -> io::Result<()> {
        let own = into.enter(name)?;
        let mut wanted = Vec::new();
        for entry in fs::read_dir(real)? {
            let entry = entry?;
            let name = entry.file_name();
            if except.contains(&name.as_os_str()) {
                continue;
            }
            let child = User { path: entry.path(), within: user.within.clone() };
            let Some(real) = child.real() else { continue };
            if real.is_dir() && depth > 0 {
                refresh_folder(&own, &name, &real, user, &[], depth - 1)?;
            } else if real.is_file() {
                refresh_file(&own, &name, &real)?;
            } else {
                continue;
            }
            wanted.push(name);
        }
        wanted.extend(except.iter().map(|name| name.to_os_string()));
        remove_but(&own, &wanted)
    }

    fn remove_but(folder: &Folder, kept: &[impl AsRef<OsStr>]) -> io::Result<()> {
        for (name, _) in folder.list()? {
            if !kept.iter().any(|kept| kept.as_ref() == name) {
                folder.remove(&name)?;
            }
        }
        Ok(())
    }

    /// A refreshed settings file in which some keys have a value of ours. One that cannot be read
    /// as settings is brought over as it is: the agent will say what is wrong with it.
    fn set(into: &Folder, name: &OsStr, item: &Item, real: Option<&Path>) -> io::Result<()> {
        let path = Path::new(name);
        let text = real.map(fs::read_to_string).transpose()?;
        let document = match &text {
            Some(text) => Document::read(path, text),
            None => Some(Document::empty(path)),
        };
        let ours = document.and_then(|mut document| {
            item.set.iter().for_each(|(key, value)| document.set(key, value));
            document.text()
        });
        let wanted = ours.or(text).unwrap_or_default();
        write_if_new(into, name, wanted.as_bytes())
    }

    fn mix(into: &Folder, name: &OsStr, item: &Item, real: Option<&Path>) -> io::Result<()> {
        let path = Path::new(name);
        let read = |text: &str| Document::read(path, text);
        let user = real.map(fs::read_to_string).transpose()?;
        let user = user.as_deref().and_then(read);
        let found = into.read(name)?;
        let own = found.as_ref().and_then(|bytes| read(std::str::from_utf8(bytes).ok()?));
        if own.is_none() && user.is_none() {
            return into.remove(name);
        }
        let user = user.unwrap_or_else(|| Document::empty(path));
        let mut mixed = own.clone().unwrap_or_else(|| Document::empty(path));
        mixed.fill(&user);
        item.reset.iter().for_each(|key| mixed.reset(key, &user));
        item.follow.iter().for_each(|key| mixed.follow(key, &user));
        match mixed.text() {
            Some(text) if own.as_ref() != Some(&mixed) => {
                into.write(name, text.as_bytes(), false, None)
            }
            _ => Ok(()),
        }
    }

    fn write_if_new(into: &Folder, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        match into.read(name)? {
            Some(own) if own == bytes => Ok(()),
            _ => into.write(name, bytes, false, None),
        }
    }

    /// Links everything of the user's folder but what is the agent's own.
    fn link_all(
        state: &Folder,
        mirror: &Mirror,
        user_home: &Path,
        environment: &BTreeMap<String, String>,
    ) -> io::Result<()> {
        let moved = environment.get(&mirror.variable).map(PathBuf::from);
        let user = moved
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| expand(&mirror.user, user_home));
        let own = state.enter_all(Path::new(&mirror.path))?;
        let is_own = |name: &OsStr| mirror.own.iter().any(|own| name == OsStr::new(own));
        let mut wanted = Vec::new();
        for entry in fs::read_dir(&user).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !is_own(&name) {
                own.link(&name, &entry.path())?;
                wanted.push(name);
            }
        }
        for (name, kind) in own.list()? {
            if kind == FileType::Symlink && !is_own(&name) && !wanted.contains(&name) {
                own.remove(&name)?;
            }
        }
        Ok(())
    }

    /// What was refreshed is not the agent's to change; beside an exception, what is there is
    /// protected by itself.
    fn protect(item: &Item, path: &Path, access: &mut AgentAccess) {
        if item.except.is_empty() {
            access.read_only.push(path.to_owned());
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !item.except.iter().any(|except| name == OsStr::new(except)) {
                access.read_only.push(path.join(name));
            }
        }
    }
}
