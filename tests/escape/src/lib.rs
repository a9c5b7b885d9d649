//! Attempts to leave a session: a table of techniques, each with what tells its success.
//!
//! `attempts` holds them, one file a group. `stage` prepares the world that they aim at and sees
//! afterwards what came of them, from outside; `agent` makes them, from inside or, as the proof
//! that each is one, from outside. Nothing is aimed at that the stage has not made itself, or that
//! the attempt would change.

#![cfg(target_os = "linux")]

pub mod agent;
mod attempts;
mod place;
pub mod stage;
mod sys;

pub use place::Place;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What attempts attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Files outside of the session's grants, and those that the policy denies within.
    Files,
    /// What would run later outside of the sandbox.
    Persistence,
    /// Other processes of the same user, and outliving the session.
    Processes,
    /// Socket files, abstract names, and what processes share by key or name.
    Sockets,
    /// The kernel's own doors: namespaces, mounts, keys, modules, rings.
    Kernel,
    /// Terminals, the user's own among them.
    Terminal,
    /// Addresses outside.
    Network,
    /// Programs that the policy denies.
    Commands,
    /// Who the session is, and what it may do as that.
    Identity,
    /// What the process before it left open.
    Inherited,
    /// Bounds on what a session uses.
    Limits,
    /// The keys in the user's SSH agent, of which one may sign for git.
    Signing,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Files,
        Self::Persistence,
        Self::Processes,
        Self::Sockets,
        Self::Kernel,
        Self::Terminal,
        Self::Network,
        Self::Commands,
        Self::Identity,
        Self::Inherited,
        Self::Limits,
        Self::Signing,
    ];

    /// The attempts of this group, in the order in which they are made. The table is made when it is
    /// asked for: a constant full of addresses would be put right at the start of every program
    /// that holds it.
    pub fn attempts(self) -> &'static [Attempt] {
        static TABLES: [OnceLock<Vec<Attempt>>; Group::ALL.len()] =
            [const { OnceLock::new() }; Group::ALL.len()];
        let make = match self {
            Self::Files => attempts::files::all,
            Self::Persistence => attempts::persistence::all,
            Self::Processes => attempts::processes::all,
            Self::Sockets => attempts::sockets::all,
            Self::Kernel => attempts::kernel::all,
            Self::Terminal => attempts::terminal::all,
            Self::Network => attempts::network::all,
            Self::Commands => attempts::commands::all,
            Self::Identity => attempts::identity::all,
            Self::Inherited => attempts::inherited::all,
            Self::Limits => attempts::limits::all,
            Self::Signing => attempts::signing::all,
        };
        TABLES[self as usize].get_or_init(make)
    }

    /// A stable identifier.
    pub fn id(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Persistence => "persistence",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Kernel => "kernel",
            Self::Terminal => "terminal",
            Self::Network => "network",
            Self::Commands => "commands",
            Self::Identity => "identity",
            Self::Inherited => "inherited",
            Self::Limits => "limits",
            Self::Signing => "signing",
        }
    }

    /// What the group attacks, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Persistence => "What runs later",
            Self::Processes => "Processes",
            Self::Sockets => "Sockets and shared objects",
            Self::Kernel => "The kernel's doors",
            Self::Terminal => "Terminals",
            Self::Network => "Network",
            Self::Commands => "Denied commands",
            Self::Identity => "Identity and capabilities",
            Self::Inherited => "Inherited things",
            Self::Limits => "Limits",
            Self::Signing => "The user's SSH agent",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// What tells that an attempt succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// What it brought back holds the stage's secret, which no attempt is told.
    Secret,
    /// Its mark, or a name with it, is found where nothing of the session may be written, or one
    /// of the stage's servers has received it.
    Mark,
    /// The file or folder that stands for it outside is not what it was.
    Prop,
    /// The process that stands for it outside has ended or is not what it was.
    Victim,
    /// Something of it lives on when the session has ended.
    Outlives,
    /// Its program has run: it left a file that no rule keeps it from making.
    Ran,
    /// Its program has run outside afterwards, when somebody used git there: it wrote where nothing
    /// of the session may, and what only that git had in its environment.
    Later,
    /// The kernel did it, as the attempt found out by itself.
    Answer,
}

/// What an attempt takes to succeed outside of any session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it must succeed there.
    Nothing,
    /// A privileged user; an ordinary one could not do it without a sandbox either.
    Root,
    /// An ordinary user; a privileged one gains nothing by it.
    User,
    /// Something that not every machine has.
    Machine(&'static str),
}

/// Why an attempt is known to succeed inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A plan names this loss.
    Loss(&'static str),
    /// Every tier leaves it, as the threat model says in these words.
    Left(&'static str),
}

/// What proving an attempt outside would do to a machine that people work on. `chaperone self-test`
/// leaves such an attempt out; the tests, which run on machines of their own, do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbs {
    /// This, always.
    Always(&'static str),
    /// The kernel would load a module for it, unless `/proc/net/protocols` has this protocol.
    LoadsModule(&'static str),
}

impl Disturbs {
    /// Why it is left out on this machine; `None` where it disturbs nothing here. `protocols` is the
    /// text of `/proc/net/protocols`.
    pub fn here(self, protocols: &str) -> Option<String> {
        match self {
            Self::Always(why) => Some(why.to_owned()),
            Self::LoadsModule(name) => {
                let known = protocols.lines().any(|line| line.split(' ').next() == Some(name));
                (!known).then(|| format!("the kernel would load a module for it ({name})"))
            }
        }
    }
}

/// What somebody does outside when the session has ended: git, with these words.
#[derive(Debug, Clone, Copy)]
pub struct Afterwards {
    folder: fn(&Place) -> io::Result<PathBuf>,
    words: &'static [&'static str],
}

/// One way out, if there were one.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// In kebab case; unique.
    pub name: &'static str,
    /// The technique, in one sentence.
    pub technique: &'static str,
    /// What tells its success.
    pub told: Told,
    /// What it takes to succeed outside, beyond a user's rights on any machine.
    pub needs: Needs,
    /// Where it is known to succeed inside: there, and only there.
    pub known: Option<Known>,
    /// What its proof outside would disturb, beyond what the stage made for it.
    pub disturbs: Option<Disturbs>,
    /// What somebody does outside afterwards.
    pub afterwards: Option<Afterwards>,
    /// A session may be ended for it, or it would be in others' way, so it has one of its own.
    pub alone: bool,
    make: fn(&Place) -> io::Result<Vec<u8>>,
}

impl Attempt {
    // Never inlined: else the compiler makes the table a constant after all.
    #[inline(never)]
    fn new(
        name: &'static str,
        technique: &'static str,
        told: Told,
        make: fn(&Place) -> io::Result<Vec<u8>>,
    ) -> Self {
        let (needs, known, disturbs, afterwards) = (Needs::Nothing, None, None, None);
        Self { name, technique, told, needs, known, disturbs, afterwards, alone: false, make }
    }

    fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    fn shows(self, known: Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Somebody uses git in this folder afterwards.
    fn afterwards(
        self,
        folder: fn(&Place) -> io::Result<PathBuf>,
        words: &'static [&'static str],
    ) -> Self {
        Self { afterwards: Some(Afterwards { folder, words }), ..self }
    }

    fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    fn disturbs(self, disturbs: Disturbs) -> Self {
        Self { disturbs: Some(disturbs), ..self }
    }

    /// Whether it is known to succeed in a session that names these losses.
    pub fn is_known(&self, losses: &BTreeSet<String>) -> bool {
        match self.known {
            None => false,
            Some(Known::Loss(id)) => losses.contains(id),
            Some(Known::Left(_)) => true,
        }
    }
}

/// Every attempt with its group.
pub fn attempts() -> impl Iterator<Item = (Group, &'static Attempt)> {
    Group::ALL.into_iter().flat_map(|group| group.attempts().iter().map(move |it| (group, it)))
}

/// The table as a page for people.
pub fn page() -> String {
    let mut page = include_str!("page.md").to_owned();
    for group in Group::ALL {
        let attempts = group.attempts();
        page.push_str(&format!("\n## {group}\n\n{} attempts.\n\n", attempts.len()));
        for Attempt { name, technique, known, disturbs, .. } in attempts {
            let mut note = match known {
                None => String::new(),
                Some(Known::Loss(id)) => format!(" *Gets out where `{id}` is lost.*"),
                Some(Known::Left(_)) => " *Left in every tier.*".into(),
            };
            match disturbs {
                None => {}
                Some(Disturbs::Always(why)) => {
                    note.push_str(&format!(" *Not part of `chaperone self-test`: {why}.*"));
                }
                Some(Disturbs::LoadsModule(name)) => note.push_str(&format!(
                    " *Part of `chaperone self-test` where the kernel has {name} already.*"
                )),
            }
            page.push_str(&format!("- `{name}`: {technique}{note}\n"));
        }
    }
    page
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It got out.
    Out,
    /// It did not, for this reason.
    Held(String),
}
