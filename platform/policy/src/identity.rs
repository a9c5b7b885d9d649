//! What a command is: every reading of one started program that a rule could mean.
//!
//! Restrictions match any reading; an allow matches only what is proven by the program file or the
//! script, since `argv[0]` is whatever the caller wrote there.

use crate::Command;
use crate::tools::{self, Opt, Runs, Sure};
use std::path::{Component, Path};

/// One reading of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The program's name and its arguments, options before the subcommand left out where the
    /// reading is such.
    pub tokens: Vec<String>,
    /// The program's or script's whole path, where it is known and absolute.
    pub path: Option<String>,
    /// The executable or the script itself says so.
    pub proven: bool,
}

/// More readings than any honest command has; the rest of a crafted one is judged on these.
const MOST: usize = 48;
const DEEPEST: usize = 4;

/// Whether a variable of this name can change what a command means, and so belongs in
/// [`Command::environment`].
pub fn changes_meaning(name: &str) -> bool {
    ["GIT_", "LD_", "DYLD_", "BASH_FUNC_", "PERL5", "npm_config_", "NPM_CONFIG_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "BASH_ENV"
                | "BASHOPTS"
                | "CLASSPATH"
                | "EDITOR"
                | "ENV"
                | "GH_HOST"
                | "GH_REPO"
                | "JAVA_TOOL_OPTIONS"
                | "JDK_JAVA_OPTIONS"
                | "LESSOPEN"
                | "MAKEFLAGS"
                | "NODE_OPTIONS"
                | "NODE_PATH"
                | "PAGER"
                | "PROMPT_COMMAND"
                | "PYTHONHOME"
                | "PYTHONPATH"
                | "PYTHONSTARTUP"
                | "PYTHONUSERBASE"
                | "RUBYLIB"
                | "RUBYOPT"
                | "RUSTC"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "RUSTC_WRAPPER"
                | "SHELLOPTS"
                | "SSH_ASKPASS"
                | "VISUAL"
                | "_JAVA_OPTIONS"
        )
}

/// Every reading of the command, the proven ones first.
pub fn identities(command: &Command) -> Vec<Identity> {
    let Command { executable, exec_name, argv, environment, cwd: _ } = command;
    let mut out = Readings::default();
    let untouched = !environment.iter().any(|(name, value)| brings_code(name, value));
    let arguments = argv.get(1..).unwrap_or_default();
    let own = base_name(executable);
    out.add(&own, absolute(executable), arguments, untouched, 0);

    // A script: the kernel puts its path behind the interpreter's, execve(2).
    let script = exec_name.to_string_lossy();
    let at = arguments.iter().position(|argument| *argument == script);
    if exec_name != executable {
        let name = base_name(exec_name);
        match at {
            Some(at) => {
                let rest = arguments.get(at + 1..).unwrap_or_default();
                out.add(&name, absolute(exec_name), rest, untouched, 0);
            }
            // `/usr/bin/awk` is a link to `mawk` that only the system could have made.
            None => {
                let proven = untouched && is_system(exec_name);
                out.add(&name, absolute(exec_name), arguments, proven, 0);
            }
        }
    }
    if let Some(first) = argv.first() {
        let name = base_name(Path::new(first.trim_start_matches('-')));
        if name != own {
            out.add(&name, None, arguments, false, 0);
        }
    }
    if out.readings.iter().any(|identity| identity.tokens.first().is_some_and(|t| t == "git")) {
        out.add_git_aliases(command);
    }
    let mut readings = out.readings;
    readings.sort_by_key(|identity| !identity.proven);
    readings
}

/// Whether a variable may have code run before the program itself: ld.so(8), bash(1), perlrun(1),
/// ruby(1), node(1). Options count as they do where they are written out.
fn brings_code(name: &str, value: &str) -> bool {
    let interpreter = match name {
        "LD_PRELOAD"
        | "LD_AUDIT"
        | "LD_LIBRARY_PATH"
        | "DYLD_INSERT_LIBRARIES"
        | "BASH_ENV"
        | "PERL5OPT" => return !value.is_empty(),
        "RUBYOPT" => "ruby",
        "NODE_OPTIONS" => "node",
        _ => return false,
    };
    let options: Vec<_> = value.split_whitespace().map(str::to_owned).collect();
    let alone = Runs::Script { at: options.len(), sure: Sure::Alone };
    let script = [options, vec!["script".to_owned()]].concat();
    tools::interpreter(interpreter).is_none_or(|interpreter| interpreter.runs(&script) != alone)
}

/// The reading that says best what the command does: `npm publish` for `node /usr/bin/npm publish`.
pub fn subject(command: &Command) -> Vec<String> {
    let Command { executable: _, exec_name: _, argv, environment: _, cwd: _ } = command;
    let readings = identities(command);
    let proven: Vec<&Identity> = readings.iter().filter(|identity| identity.proven).collect();
    let name_of = |identity: &&&Identity| {
        let name = identity.tokens.first().map_or("", String::as_str);
        tools::interpreter(name).is_none() && name != "env" && !tools::is_multi_call(name)
    };
    let last = proven.iter().rev().find(name_of).or_else(|| proven.first());
    last.map_or_else(|| argv.clone(), |identity| identity.tokens.clone())
}

/// The interpreter that is given a program text (`python3 -c`), of which no rule knows what it does;
/// what a shell is given is read elsewhere.
pub fn given_text(command: &Command) -> Option<String> {
    let given = identities(command).into_iter().filter_map(|identity| {
        let (name, arguments) = identity.tokens.split_first()?;
        let interpreter = tools::interpreter(name)?;
        interpreter.may_be_given_text(arguments).then(|| name.clone())
    });
    given.max_by_key(String::len)
}

/// Whether `after` is nothing but the next step of `before` in the same process: the program that
/// `env` was told to start, as at the top of a script. One wish, so it is asked about once.
pub fn continues(before: &Command, after: &Command) -> bool {
    let Command { executable, exec_name: _, argv, environment, cwd } = before;
    base_name(executable) == "env"
        && env_command(argv.get(1..).unwrap_or_default()).as_ref() == Some(&after.argv)
        && *environment == after.environment
        && *cwd == after.cwd
        && subject(before) == subject(after)
}

/// Whether `after` is what git itself starts to carry out the `git push` that `before` is: over HTTP
/// it is `git send-pack`, which speaks to the helper above it alone (gitremote-helpers(7)).
pub fn carries_out(before: &Command, after: &Command) -> bool {
    let is_git = |command: &Command, name: &str| {
        let tokens = subject(command);
        let proven = |own: &Identity| own.proven && own.tokens == tokens;
        matches!(tokens.as_slice(), [git, own, ..] if git == "git" && own == name)
            && identities(command).iter().any(proven)
    };
    is_git(before, "push")
        && is_git(after, "send-pack")
        && after.argv.iter().any(|argument| argument == "--stateless-rpc")
}

/// The command that `env` starts with these arguments (without its own name): env(1).
pub fn env_command(arguments: &[String]) -> Option<Vec<String>> {
    env_started(arguments, DEEPEST)
}

/// `env [-i] [-u NAME] [-S TEXT] [NAME=VALUE]… COMMAND`.
fn env_started(arguments: &[String], deepest: usize) -> Option<Vec<String>> {
    let mut at = 0;
    loop {
        let argument = arguments.get(at)?.as_str();
        let joined = argument
            .strip_prefix("--split-string=")
            .or_else(|| argument.strip_prefix("-S").filter(|text| !text.is_empty()));
        let (text, next) = match argument {
            "-S" | "--split-string" => (arguments.get(at + 1).map(String::as_str), at + 2),
            _ => (joined, at + 1),
        };
        if let Some(text) = text {
            let mut rest = words(text);
            rest.extend_from_slice(arguments.get(next..).unwrap_or_default());
            return env_started(&rest, deepest.checked_sub(1)?);
        }
        match argument {
            "-u" | "--unset" | "-C" | "--chdir" | "-a" | "--argv0" | "-P" => at += 2,
            _ if argument.starts_with('-') || argument.contains('=') => at += 1,
            _ => return arguments.get(at..).map(<[String]>::to_vec),
        }
    }
}

#[derive(Default)]
struct Readings {
    readings: Vec<Identity>,
}

impl Readings {
    fn push(&mut self, tokens: Vec<String>, path: Option<&str>, proven: bool) -> bool {
        if let Some(known) = self.readings.iter_mut().find(|known| known.tokens == tokens) {
            let news = proven && !known.proven;
            known.proven |= proven;
            if known.path.is_none() && proven {
                known.path = path.map(str::to_owned);
            }
            return news;
        }
        if self.readings.len() >= MOST {
            return false;
        }
        self.readings.push(Identity { tokens, path: path.map(str::to_owned), proven });
        true
    }

    /// Adds a program with its arguments, and whatever else that can be read as.
    fn add(
        &mut self,
        name: &str,
        path: Option<&str>,
        arguments: &[String],
        proven: bool,
        depth: usize,
    ) {
        let name = name.strip_suffix(".exe").unwrap_or(name);
        if name.is_empty() || depth > DEEPEST || !self.push(join(name, arguments), path, proven) {
            return;
        }
        let plain = tools::without_version(name);
        if plain != name && tools::is_versioned(plain) {
            self.push(join(plain, arguments), path, proven);
            if let Some(three) = name.split_once('.').map(|(three, _)| three) {
                self.push(join(three, arguments), path, proven);
            }
        }
        if let Some((stem, "js" | "cjs" | "mjs" | "py" | "rb" | "cmd" | "bat" | "ps1")) =
            name.rsplit_once('.')
        {
            self.add(tools::script_alias(stem), path, arguments, proven, depth + 1);
        }
        if let Some(dashed) = name.strip_prefix("git-") {
            // `git push` is also `/usr/lib/git-core/git-push`.
            let mut rest = vec![dashed.to_owned()];
            rest.extend_from_slice(arguments);
            self.add("git", path, &rest, proven, depth + 1);
        }
        if tools::is_multi_call(name) {
            if let Some((first, rest)) = arguments.split_first() {
                self.add(&base_name(Path::new(first)), None, rest, false, depth + 1);
            }
        } else if name == "env" {
            self.add_env(arguments, depth);
        } else if let Some(interpreter) = tools::interpreter(name) {
            self.add_script(&interpreter, arguments, proven, depth);
        }
        self.add_subcommands(name, path, arguments, proven);
    }

    fn add_script(
        &mut self,
        interpreter: &tools::Known,
        arguments: &[String],
        proven: bool,
        depth: usize,
    ) {
        let (at, sure) = match interpreter.runs(arguments) {
            Runs::Script { at, sure } | Runs::Module { at, sure } => (at, sure),
            Runs::Text | Runs::Nothing => return,
        };
        let proven = proven && sure == Sure::Alone;
        for at in if sure == Sure::Perhaps { at..at + 2 } else { at..at + 1 } {
            let Some(script) = arguments.get(at) else { return };
            let rest = arguments.get(at + 1..).unwrap_or_default();
            let path = Path::new(script);
            self.add(&base_name(path), absolute(path), rest, proven, depth + 1);
        }
    }

    /// What env starts is found in a `PATH` that it may set, so it proves nothing.
    fn add_env(&mut self, arguments: &[String], depth: usize) {
        let started = env_command(arguments);
        if let Some((program, rest)) = started.as_deref().and_then(<[String]>::split_first) {
            let path = Path::new(program);
            self.add(&base_name(path), absolute(path), rest, false, depth + 1);
        }
    }

    /// `git -C x push` is `git push`, and so is, for a restriction, whatever is left when every
    /// option is taken away.
    fn add_subcommands(
        &mut self,
        name: &str,
        path: Option<&str>,
        arguments: &[String],
        proven: bool,
    ) {
        let mut at = 0;
        let mut certain = true;
        // Where an option that nobody knows may have taken the token that looks like the subcommand.
        let mut alternatives = Vec::new();
        while let Some(argument) = arguments.get(at) {
            if name == "cargo" && argument.starts_with('+') {
                at += 1;
            } else if argument == "--" {
                at += 1;
                break;
            } else if argument.starts_with('-') && argument.len() > 1 {
                match tools::option(name, argument) {
                    Opt::Alone => at += 1,
                    Opt::Valued => at += 2,
                    Opt::Unknown => {
                        certain = false;
                        at += 1;
                        if arguments.get(at).is_some_and(|next| !next.starts_with('-')) {
                            alternatives.push(at + 1);
                        }
                    }
                }
            } else {
                break;
            }
        }
        let rest = arguments.get(at..).unwrap_or_default();
        if at > 0 {
            self.push(join(name, rest), path, proven && certain);
        }
        for at in alternatives {
            let rest = arguments.get(at..).unwrap_or_default();
            self.push(join(name, &bare(name, rest)), path, false);
        }
        self.push(join(name, &bare(name, rest)), path, false);
    }

    /// What the aliases that come with the command make of it.
    fn add_git_aliases(&mut self, command: &Command) {
        let aliases = git_aliases(command);
        if aliases.is_empty() {
            return;
        }
        let known: Vec<Vec<String>> = self.readings.iter().map(|r| r.tokens.clone()).collect();
        for tokens in known {
            let [git, used, rest @ ..] = tokens.as_slice() else { continue };
            if git != "git" {
                continue;
            }
            for (name, value) in &aliases {
                if !name.eq_ignore_ascii_case(used) {
                    continue;
                }
                let mut arguments = words(value.trim_start_matches('!'));
                arguments.extend_from_slice(rest);
                if value.starts_with('!') {
                    if let Some((program, rest)) = arguments.split_first() {
                        self.add(&base_name(Path::new(program)), None, rest, false, DEEPEST);
                    }
                } else {
                    self.add("git", None, &arguments, false, DEEPEST);
                }
            }
        }
    }
}

/// The git aliases that the command's own options and variables define: name and value.
/// git-config(1), "GIT_CONFIG_COUNT"; git(1), "-c".
pub(crate) fn git_aliases(command: &Command) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut add = |setting: &str, value: &str| {
        let is_alias = setting.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("alias."));
        if let Some(name) = setting.get(6..).filter(|_| is_alias) {
            out.push((name.to_owned(), value.trim().to_owned()));
        }
    };
    let split = |text: &str| {
        let (setting, value) = text.split_once('=').unwrap_or((text, ""));
        (setting.to_owned(), value.to_owned())
    };
    let mut previous = "";
    for argument in &command.argv {
        let given = match previous {
            "-c" | "--config-env" => Some(argument.as_str()),
            _ => argument.strip_prefix("--config-env="),
        };
        if let Some(given) = given {
            let (setting, value) = split(given);
            add(&setting, &value);
        }
        previous = argument;
    }
    let variable = |wanted: &str| {
        command.environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    for (name, setting) in &command.environment {
        if let Some(number) = name.strip_prefix("GIT_CONFIG_KEY_") {
            add(setting, variable(&format!("GIT_CONFIG_VALUE_{number}")).unwrap_or_default());
        }
        if name == "GIT_CONFIG_PARAMETERS" {
            // `'alias.x'='push'` or `'alias.x=push'`, shell-quoted.
            for word in words(setting) {
                let (setting, value) = split(&word);
                add(&setting, &value);
            }
        }
    }
    out
}

/// The arguments without any option, and without the values of those that are known to take one.
fn bare(name: &str, arguments: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        if argument.starts_with('-') && argument.len() > 1 {
            at += if matches!(tools::option(name, argument), Opt::Valued) { 2 } else { 1 };
        } else {
            out.push(argument.clone());
            at += 1;
        }
    }
    out
}

/// Splits at white space, with single and double quotes and backslashes as a shell has them.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

fn join(name: &str, arguments: &[String]) -> Vec<String> {
    let mut tokens = Vec::with_capacity(arguments.len() + 1);
    tokens.push(name.to_owned());
    tokens.extend_from_slice(arguments);
    tokens
}

fn base_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether the path lies where no agent can write.
fn is_system(path: &Path) -> bool {
    let roots = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec"];
    let plain = !path.components().any(|part| part == Component::ParentDir);
    plain && roots.iter().any(|root| path.starts_with(root))
}

fn absolute(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.starts_with('/'))
}

#[cfg(test)]
mod tests;
