//! Turns a plan into what the first process needs, before the fork: strings that end with NUL,
//! the order of mounts, the filter. Nothing here changes the system.

use super::filter::{self, Conditions, Guarding};
use super::landlock::{self, Rule};
use super::lookups;
use crate::carried::Carried;
use crate::enforce::{LaunchError, Stage};
use crate::plan::system::{SHARED_MEMORY, TEMPORARY};
use crate::plan::{Access, Limits, Network, Plan, Relay, Tier};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::net::{IpAddr, SocketAddrV4};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Everything that the session's first processes need, in the memory that they inherit.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) tier: Tier,
    pub(super) own_network: bool,
    /// One line each for `/proc/self/uid_map` and `gid_map`.
    pub(super) uid_map: Vec<u8>,
    pub(super) gid_map: Vec<u8>,
    pub(super) covers: Vec<Cover>,
    pub(super) kept: Vec<Kept>,
    /// The outermost paths that stay writable where all else is mounted read-only.
    pub(super) writable: Vec<Writable>,
    pub(super) mounts: Vec<Mount>,
    /// The text of the session's own `/etc/hosts`, if relays need names.
    pub(super) hosts: Option<Vec<u8>>,
    /// Where the relays and then the proxy listen inside, and after it what is carried arrives.
    pub(super) listeners: Vec<libc::sockaddr_in>,
    /// Where names are looked up inside, if they are.
    pub(super) resolver: Option<libc::sockaddr_in>,
    pub(super) rules: Vec<Rule>,
    pub(super) landlock_abi: u32,
    /// Landlock's refusals go to the kernel's audit records.
    pub(super) audited: bool,
    pub(super) filter: Vec<libc::sock_filter>,
    pub(super) workspace: CString,
    pub(super) limits: Limits,
    pub(super) program: Program,
}

/// A folder of the machine that the session does not see, and what it sees there instead.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) path: CString,
    /// This folder, or an empty one where there is none.
    pub(super) by: Option<CString>,
    /// The mode and size of an empty one, as options of tmpfs.
    pub(super) options: CString,
}

/// A granted path below a cover, brought back to its place.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: CString,
    /// The folders above it that are made on the way, outermost first.
    pub(super) above: Vec<CString>,
    pub(super) is_dir: bool,
    /// It stays writable.
    pub(super) writable: bool,
}

/// A path that stays writable.
#[derive(Debug)]
pub(super) struct Writable {
    pub(super) path: CString,
    /// It lies below a cover and is brought back as it is.
    pub(super) kept: bool,
}

/// One mount over a path of the machine, in an order in which each finds its place.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) path: CString,
    pub(super) how: How,
}

/// What a mount does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The path over itself, so that it can be neither renamed nor removed.
    Pin,
    /// The same, read-only.
    ReadOnly,
    /// Something empty and unreadable.
    Hide,
}

/// The command, ready for `execve`.
#[derive(Debug)]
pub(super) struct Program {
    /// Where the command may be, in the order of PATH.
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Pointers,
    /// The same for `/bin/sh`, where a script has no `#!` line: its second entry is set when
    /// the script is known.
    pub(super) shell_argv: Pointers,
    pub(super) environment: Pointers,
    /// What is said where the command cannot be started.
    pub(super) not_found: Vec<u8>,
    pub(super) not_executable: Vec<u8>,
}

/// Strings and the array of pointers to them that `execve` takes.
#[derive(Debug)]
pub(super) struct Pointers {
    _strings: Vec<CString>,
    pub(super) pointers: Vec<Cell<*const libc::c_char>>,
}

impl Pointers {
    fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|s| Cell::new(s.as_ptr())).collect();
        pointers.push(Cell::new(std::ptr::null()));
        Self { _strings: strings, pointers }
    }
}

/// Where the machine's run-time folders are, and in them the sockets of daemons.
const RUNTIME: &str = "/run";

/// Prepares a plan and a command.
pub(super) fn prepare(plan: &Plan, command: &[OsString]) -> Result<Prepared, LaunchError> {
    let full = plan.tier == Tier::Full;
    let relays = plan.network.relays();
    let own_network = plan.has_own_network();
    let proxy = plan.network.proxy();
    let carried = plan.network.carried();
    let listeners = relays.iter().map(|relay| relay.listen).chain(proxy).chain(carried);
    let landlock_abi = interface(plan)?;
    let covers = if full { covers(plan) } else { Vec::new() };
    let (uid_map, gid_map) = identity_maps();
    Ok(Prepared {
        tier: plan.tier,
        own_network,
        uid_map,
        gid_map,
        kept: kept(plan, &covers)?,
        writable: if full { writable(plan, &covers)? } else { Vec::new() },
        covers: covers
            .into_iter()
            .map(|(path, by)| {
                let options = match (path == Path::new(SHARED_MEMORY), plan.limits.memory) {
                    (true, Some(most)) => text(format!("mode=1777,size={most}"))?,
                    (true, None) => c"mode=1777".into(),
                    (false, _) => c"mode=0755".into(),
                };
                Ok(Cover { path: text(&path)?, by: by.map(|by| text(&by)).transpose()?, options })
            })
            .collect::<Result<_, LaunchError>>()?,
        mounts: if full { mounts(plan)? } else { Vec::new() },
        hosts: if own_network { hosts(relays) } else { None },
        listeners: if own_network { listeners.map(address).collect() } else { Vec::new() },
        resolver: proxy.filter(|_| own_network).map(|_| address(Carried::RESOLVER)),
        rules: rules(plan)?,
        landlock_abi,
        audited: plan.tells_refusals && landlock_abi >= landlock::AUDITS,
        filter: filter::build(Conditions {
            namespaces: full,
            own_network,
            direct_network: plan.network == Network::Direct,
            datagrams: lookups::has_to_stand_in(plan),
            truncation_confined: landlock_abi >= 3,
            signals_confined: full || landlock_abi >= 6,
            guarding: guarding(plan),
        }),
        workspace: text(&plan.workspace)?,
        limits: plan.limits.clone(),
        program: program(plan, command)?,
    })
}

/// The version of Landlock's interface to enforce with: the plan's, which the kernel must have.
fn interface(plan: &Plan) -> Result<u32, LaunchError> {
    if plan.landlock_abi > landlock::abi() {
        return Err(LaunchError::Capability { stage: Stage::Landlock, errno: libc::EOPNOTSUPP });
    }
    Ok(plan.landlock_abi)
}

/// The lines that map this process's user and group to themselves.
pub(super) fn identity_maps() -> (Vec<u8>, Vec<u8>) {
    // SAFETY: takes no argument and cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    (format!("{uid} {uid} 1").into_bytes(), format!("{gid} {gid} 1").into_bytes())
}

/// A path or argument as the kernel takes it.
fn text(value: impl AsRef<OsStr>) -> Result<CString, LaunchError> {
    let value = value.as_ref();
    CString::new(value.as_bytes())
        .map_err(|_| LaunchError::Invalid(format!("{value:?} holds a NUL byte")))
}

/// What is covered by what. A folder that the plan grants as such is left as it is.
fn covers(plan: &Plan) -> Vec<(PathBuf, Option<PathBuf>)> {
    let granted = |path: &str| plan.grants.iter().any(|grant| grant.path == Path::new(path));
    let real_folder =
        |path: &str| Path::new(path).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    TEMPORARY
        .iter()
        .map(|path| (*path, Some(plan.temp.clone())))
        .chain([(RUNTIME, None), (SHARED_MEMORY, None)])
        .filter(|(path, _)| real_folder(path) && (*path == SHARED_MEMORY || !granted(path)))
        .map(|(path, by)| (PathBuf::from(path), by))
        .collect()
}

/// The granted paths below covers, without those that come along with another.
fn kept(plan: &Plan, covers: &[(PathBuf, Option<PathBuf>)]) -> Result<Vec<Kept>, LaunchError> {
    let writable = writable_paths(plan);
    below_covers(plan, covers)
        .into_iter()
        .map(|(path, cover)| {
            let mut above: Vec<CString> = path
                .ancestors()
                .skip(1)
                .take_while(|ancestor| *ancestor != cover)
                .map(text)
                .collect::<Result<_, _>>()?;
            above.reverse();
            let writable = writable.contains(&path);
            Ok(Kept { path: text(path)?, above, is_dir: path.is_dir(), writable })
        })
        .collect()
}

fn below_covers<'a>(
    plan: &'a Plan,
    covers: &'a [(PathBuf, Option<PathBuf>)],
) -> Vec<(&'a Path, &'a Path)> {
    let mut below: Vec<(&Path, &Path)> = plan
        .grants
        .iter()
        .map(|grant| grant.path.as_path())
        .chain([plan.temp.as_path(), plan.workspace.as_path()])
        .filter_map(|path| {
            let (cover, _) =
                covers.iter().find(|(cover, _)| path.starts_with(cover) && path != cover)?;
            Some((path, cover.as_path()))
        })
        .filter(|(path, _)| path.exists())
        .collect();
    below.sort();
    below.dedup_by(|later, earlier| later.0.starts_with(earlier.0));
    below
}

/// The outermost writable paths, the temporary folder under its own name among them.
pub(super) fn writable_paths(plan: &Plan) -> Vec<&Path> {
    let mut paths: Vec<&Path> = plan
        .grants
        .iter()
        .filter(|grant| grant.access == Access::Write)
        .map(|grant| grant.path.as_path())
        .chain([plan.temp.as_path()])
        .filter(|path| *path != Path::new(SHARED_MEMORY) && path.exists())
        .collect();
    paths.sort();
    paths.dedup_by(|later, earlier| later.starts_with(earlier));
    paths
}

fn writable(
    plan: &Plan,
    covers: &[(PathBuf, Option<PathBuf>)],
) -> Result<Vec<Writable>, LaunchError> {
    let kept = below_covers(plan, covers);
    writable_paths(plan)
        .into_iter()
        .map(|path| {
            let kept = kept.iter().any(|(kept, _)| *kept == path);
            Ok(Writable { path: text(path)?, kept })
        })
        .collect()
}

/// The plan's hidden and protected paths. Every folder between a writable grant and a protected
/// path is pinned, because a read-only mount alone falls to renaming a folder above it. A hidden
/// path needs no such: its mount moves along.
fn mounts(plan: &Plan) -> Result<Vec<Mount>, LaunchError> {
    let mut ordered: BTreeMap<&Path, How> = BTreeMap::new();
    for path in &plan.read_only {
        let grant = plan
            .grants
            .iter()
            .filter(|grant| grant.access == Access::Write && path.starts_with(&grant.path))
            .min_by_key(|grant| grant.path.as_os_str().len());
        let Some(grant) = grant else { continue };
        ordered.insert(path, How::ReadOnly);
        for above in path.ancestors().skip(1).take_while(|above| *above != grant.path) {
            ordered.entry(above).or_insert(How::Pin);
        }
    }
    for path in &plan.hidden {
        ordered.insert(path, How::Hide);
    }
    // What lies below a hidden path is out of reach already, and below a protected one only
    // hiding adds something. Paths sort before what is below them.
    let mut chosen: Vec<(&Path, How)> = Vec::new();
    for (path, how) in ordered {
        let settled = chosen.iter().any(|(above, done)| {
            path.starts_with(above)
                && match done {
                    How::Hide => true,
                    How::ReadOnly => matches!(how, How::Pin | How::ReadOnly),
                    How::Pin => false,
                }
        });
        if !settled {
            chosen.push((path, how));
        }
    }
    chosen.into_iter().map(|(path, how)| Ok(Mount { path: text(path)?, how })).collect()
}

fn address(listen: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: listen.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*listen.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// A hosts file in which the relays' names lead to them, if one of them has a name.
fn hosts(relays: &[Relay]) -> Option<Vec<u8>> {
    let named: Vec<&Relay> = relays
        .iter()
        .filter(|relay| relay.host.parse::<IpAddr>().is_err() && relay.host != "localhost")
        .collect();
    if named.is_empty() {
        return None;
    }
    let mut lines = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for relay in named {
        lines += &format!("{} {}\n", relay.listen.ip(), relay.host);
    }
    Some(lines.into_bytes())
}

fn guarding(plan: &Plan) -> Guarding {
    match plan.tier {
        _ if plan.guarded.is_empty() && plan.guarded_but.is_empty() => Guarding::Nothing,
        Tier::Full => Guarding::Names,
        Tier::Reduced | Tier::None => Guarding::Changes,
    }
}

/// The plan's grants, and the private temporary folder under each of its names.
fn rules(plan: &Plan) -> Result<Vec<Rule>, LaunchError> {
    let temp = Rule { path: text(&plan.temp)?, access: Access::Write };
    plan.grants
        .iter()
        .map(|grant| Ok(Rule { path: text(&grant.path)?, access: grant.access }))
        .chain([Ok(temp)])
        .collect()
}

fn program(plan: &Plan, command: &[OsString]) -> Result<Program, LaunchError> {
    let name = command
        .first()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| LaunchError::Invalid("no command was given".into()))?;
    let argv: Vec<CString> = command.iter().map(text).collect::<Result<_, _>>()?;
    let mut shell: Vec<CString> = vec![c"/bin/sh".into(), c"".into()];
    shell.extend(argv.iter().skip(1).cloned());
    let environment = plan
        .environment
        .iter()
        .map(|(name, value)| text(format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    let shown = name.to_string_lossy();
    Ok(Program {
        candidates: candidates(plan, name)?,
        argv: Pointers::new(argv),
        shell_argv: Pointers::new(shell),
        environment: Pointers::new(environment),
        not_found: format!("chaperone: {shown}: command not found\n").into_bytes(),
        not_executable: format!("chaperone: {shown}: cannot be executed here\n").into_bytes(),
    })
}

/// Where a command may be: itself if it holds a slash, else in the folders of the agent's PATH
/// (an empty entry there means the working directory, as in a shell).
fn candidates(plan: &Plan, name: &OsStr) -> Result<Vec<CString>, LaunchError> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![text(name)?]);
    }
    let path = plan.environment.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    path.split(':')
        .map(|folder| if folder.is_empty() { "." } else { folder })
        .map(|folder| text(Path::new(folder).join(name)))
        .collect()
}

/// What an error of the first process was about, in words.
pub(super) fn explain(plan: &Prepared, stage: Stage, item: i32) -> Option<String> {
    let at = usize::try_from(item).ok()?;
    let path = match stage {
        Stage::Mounts => plan.covers.get(at).map(|cover| &cover.path),
        Stage::Paths => {
            let kept = plan.kept.iter().map(|kept| &kept.path);
            let writable = plan.writable.iter().map(|writable| &writable.path);
            kept.chain(writable).chain(plan.mounts.iter().map(|mount| &mount.path)).nth(at)
        }
        Stage::Landlock => plan.rules.get(at).map(|rule| &rule.path),
        Stage::Process => Some(&plan.workspace),
        Stage::Relays => {
            let listener = plan.listeners.get(at)?;
            let ip = std::net::Ipv4Addr::from(u32::from_be(listener.sin_addr.s_addr));
            return Some(format!("{ip}:{}", u16::from_be(listener.sin_port)));
        }
        _ => None,
    }?;
    Some(path.to_string_lossy().into_owned())
}
