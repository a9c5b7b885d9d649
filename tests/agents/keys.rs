//! Real agents with a key that they never hold: the model sees it, and what the agent can see does
//! not have it, neither in the memory of its processes, nor in their environment, nor in a file.

use super::agent::Agent;
use super::internet::Internet;
use super::model::Model;
use super::place::{Place, text};
use super::{Running, WRITE, results};
use anyhow::{Context, Result, ensure};
use chaperone_tests::eventually;
use chaperone_tests::keychain::Keychain;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

/// Nobody else has it, and no part of it stands anywhere by chance.
const REAL: &str = "sk-real-Vq8ZtW3nYb6KxJr5LdMh1GcP";
const PAGE: usize = 4096;
/// What is read at a time.
const PIECE: usize = 1 << 20;
const WAIT: &str = "touch ready; while ! [ -e go ]; do sleep 0.1; done";

/// An agent whose model is a host of the net, and what binds a key to that host.
struct Case {
    host: &'static str,
    /// Where the key stands in requests.
    place: &'static str,
    variable: &'static str,
    /// What the model is to see.
    seen: &'static str,
}

fn finds_no_key(case: &Case, agent: impl FnOnce(&Model) -> Result<Agent>) -> Result<()> {
    let place = Place::new()?;
    let keychain = Keychain::start(|program| place.command(program))?;
    keychain.keep(place.chaperone(&["secret", "set", "model"])?, REAL)?;
    let model = Arc::new(Model::that_runs(&[WRITE, WAIT])?);
    let mut agent = agent(&model)?;
    agent.forget(case.variable);
    agent.forget("ANTHROPIC_BASE_URL");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let internet = Internet::answering({
        let (seen, model) = (Arc::clone(&seen), Arc::clone(&model));
        move |request| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.key.clone());
            model.answer(request)
        }
    })?;
    fs::write(place.home().join("acme.pem"), internet.authority())?;
    let config = place.home().join(".config/chaperone");
    fs::create_dir_all(&config)?;
    let Case { host, place: stands, variable, seen: expected } = case;
    fs::write(
        config.join("config.toml"),
        format!(
            "[network]\nupstream = {:?}\nca = [\"~/acme.pem\"]\nallow = [{host:?}]\n\
             [[credentials.inject]]\nsecret = \"model\"\nhost = {host:?}\n{stands}\n\
             env = {variable:?}\n",
            internet.proxy()
        ),
    )?;
    let mut inside = keychain.with(agent.inside(&place)?);
    let output = place.home().join("output");
    let out = File::create(&output)?;
    inside.stdout(out.try_clone()?).stderr(Stdio::from(out));
    let mut session = Running(inside.spawn()?);
    let said = || fs::read_to_string(&output).unwrap_or_default();
    let ready = eventually("the agent", || place.work().join("ready").exists().then_some(()));
    ready.with_context(|| format!("{}\n{}", said(), model.log()))?;

    let inner = descendants(session.0.id());
    let environments = inner.iter().filter_map(|pid| fs::read(format!("/proc/{pid}/environ")).ok());
    let environments: Vec<Vec<u8>> = environments.collect();
    let phantom = environments.iter().find_map(|environment| {
        let entries = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let value = |entry: String| Some(entry.strip_prefix(&format!("{variable}="))?.to_owned());
        entries.map(|entry| entry.into_owned()).find_map(value)
    });
    let phantom = phantom.context("the variable in the agent's environment")?;
    // The search finds what the agent does hold, in all three.
    fs::write(place.work().join("planted"), &phantom)?;
    let holds = |what: &str| -> Result<[usize; 3]> {
        let memory = inner.iter().map(|pid| in_memory(*pid, what)).sum::<Result<usize>>()?;
        let environment = environments.iter().filter(|own| contains(own, what)).count();
        Ok([memory, environment, in_files(&place.home(), what)?.len()])
    };
    let planted = holds(&phantom)?;
    ensure!(planted.iter().all(|count| *count > 0), "{planted:?} {}", said());
    assert_eq!(holds(REAL)?, [0, 0, 0], "{:?}", in_files(&place.home(), REAL)?);
    assert!(!inner.is_empty());

    fs::write(place.work().join("go"), "")?;
    let status = session.0.wait()?;
    ensure!(status.success(), "{status} {}", said());
    let [write, _] = results(&model, &said())?;
    assert!(write.text.contains("written"), "{write:?}");
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(seen.iter().any(|key| key == expected), "{seen:?}");
    assert!(seen.iter().all(|key| !key.contains(&phantom)), "{seen:?}");
    let history =
        place.chaperone(&["history", "list", "--json", "--kind", "credential"])?.output()?;
    assert!(text(&history.stdout).contains("credentials.inject model"));
    assert!(!text(&history.stdout).contains(REAL) && !said().contains(REAL));
    Ok(())
}

/// The processes of a session: all below its supervisor, which is no part of it.
fn descendants(supervisor: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut all = vec![supervisor];
    let mut at = 0;
    while let Some(own) = all.get(at).copied() {
        all.extend(parents.iter().filter(|(_, parent)| *parent == own).map(|(pid, _)| *pid));
        at += 1;
    }
    all.split_off(1)
}

/// What was read of a process, if that has not ended meanwhile.
fn unless_ended<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    let ended = [rustix::io::Errno::NOENT, rustix::io::Errno::SRCH].map(|own| own.raw_os_error());
    match read {
        Err(error) if error.raw_os_error().is_some_and(|own| ended.contains(&own)) => Ok(None),
        read => read.map(Some),
    }
}

/// How often a text stands in the memory of a process, in whatever of it can be read.
fn in_memory(pid: u32, what: &str) -> Result<usize> {
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let (Some(maps), Some(mut memory), Some(mut pages)) = (
        unless_ended(fs::read_to_string(of("maps")))?,
        unless_ended(File::open(of("mem")))?,
        unless_ended(File::open(of("pagemap")))?,
    ) else {
        return Ok(0);
    };
    let mut count = 0;
    let mut piece = vec![0; PIECE];
    let readable = |line: &&str| line.split(' ').nth(1).is_some_and(|own| own.starts_with('r'));
    for line in maps.lines().filter(readable) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.context("a range")?;
        let (mut at, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        while at < to {
            let most = usize::try_from(to - at)?.min(PIECE);
            // Agents reserve far more than they use.
            if !is_used(&mut pages, at, most) {
                at += most as u64;
                continue;
            }
            let read =
                memory.seek(SeekFrom::Start(at)).and_then(|_| memory.read(&mut piece[..most]));
            // What no page is behind cannot be read, by the process either.
            let Ok(read @ 1..) = read else { break };
            count += usize::from(contains(&piece[..read], what));
            // What lies across two pieces is seen in the next.
            at += match at + (read as u64) < to {
                true if read > PAGE => (read - PAGE) as u64,
                _ => read as u64,
            };
        }
    }
    Ok(count)
}

/// Whether something stands behind any of these pages, in memory or swapped out
/// (Documentation/admin-guide/mm/pagemap.rst of Linux).
fn is_used(pages: &mut File, at: u64, length: usize) -> bool {
    let mut entries = vec![0; length.div_ceil(PAGE) * 8];
    let from = SeekFrom::Start(at / PAGE as u64 * 8);
    if pages.seek(from).and_then(|_| pages.read_exact(&mut entries)).is_err() {
        return true;
    }
    entries.chunks(8).any(|entry| entry.last().is_some_and(|high| high & 0b1100_0000 != 0))
}

/// The files beneath a folder that hold a text.
fn in_files(folder: &Path, what: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (path, kind) =
            (entry.as_ref().map(|own| own.path()), entry.as_ref().map(|own| own.file_type()));
        let (Ok(path), Ok(kind)) = (path, kind) else { continue };
        let kind = kind?;
        if kind.is_dir() {
            found.extend(in_files(&path, what)?);
        } else if kind.is_file() && contains(&fs::read(&path).unwrap_or_default(), what) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Looks for the first byte by what the standard library is fast at also in a test's build.
fn contains(bytes: &[u8], what: &str) -> bool {
    let Some((first, others)) = what.as_bytes().split_first() else { return false };
    let mut rest = bytes;
    while rest.skip_until(*first).is_ok_and(|taken| taken > 0) {
        let at = bytes.len() - rest.len();
        if bytes[at - 1] == *first && rest.starts_with(others) {
            return true;
        }
    }
    false
}

#[test]
fn claude_code_works_with_a_key_that_it_never_holds() -> Result<()> {
    let case = Case {
        host: "api.anthropic.com",
        place: "header = \"x-api-key\"",
        variable: "ANTHROPIC_API_KEY",
        seen: REAL,
    };
    finds_no_key(&case, Agent::claude_code)
}

#[test]
fn codex_works_with_a_key_that_it_never_holds() -> Result<()> {
    let case = Case {
        host: "api.openai.com",
        place: "header = \"authorization\"\ntemplate = \"Bearer {}\"",
        variable: "OPENAI_API_KEY",
        seen: "Bearer sk-real-Vq8ZtW3nYb6KxJr5LdMh1GcP",
    };
    finds_no_key(&case, |_| Agent::codex_of("https://api.openai.com"))
}
