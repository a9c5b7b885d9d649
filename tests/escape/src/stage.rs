//! The world that attempts aim at, and what is seen of it from outside.
//!
//! Every file, process, socket and key in it is made for it and goes with it, so that a proof that
//! an attempt works harms nothing.

mod held;
mod look;
mod servers;
pub(crate) mod ssh;

pub(crate) use look::{FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS};
pub(crate) use servers::{Address, abstract_address, address};

use crate::agent::{Said, said};
use crate::place::Place;
use crate::{Afterwards, Attempt, Outcome, Told};
use held::Held;
use servers::Servers;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A variable of the user's environment that holds the secret.
pub const VARIABLE: &str = "ACME_API_KEY";

/// A variable that git alone has which is used outside afterwards.
pub(crate) const LATER: &str = "ESCAPE_LATER";

/// One world, for some attempts.
#[derive(Debug)]
pub struct Stage {
    base: PathBuf,
    attempts: Vec<&'static Attempt>,
    secret: String,
    /// What [`LATER`] holds.
    later: String,
    place: Place,
    victims: Option<Child>,
    servers: Servers,
    held: Held,
    before: BTreeMap<&'static str, String>,
}

impl Stage {
    /// Makes a world for these attempts, in a new folder of `parent`. `victims` starts this
    /// crate's program with the arguments that follow.
    ///
    /// # Errors
    /// When the machine does not give what it is made of.
    pub fn new(
        parent: &Path,
        attempts: Vec<&'static Attempt>,
        victims: impl FnOnce() -> Command,
    ) -> io::Result<Self> {
        let (random, later) = (random()?, random()?);
        let base = parent.join(format!("ce{}", &random[..8]));
        fs::create_dir(&base)?;
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755))?;
        let secret = format!("secret-{random}");
        let mut place = Place::default();
        place.set("base", base.display());
        files(&place, &attempts, &secret)?;
        let servers = Servers::start(&mut place, &secret)?;
        let mut stage = Self {
            held: Held::new(&mut place, &secret)?,
            base,
            attempts,
            secret,
            later,
            place,
            victims: None,
            servers,
            before: BTreeMap::new(),
        };
        stage.victims(victims())?;
        stage.held.hold_victim(&mut stage.place)?;
        stage.place.write(&stage.place_file())?;
        stage.before =
            stage.attempts.iter().map(|attempt| (attempt.name, stage.state(attempt))).collect();
        Ok(stage)
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.place.home()
    }

    /// The workspace, in the home.
    pub fn workspace(&self) -> PathBuf {
        self.place.work()
    }

    /// A folder that a session may read.
    pub fn readable(&self) -> PathBuf {
        self.base.join("readable")
    }

    /// A folder that a session may read, but for one in it.
    pub fn mixed(&self) -> PathBuf {
        self.base.join("mixed")
    }

    /// Folders for a session's own: its temporary one, and its caches.
    pub fn own(&self) -> [PathBuf; 2] {
        ["temp", "cache"].map(|name| self.base.join(name))
    }

    /// The user's SSH agent.
    pub fn ssh_agent(&self) -> PathBuf {
        ssh::agent(&self.place)
    }

    /// What no session is told.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The policy under which a session here is to hold: what it denies, keeps and lets be read.
    pub fn policy(&self) -> String {
        let work = self.workspace();
        format!(
            "[filesystem]\nread = [{:?}, {:?}]\n\
             deny = [{:?}, {:?}, \"**/*.pem\", {:?}]\ndeny_write = [{:?}]\n\
             [[commands.rule]]\nprefix = [\"touch\"]\ndecision = \"deny\"\n\
             [limits]\nprocesses = 64\nmemory = \"256 MiB\"\nopen_files = 512\n\
             [signing]\nssh_keys = [{:?}]\n",
            self.readable(),
            self.mixed(),
            self.mixed().join("denied"),
            work.join("denied"),
            work.join("later"),
            work.join("kept"),
            ssh::LINE,
        )
    }

    /// The arguments for this crate's program that make all of this stage's attempts.
    pub fn arguments(&self) -> Vec<String> {
        let place = self.place_file().display().to_string();
        let names = self.attempts.iter().map(|attempt| attempt.name.to_owned());
        ["attempts".to_owned(), place].into_iter().chain(names).collect()
    }

    fn place_file(&self) -> PathBuf {
        self.workspace().join("place")
    }

    /// What came of each attempt, from what the program wrote and from what is seen. What an
    /// attempt says it did may take a moment to show.
    pub fn outcomes(&self, written: &str) -> Vec<(&'static Attempt, Outcome)> {
        let said: BTreeMap<&str, Said> = said(written).collect();
        let unseen = |attempt: &Attempt, outcome: &Outcome| {
            let shown = matches!(attempt.told, Told::Mark | Told::Victim);
            let did = matches!(said.get(attempt.name), Some(Said::Got(_)));
            shown && did && *outcome != Outcome::Out
        };
        for attempt in &self.attempts {
            if let (Some(afterwards), Some(Said::Got(_))) =
                (attempt.afterwards, said.get(attempt.name))
            {
                // Where it cannot be done nothing is run by it, and that is seen.
                let _ = self.use_git(&self.place.named(attempt.name), afterwards);
            }
        }
        let start = Instant::now();
        loop {
            let outcomes = self.seen(&said);
            let whole = !outcomes.iter().any(|(attempt, outcome)| unseen(attempt, outcome));
            if whole || start.elapsed() > Duration::from_millis(300) {
                return outcomes;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn seen(&self, said: &BTreeMap<&str, Said>) -> Vec<(&'static Attempt, Outcome)> {
        let marks = self.marks();
        let outcome = |attempt: &Attempt| {
            let said = said.get(attempt.name);
            let changed = || self.before.get(attempt.name) != Some(&self.state(attempt));
            let out = match attempt.told {
                Told::Secret => matches!(said, Some(Said::Got(bytes)) if self.is_secret(bytes)),
                Told::Mark => marks.contains(&crate::place::mark(attempt.name)),
                Told::Answer => matches!(said, Some(Said::Got(_))),
                Told::Later => self.ran_later(attempt),
                Told::Prop | Told::Victim | Told::Outlives | Told::Ran => changed(),
            };
            match (out, said) {
                (true, _) => Outcome::Out,
                (false, Some(Said::Failed(why))) => Outcome::Held(why.clone()),
                (false, Some(Said::Got(_))) => Outcome::Held("it had no effect".into()),
                (false, None) => Outcome::Held("it was not made".into()),
            }
        };
        self.attempts.iter().map(|attempt| (*attempt, outcome(attempt))).collect()
    }

    /// Does what somebody does outside afterwards, as the stage's user.
    fn use_git(&self, place: &Place, afterwards: Afterwards) -> io::Result<()> {
        let Afterwards { folder, words } = afterwards;
        Command::new("git")
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", self.home())
            .env("GIT_EDITOR", "true")
            .env(LATER, &self.later)
            .current_dir(folder(place)?)
            .stdin(Stdio::null())
            .output()?;
        Ok(())
    }

    fn ran_later(&self, attempt: &Attempt) -> bool {
        let written = fs::read_to_string(self.place.named(attempt.name).later());
        written.is_ok_and(|written| written == self.later)
    }

    fn is_secret(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.secret.len()).any(|window| window == self.secret.as_bytes())
    }

    fn victims(&mut self, mut command: Command) -> io::Result<()> {
        let mut child = command
            .args(["victims", &self.attempts.len().to_string(), &self.secret])
            .arg(self.place.secret())
            .env(VARIABLE, &self.secret)
            .current_dir(self.place.other())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        self.victims = Some(child);
        let mut lines = BufReader::new(lines).lines();
        for name in self.attempts.iter().map(|attempt| attempt.name) {
            let line = lines.next().ok_or_else(|| io::Error::other("victims do not start"))??;
            let keys = ["victim", "word", "held"];
            for (key, value) in keys.iter().zip(line.split_whitespace()) {
                self.place.set(format!("{key}-{name}"), value);
            }
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for attempt in &self.attempts {
            self.end_survivor(attempt.name);
        }
        if let Some(mut victims) = self.victims.take() {
            drop(victims.stdin.take());
            // It ends with its input; there is nobody to tell if not.
            let _ = victims.wait();
        }
        self.servers.stop();
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn random() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A hook that is there, and what must not be changed in it.
pub(crate) const HOOK: &str = "#!/bin/sh\nexit 0\n";

/// What lies beside a denied folder, in one that may be read.
pub const BESIDE: &str = "beside\n";

/// Every file of the world.
fn files(place: &Place, attempts: &[&Attempt], secret: &str) -> io::Result<()> {
    let (base, home, work, other) = (place.base(), place.home(), place.work(), place.other());
    let folders = [
        work.join(".git/objects/info"),
        work.join(".git/refs/heads"),
        work.join(".git/hooks"),
        work.join(".git/info"),
        work.join(".git/modules/part/hooks"),
        work.join(".git/modules/part/objects"),
        work.join(".git/modules/part/refs"),
        work.join("part"),
        work.join("deeper/there/.git/objects"),
        work.join("deeper/there/.git/refs"),
        work.join(".github/workflows"),
        work.join(".vscode"),
        work.join("denied"),
        work.join("kept"),
        work.join("ran"),
        work.join("alive"),
        work.join("src"),
        home.join(".ssh"),
        home.join(".aws"),
        home.join(".config/chaperone"),
        home.join(".claude"),
        other.join("props"),
        other.join("folders"),
        other.join("later"),
        other.join("run"),
        other.join("watched"),
        base.join("readable"),
        base.join("mixed/open"),
        base.join("mixed/denied"),
        base.join("temp"),
        base.join("cache"),
    ];
    for folder in folders {
        fs::create_dir_all(folder)?;
    }
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n";
    let texts = [
        (work.join(".git/HEAD"), "ref: refs/heads/main\n"),
        (work.join(".git/config"), config),
        (work.join(".git/modules/part/HEAD"), "ref: refs/heads/main\n"),
        (work.join(".git/modules/part/config"), &format!("{config}\tworktree = ../../../part\n")),
        (work.join("part/.git"), "gitdir: ../.git/modules/part\n"),
        (work.join("deeper/there/.git/HEAD"), "ref: refs/heads/main\n"),
        (work.join("deeper/there/.git/config"), config),
        (work.join(".git/hooks/pre-commit"), HOOK),
        (work.join(".github/workflows/build.yml"), "on: push\n"),
        (work.join(".vscode/tasks.json"), "{}\n"),
        (work.join("src/main.c"), "int main(void) { return 0; }\n"),
        (home.join(".bashrc"), "# mine\n"),
        (home.join(".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@acme.example\n"),
        (home.join(".claude/settings.json"), "{}\n"),
        (work.join("denied/secret"), secret),
        (work.join("denied.pem"), secret),
        (base.join("mixed/denied/secret"), secret),
        (base.join("mixed/open/file"), BESIDE),
        (home.join(".ssh/id_ed25519"), secret),
        (home.join(".aws/credentials"), secret),
        (other.join("secret"), secret),
    ];
    for (file, text) in texts {
        fs::write(file, text)?;
    }
    for (link, target) in [
        (work.join("src/link"), work.join("denied")),
        (base.join("mixed/open/link"), base.join("mixed/denied")),
    ] {
        std::os::unix::fs::symlink(target, link)?;
    }
    // A program that nobody but its owner's other programs may run: its words are the secret.
    let tool = work.join("denied/tool");
    fs::write(&tool, format!("#!/bin/sh\necho {secret}\n"))?;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
    let hook = work.join(".git/hooks/pre-commit");
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755))?;
    for attempt in attempts {
        let place = place.named(attempt.name);
        let files = [place.prop(), place.readable(), place.kept(), place.denied(), place.mixed()];
        for file in files {
            fs::write(file, secret)?;
        }
        std::os::unix::fs::symlink(secret, place.prop().with_extension("link"))?;
        attribute(&place.prop(), secret)?;
        fs::create_dir(place.prop_folder())?;
        fs::write(place.prop_folder().join("inner"), secret)?;
    }
    Ok(())
}

/// Gives a file the secret as an extended attribute, where the file system has such.
fn attribute(file: &Path, secret: &str) -> io::Result<()> {
    let (path, name) = (crate::sys::text(file)?, c"user.secret");
    // SAFETY: the strings end with NUL, and the value is as long as is said.
    unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), secret.as_ptr().cast(), secret.len(), 0);
    }
    Ok(())
}
