//! From a policy, a machine and a disk to a plan. Pure: every fact comes in.

use super::files::Files;
use super::known::Known;
use super::walk::Patterns;
use super::{
    Access, Disk, Kind, Limits, Loss, Outside, PROTECTED, Plan, Reach, Refusal, Tier, environment,
    git, network, system,
};
use crate::Machine;
use chaperone_policy::{Glob, LimitsPolicy, MinimumTier, PathPattern, Policy, Sourced};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an agent's file adds to a session: where its program and its redirected state lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentAccess {
    /// Read and executed: the agent's own program.
    pub read: Vec<PathBuf>,
    /// Written: the agent's state, as Chaperone keeps it for the sessions of this agent.
    pub write: Vec<PathBuf>,
    /// Within what is written, neither changed nor created: settings, hooks, skills.
    pub read_only: Vec<PathBuf>,
    /// Set in the session's environment, over what the user's holds.
    pub environment: BTreeMap<String, String>,
}

/// Everything that a plan is computed from. Paths are absolute.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is in force.
    pub policy: &'a Policy,
    /// What this machine gives.
    pub machine: &'a Machine,
    /// The session's id; the agent finds it in `CHAPERONE_SESSION`.
    pub session: &'a str,
    /// The user's home.
    pub home: &'a Path,
    /// The folder that the session works in.
    pub workspace: &'a Path,
    /// A private folder that exists: the session's `/tmp`.
    pub temp: &'a Path,
    /// A folder that exists, kept from session to session: the caches of the agent's tools.
    pub cache: &'a Path,
    /// The supervisor's own folders. The session's own temp, cache and agent state may lie in
    /// them; nothing else in them is reachable.
    pub control: &'a [PathBuf],
    /// What the agent's file adds.
    pub agent: &'a AgentAccess,
    /// Where the supervisor would listen for a session that has no network of its own to hold its
    /// proxy.
    pub outside: Option<Outside>,
    /// The supervisor's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The file system.
    pub disk: &'a dyn Disk,
}

/// Computes what one session may do on this machine.
///
/// # Errors
/// A [`Refusal`] says why the session does not start, and what to do.
pub fn plan(input: PlanInput<'_>) -> Result<Plan, Refusal> {
    let disk = Known::new(input.disk);
    let input = PlanInput { disk: &disk, ..input };
    let PlanInput { policy, machine, home, disk, temp, .. } = input;
    let tier = tier(policy, machine)?;
    let workspace = workspace(&input)?;
    let (network, mut losses) = network::network(policy, tier, input.outside)?;
    let mut environment = environment::environment(&input, tier, network.proxy());

    let config_home = input
        .environment
        .get("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home.join(".config"));
    let git = git::look(&workspace, home, &config_home, disk);

    let mut files = Files::new(disk, home);
    grant_machine(&mut files, &input, tier, &environment);
    let own: Vec<PathBuf> = [&*workspace, temp, input.cache]
        .into_iter()
        .map(Path::to_path_buf)
        .chain(input.agent.write.iter().cloned())
        .collect();
    for path in &own {
        files.grant(path, Access::Write);
    }
    for path in input.agent.read.iter().chain(&git.read) {
        files.grant(path, Access::Read);
    }
    for path in &git.write {
        files.grant(path, Access::Write);
    }
    let filesystem = policy.filesystem();
    let mut lifted = Vec::new();
    for (named, access) in [(&filesystem.read, Access::Read), (&filesystem.write, Access::Write)] {
        for path in existing(named, &own, disk)? {
            files.grant_named(&path, access);
            if access == Access::Write {
                lifted.push(path);
            }
        }
    }
    for path in existing(&filesystem.sockets, &own, disk)? {
        files.grant_socket(&path);
    }
    let lifting = globs(&filesystem.write);
    let lifting: Vec<Glob> = lifting.map(|own| own.value.glob()).collect::<Result<_, _>>()?;
    files.settle();

    let needed = [(workspace.as_path(), "its workspace"), (temp, "its temporary folder")];
    let state = input.agent.write.iter().map(|path| (&**path, "its agent's state"));
    for (path, what) in needed.into_iter().chain(state) {
        refuse_denied(&filesystem.deny, path, what, disk)?;
    }
    files.deny(&filesystem.deny)?;

    for secret in secrets(disk) {
        files.hide(&secret);
    }
    for folder in input.control {
        files.hide_all_but(folder, &own);
    }

    for path in git.protect.iter().chain(&input.agent.read_only) {
        files.protect(path);
    }
    let roots = match git::roots(&workspace, disk) {
        roots if roots.is_empty() || roots[0] == workspace => vec![workspace.clone()],
        roots => [vec![workspace.clone()], roots].concat(),
    };
    for root in &roots {
        for path in PROTECTED.iter().flat_map(|group| group.paths).map(|path| root.join(path)) {
            // Who names a protected path as writable, in so many words, has chosen.
            let named = |glob: &Glob| match (path.parent(), path.file_name()) {
                (Some(folder), Some(name)) => glob.names(folder, name),
                _ => false,
            };
            if !lifted.contains(&path) && !lifting.iter().any(named) {
                files.protect(&path);
            }
        }
    }
    for Sourced { value, .. } in &filesystem.deny_write {
        match value.as_literal() {
            Some(path) => files.protect(path),
            None => files.guard_pattern(value.as_str(), Vec::new()),
        }
    }
    files.finish();

    if tier == Tier::Full && files.hidden.iter().any(|path| path.starts_with(&workspace)) {
        environment::compare_less(&mut environment);
    }

    let shared = Path::new(system::TEMPORARY[0]);
    if tier == Tier::Full
        && disk.kind(shared) == Some(Kind::Folder)
        && !files.grants.iter().any(|grant| grant.path == shared)
    {
        environment::call_temporary(&mut environment, shared);
    }

    losses.extend(machine.losses());
    losses.extend(git.losses);
    if tier == Tier::Reduced {
        files.without_namespaces();
    }
    // What is said of these very paths replaces what the machine says in general.
    losses.retain(|loss| files.losses.iter().all(|own| own.id != loss.id));
    losses.append(&mut files.losses);
    let mut plan = Plan {
        tier,
        landlock_abi: machine.landlock_abi,
        workspace,
        grants: files.grants,
        hidden: files.hidden,
        read_only: files.read_only,
        guarded: files.guarded,
        guarded_but: files.guarded_but,
        denied: files.denied,
        shown: files.shown,
        repositories: Vec::new(),
        temp: temp.to_owned(),
        sockets: files.sockets,
        network,
        environment,
        limits: limits(policy),
        losses,
        tells_refusals: false,
    };
    let is_free = |folder: &PathBuf| plan.reach(&folder.join(".git/config")) == Reach::Write;
    let mut free: Vec<_> = files.repositories.into_iter().filter(is_free).collect();
    free.sort();
    plan.repositories = free;
    Ok(plan)
}

fn limits(policy: &Policy) -> Limits {
    let LimitsPolicy { memory, processes, open_files, cpu_time, wall_time } = policy.limits();
    Limits {
        memory: memory.as_ref().map(|limit| limit.value),
        processes: processes.as_ref().map(|limit| limit.value),
        open_files: open_files.as_ref().map(|limit| limit.value),
        cpu_time: cpu_time.as_ref().map(|limit| limit.value),
        wall_time: wall_time.as_ref().map(|limit| limit.value),
    }
}

/// The tier to enforce with: the machine's, if it is enough.
fn tier(policy: &Policy, machine: &Machine) -> Result<Tier, Refusal> {
    let found = machine.tier();
    let demanded = policy.minimum_tier_sourced();
    let needed = match demanded.value {
        MinimumTier::Reduced => Tier::Reduced,
        MinimumTier::Full => Tier::Full,
    };
    if found == Tier::None {
        return Err(Refusal::NoSandbox { losses: missing(machine) });
    }
    if found < needed {
        let (origin, losses) = (demanded.origin.clone(), missing(machine));
        return Err(Refusal::TierTooLow { needed, found, origin, losses });
    }
    Ok(found)
}

/// What the machine lacks, each with how to get it.
fn missing(machine: &Machine) -> Vec<Loss> {
    let lacking = machine.capabilities().into_iter().filter(|it| !it.status.usable());
    lacking
        .map(|it| Loss {
            id: it.id.to_owned(),
            detail: format!("{}: {}", it.id, it.detail),
            fix: it.fix,
        })
        .collect()
}

/// The workspace without links, if it may be one.
fn workspace(input: &PlanInput<'_>) -> Result<PathBuf, Refusal> {
    let path = input.workspace.to_owned();
    let disk = input.disk;
    let Some(real) = disk.canonical(&path) else { return Err(Refusal::NoWorkspace { path }) };
    if disk.kind(&real) != Some(Kind::Folder) {
        return Err(Refusal::NoWorkspace { path });
    }
    let holds = |held: &Path| held.starts_with(&real);
    let too_wide = |holds| Err(Refusal::WorkspaceTooWide { path: real.clone(), holds });
    if real == Path::new("/") {
        return too_wide("the whole machine");
    }
    if holds(input.home) {
        return too_wide("your home folder");
    }
    let system = ["/usr", "/etc", "/proc", "/sys", "/dev", "/boot", "/run", "/var", "/opt", "/nix"];
    if system.into_iter().any(|folder| holds(Path::new(folder))) {
        return too_wide("the system's own files");
    }
    for own in input.control.iter().filter_map(|own| disk.canonical(own)) {
        if holds(&own) || real.starts_with(&own) {
            return Err(Refusal::WorkspaceHoldsChaperone { path: real, own });
        }
    }
    Ok(real)
}

/// What every session reads: the system, its devices, and the user's toolchains.
fn grant_machine(
    files: &mut Files<'_>,
    input: &PlanInput<'_>,
    tier: Tier,
    environment: &BTreeMap<String, String>,
) {
    let PlanInput { home, disk, .. } = *input;
    for path in system::SYSTEM {
        files.grant_system(Path::new(path));
    }
    // Often a link into /run, where a daemon replaces the file: the folder stays the same.
    if let Some(file) = disk.canonical(Path::new("/etc/resolv.conf"))
        && let Some(folder) = file.parent()
    {
        let of_a_daemon = folder.starts_with("/run") && folder.components().count() > 2;
        files.grant(if of_a_daemon { folder } else { &file }, Access::Read);
    }
    for path in system::DEVICES {
        files.grant(Path::new(path), Access::Device);
    }
    if tier == Tier::Full {
        files.grant(Path::new(system::TERMINALS), Access::Device);
        files.grant(Path::new(system::SHARED_MEMORY), Access::Write);
    }
    for path in system::TOOLCHAINS {
        files.grant(&home.join(path), Access::Read);
    }
    for (variable, parts) in system::MOVED_TOOLCHAINS {
        let Some(folder) = environment.get(*variable).map(Path::new) else { continue };
        if folder.is_absolute() && parts.is_empty() {
            files.grant(folder, Access::Read);
        } else if folder.is_absolute() {
            parts.iter().for_each(|part| files.grant(&folder.join(part), Access::Read));
        }
    }
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    for folder in path.split(':').map(Path::new).filter(|folder| folder.is_absolute()) {
        files.grant(folder, Access::Read);
    }
}

/// Secrets of the system that this user could read.
fn secrets(disk: &dyn Disk) -> Vec<PathBuf> {
    let keys = disk.children(Path::new(system::SSH_HOST_KEYS)).unwrap_or_default();
    let keys = keys.into_iter().filter(|entry| {
        let name = entry.name.to_string_lossy();
        name.starts_with("ssh_host_") && name.ends_with("_key")
    });
    let keys = keys.map(|entry| Path::new(system::SSH_HOST_KEYS).join(entry.name));
    let fixed = system::SECRETS.iter().map(PathBuf::from);
    fixed.chain(keys).filter(|path| disk.kind(path).is_some() && disk.readable(path)).collect()
}

/// The globs of a list.
fn globs(list: &[Sourced<PathPattern>]) -> impl Iterator<Item = &Sourced<PathPattern>> {
    list.iter().filter(|own| own.value.as_literal().is_none())
}

/// The paths that a list of grants names; of a glob, those that exist. What a glob names in a
/// folder that is the session's `own` is granted with it, and is not searched for.
fn existing(
    list: &[Sourced<PathPattern>],
    own: &[PathBuf],
    disk: &dyn Disk,
) -> Result<Vec<PathBuf>, Refusal> {
    let mut paths: Vec<PathBuf> =
        list.iter().filter_map(|own| own.value.as_literal().map(Path::to_path_buf)).collect();
    let elsewhere: Vec<_> = globs(list)
        .filter(|named| !own.iter().any(|own| named.value.root().starts_with(own)))
        .collect();
    let patterns = Patterns::new(&elsewhere)?;
    let found = patterns.existing(&[PathBuf::from("/")], disk)?;
    // A folder that cannot be listed is no match of a grant.
    paths.extend(found.into_iter().filter(|path| patterns.cover(path)));
    Ok(paths)
}

/// Whether a denial covers a path without links, also where it names it by a link.
pub(super) fn denies(denial: &PathPattern, path: &Path, disk: &dyn Disk) -> bool {
    let by_link = || {
        let literal = denial.as_literal()?;
        let beneath = path.strip_prefix(disk.canonical(literal)?).ok()?;
        Some(denial.covers(&literal.join(beneath)))
    };
    denial.covers(path) || by_link().unwrap_or(false)
}

/// The session cannot do without `path`: if the policy denies it, nothing starts.
fn refuse_denied(
    deny: &[Sourced<PathPattern>],
    path: &Path,
    what: &'static str,
    disk: &dyn Disk,
) -> Result<(), Refusal> {
    for Sourced { value, origin } in deny {
        if denies(value, path, disk) {
            return Err(Refusal::Denied {
                path: path.to_owned(),
                what,
                pattern: value.to_string(),
                origin: origin.clone(),
            });
        }
    }
    Ok(())
}
