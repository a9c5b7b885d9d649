//! Hands an agent the briefing of its session, in the way that its file names.
//!
//! What the user tells the agent in the same way stays: the two are joined, the user's own first.

use super::command::arguments_at;
#[cfg(unix)]
use super::folder::Folder;
#[cfg(unix)]
use super::seed::SeedError;
use super::{AgentFile, Briefing, Listed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Holds the briefing where nothing is known of how the agent takes one.
pub const BRIEFING: &str = "CHAPERONE_BRIEFING";

/// How the briefing reaches the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Briefed {
    /// The command as it is to be started.
    pub command: Vec<OsString>,
    /// Set in the session's environment.
    pub environment: BTreeMap<String, String>,
    /// The file in the agent's state that is to hold the text.
    pub file: Option<PathBuf>,
}

/// Puts `text` where the agent reads it. `environment` is the session's, `state` the folder of the
/// agent's state, absolute.
pub fn brief(
    agent: Option<&AgentFile>,
    command: &[OsString],
    environment: &BTreeMap<String, String>,
    session: &str,
    state: &Path,
    text: &str,
) -> Briefed {
    let by_variable = || Briefed {
        command: command.to_vec(),
        environment: BTreeMap::from([(BRIEFING.to_owned(), text.to_owned())]),
        file: None,
    };
    match agent.and_then(|agent| agent.briefing.as_ref()) {
        None => by_variable(),
        Some(Briefing::Option { option }) => {
            let value = |own: Option<&str>| Some(joined(own, text));
            let command = with_option(command, std::slice::from_ref(option), value);
            Briefed { command, ..Briefed::default() }
        }
        Some(Briefing::Setting { options, key, file }) => {
            let value = |own: Option<&str>| {
                let own = match own {
                    Some(own) => Some(setting(own.strip_prefix(key.as_str())?.strip_prefix('=')?)),
                    None => in_file(&state.join(file), key),
                };
                Some(format!("{key}={}", quoted(&joined(own.as_deref(), text))))
            };
            Briefed { command: with_option(command, options, value), ..Briefed::default() }
        }
        Some(Briefing::File { path, beside: _, listed }) => {
            let path = PathBuf::from(path.replace("{session}", session));
            let at = state.join(&path);
            let own = |listed: &Listed| environment.get(&listed.variable).map(String::as_str);
            let environment = match listed {
                None => BTreeMap::new(),
                Some(listed) => match with_file(own(listed), &listed.key, &at) {
                    Some(value) => BTreeMap::from([(listed.variable.clone(), value)]),
                    // What the user has there is more than plain JSON, and stays as it is.
                    None => return by_variable(),
                },
            };
            Briefed { command: command.to_vec(), environment, file: Some(path) }
        }
    }
}

/// A briefing on the disk. Dropping it removes it.
#[cfg(unix)]
#[derive(Debug)]
pub struct Written {
    state: PathBuf,
    path: PathBuf,
}

/// Writes the text to [`Briefed::file`] in the agent's state, and removes what sessions have left
/// of which `is_over` is true by their ids.
///
/// # Errors
/// When the file cannot be written.
#[cfg(unix)]
pub fn write(
    state: &Path,
    path: &Path,
    text: &str,
    is_over: impl Fn(&str) -> bool,
) -> Result<Written, SeedError> {
    let written = || {
        let folder = folder(state, path)?;
        for (name, _) in folder.list()? {
            let session = name.to_str().and_then(|name| name.strip_suffix(".md"));
            if session.is_some_and(&is_over) {
                folder.remove(&name)?;
            }
        }
        folder.write(path.file_name().unwrap_or_default(), text.as_bytes(), false, None)
    };
    match written() {
        Ok(()) => Ok(Written { state: state.to_owned(), path: path.to_owned() }),
        Err(source) => Err(SeedError { path: state.join(path), source }),
    }
}

#[cfg(unix)]
fn folder(state: &Path, path: &Path) -> std::io::Result<Folder> {
    Folder::open(state)?.enter_all(path.parent().unwrap_or(Path::new("")))
}

#[cfg(unix)]
impl Drop for Written {
    fn drop(&mut self) {
        // What stays goes with a later session.
        if let (Ok(folder), Some(name)) = (folder(&self.state, &self.path), self.path.file_name()) {
            let _ = folder.remove(name);
        }
    }
}

fn joined(own: Option<&str>, text: &str) -> String {
    own.map_or_else(|| text.to_owned(), |own| format!("{own}\n\n{text}"))
}

/// The command with an option whose value `value` makes: of the one that is given last, which is
/// the one that counts and is replaced, or of none, and the option is put in. `None` is a value of
/// the user's that says something else.
fn with_option(
    command: &[OsString],
    options: &[String],
    value: impl Fn(Option<&str>) -> Option<String>,
) -> Vec<OsString> {
    let mut command = command.to_vec();
    let begin = arguments_at(&command);
    let words: Vec<&str> = command.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let given = (begin..end).rev().find_map(|at| {
        let (before, own) = options.iter().find_map(|option| attached(words[at], option))?;
        match own {
            Some(own) => Some((at, format!("{before}{}", value(Some(own))?))),
            None => {
                let own = words.get(at + 1).filter(|_| at + 1 < end)?;
                Some((at + 1, value(Some(own))?))
            }
        }
    });
    match (given, options.first(), value(None)) {
        (Some((at, value)), ..) => command[at] = value.into(),
        (None, Some(option), Some(value)) => {
            command.splice(begin..begin, [option.into(), value.into()]);
        }
        (None, ..) => {}
    }
    command
}

/// Whether a word is the option, and what stands before and as its value in the same word:
/// `--option=VALUE`, `-oVALUE`.
fn attached<'w>(word: &'w str, option: &str) -> Option<(&'w str, Option<&'w str>)> {
    let rest = word.strip_prefix(option)?;
    let is_long = option.starts_with("--");
    let value = match rest.strip_prefix('=') {
        _ if rest.is_empty() => return Some((word, None)),
        Some(value) => value,
        None if is_long => return None,
        None => rest,
    };
    Some((word.strip_suffix(value)?, Some(value)))
}

/// What a setting's value says: TOML, or the plain text where it is none.
fn setting(value: &str) -> String {
    let document: Option<toml::Table> = format!("value = {value}").parse().ok();
    let text = document.as_ref().and_then(|document| document.get("value")?.as_str());
    text.unwrap_or(value).to_owned()
}

fn in_file(path: &Path, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let document: toml::Table = text.contains(key).then(|| text.parse().ok())??;
    Some(document.get(key)?.as_str()?.to_owned())
}

/// A basic string of TOML, which JSON's are but for one character.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Settings in which a list names the file too. `None` where what there is cannot be added to.
fn with_file(own: Option<&str>, key: &str, file: &Path) -> Option<String> {
    let mut settings: Value = match own {
        Some(own) => serde_json::from_str(own).ok()?,
        None => Value::Object(serde_json::Map::new()),
    };
    let list = settings.as_object_mut()?.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut()?.push(file.to_str()?.into());
    Some(settings.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    fn words(command: &[&str]) -> Vec<OsString> {
        command.iter().map(OsString::from).collect()
    }

    fn briefed(agent: &str, command: &[&str]) -> Vec<String> {
        let agent = all().find(|known| known.name == agent);
        let nowhere = Path::new("/nowhere");
        let briefed = brief(agent, &words(command), &BTreeMap::new(), "s1", nowhere, "brief");
        briefed.command.iter().map(|word| word.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_option_is_put_behind_the_program_and_joined_with_the_users_own() {
        let own = "--append-system-prompt";
        assert_eq!(briefed("claude-code", &["claude", "-p"]), ["claude", own, "brief", "-p"]);
        assert_eq!(
            briefed("claude-code", &["claude", own, "first", own, "mine", "-p"]),
            ["claude", own, "first", own, "mine\n\nbrief", "-p"]
        );
        let equals = "--append-system-prompt=mine";
        assert_eq!(
            briefed("claude-code", &["claude", equals]),
            ["claude", "--append-system-prompt=mine\n\nbrief"]
        );
        // Another option, and what stands behind the end of the options.
        let other = ["claude", "--append-system-prompt-file", "f", "--", own, "x"];
        let expected = [&["claude", own, "brief"], &other[1..]].concat();
        assert_eq!(briefed("claude-code", &other), expected);
    }

    #[test]
    fn a_setting_is_joined_with_what_the_user_says_on_the_command_line_or_in_the_file() {
        let ours = "developer_instructions=\"brief\"";
        assert_eq!(briefed("codex", &["codex", "exec"]), ["codex", "-c", ours, "exec"]);
        let joined = |own: &str| {
            let command = briefed("codex", &["codex", "exec", "-c", "model=x", "--config", own]);
            assert_eq!(command[..5], ["codex", "exec", "-c", "model=x", "--config"]);
            command[5..].to_vec()
        };
        let both = "developer_instructions=\"mine\\n\\nbrief\"";
        assert_eq!(joined("developer_instructions=mine"), [both]);
        assert_eq!(joined("developer_instructions=\"mine\""), [both]);
        assert_eq!(joined("developer_instructions='''mine'''"), [both]);
        let attached = briefed("codex", &["codex", "-cdeveloper_instructions=mine"]);
        assert_eq!(attached, ["codex", &format!("-c{both}")]);

        let state = tempfile::tempdir().unwrap();
        let settings = "developer_instructions = \"mine\"\n[x]\ndeveloper_instructions = 1\n";
        std::fs::write(state.path().join("config.toml"), settings).unwrap();
        let codex = all().find(|known| known.name == "codex");
        let command = words(&["codex"]);
        let briefed = brief(codex, &command, &BTreeMap::new(), "s1", state.path(), "brief");
        assert_eq!(briefed.command, words(&["codex", "-c", both]));
    }

    #[test]
    fn a_file_is_named_to_the_agent_beside_those_of_the_user() {
        let opencode = all().find(|known| known.name == "opencode");
        let state = Path::new("/state");
        let told = |own: Option<&str>| {
            let own = own.map(|own| ("OPENCODE_CONFIG_CONTENT".to_owned(), own.to_owned()));
            let environment = own.into_iter().collect();
            brief(opencode, &words(&["opencode"]), &environment, "s1", state, "brief")
        };
        let Briefed { command, environment, file } = told(None);
        assert_eq!(command, words(&["opencode"]));
        assert_eq!(file.as_deref(), Some(Path::new("briefing/s1.md")));
        let name = "OPENCODE_CONFIG_CONTENT";
        assert_eq!(environment[name], r#"{"instructions":["/state/briefing/s1.md"]}"#);
        let own = r#"{"model":"x","instructions":["mine.md"]}"#;
        let both = r#"{"model":"x","instructions":["mine.md","/state/briefing/s1.md"]}"#;
        assert_eq!(told(Some(own)).environment[name], both);
        let commented = told(Some("{} // mine"));
        assert_eq!(commented.environment, BTreeMap::from([(BRIEFING.into(), "brief".into())]));
        assert_eq!(commented.file, None);
    }

    #[test]
    fn an_agent_of_which_nothing_is_known_finds_it_in_its_environment() {
        let told = brief(None, &words(&["sh"]), &BTreeMap::new(), "s1", Path::new("/"), "brief");
        let environment = BTreeMap::from([(BRIEFING.to_owned(), "brief".to_owned())]);
        assert_eq!(told, Briefed { command: words(&["sh"]), environment, file: None });
    }
}
