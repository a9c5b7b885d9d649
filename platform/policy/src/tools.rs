//! What is known of common programs: which options take a value, which programs run others.

/// A program whose subcommand may stand behind options of the program itself.
struct Tool {
    names: &'static [&'static str],
    /// Options before the subcommand that take the next token as their value.
    valued: &'static [&'static str],
    /// Options before the subcommand that take none.
    flags: &'static [&'static str],
}

const TOOLS: [Tool; 12] = [
    Tool {
        names: &["git"],
        valued: &[
            "-C",
            "-c",
            "--git-dir",
            "--work-tree",
            "--namespace",
            "--config-env",
            "--super-prefix",
            "--attr-source",
            "--list-cmds",
        ],
        flags: &[
            "-p",
            "--paginate",
            "-P",
            "--no-pager",
            "--bare",
            "--no-replace-objects",
            "--literal-pathspecs",
            "--glob-pathspecs",
            "--noglob-pathspecs",
            "--icase-pathspecs",
            "--no-optional-locks",
            "--no-lazy-fetch",
            "--no-advice",
            "--exec-path",
            "--html-path",
            "--man-path",
            "--info-path",
            "--version",
            "--help",
        ],
    },
    Tool {
        names: &["npm", "pnpm", "yarn", "bun"],
        valued: &[
            "--prefix",
            "-C",
            "--dir",
            "--cwd",
            "--registry",
            "--userconfig",
            "--globalconfig",
            "--cache",
            "-w",
            "--workspace",
            "--filter",
            "-F",
            "--loglevel",
            "--otp",
            "--tag",
            "--access",
            "--config",
        ],
        flags: &[
            "-s",
            "--silent",
            "-q",
            "--quiet",
            "-d",
            "-dd",
            "-ddd",
            "--verbose",
            "-g",
            "--global",
            "-r",
            "--recursive",
            "-ws",
            "--workspaces",
            "--dry-run",
            "--json",
            "-y",
            "--yes",
            "--offline",
            "--no-color",
            "--color",
            "--ignore-scripts",
            "--force",
            "-f",
        ],
    },
    Tool {
        names: &["cargo"],
        valued: &["--config", "-Z", "-C", "--color", "--explain", "--manifest-path"],
        flags: &[
            "-v",
            "--verbose",
            "-vv",
            "-q",
            "--quiet",
            "--offline",
            "--locked",
            "--frozen",
            "--list",
            "-V",
            "--version",
            "-h",
            "--help",
        ],
    },
    Tool {
        names: &["docker", "podman", "nerdctl"],
        valued: &[
            "-H",
            "--host",
            "-c",
            "--context",
            "--config",
            "-l",
            "--log-level",
            "--tlscacert",
            "--tlscert",
            "--tlskey",
            "--url",
            "--connection",
            "--namespace",
            "-n",
        ],
        flags: &["-D", "--debug", "--tls", "--tlsverify", "-v", "--version", "--remote", "-r"],
    },
    Tool {
        names: &["gh", "glab"],
        valued: &["-R", "--repo", "--hostname"],
        flags: &["--help", "--version"],
    },
    Tool {
        names: &["kubectl", "oc"],
        valued: &[
            "-n",
            "--namespace",
            "--context",
            "--cluster",
            "--user",
            "--kubeconfig",
            "-s",
            "--server",
            "--token",
            "--as",
            "--as-group",
            "--as-uid",
            "--cache-dir",
            "--certificate-authority",
            "--client-certificate",
            "--client-key",
            "--password",
            "--username",
            "--profile",
            "--profile-output",
            "--request-timeout",
            "--tls-server-name",
            "-v",
            "--v",
            "--vmodule",
            "--log-flush-frequency",
        ],
        flags: &[
            "--insecure-skip-tls-verify",
            "--match-server-version",
            "--warnings-as-errors",
            "--disable-compression",
            "-h",
            "--help",
        ],
    },
    Tool {
        names: &["helm"],
        valued: &[
            "-n",
            "--namespace",
            "--kube-context",
            "--kubeconfig",
            "--kube-apiserver",
            "--kube-token",
            "--kube-as-user",
            "--kube-as-group",
            "--kube-ca-file",
            "--registry-config",
            "--repository-cache",
            "--repository-config",
            "--burst-limit",
        ],
        flags: &["--debug", "-h", "--help", "--kube-insecure-skip-tls-verify"],
    },
    // terraform's own options are joined with `=`, and `-chdir` is one of them.
    Tool {
        names: &["terraform", "tofu"],
        valued: &[],
        flags: &["-help", "-version", "--help", "--version"],
    },
    Tool { names: &["twine"], valued: &[], flags: &["--no-color", "--version", "-h", "--help"] },
    Tool { names: &["gem"], valued: &["--config-file"], flags: &["-v", "--version", "-h"] },
    Tool {
        names: &["aws"],
        valued: &[
            "--profile",
            "--region",
            "--endpoint-url",
            "--output",
            "--query",
            "--ca-bundle",
            "--cli-read-timeout",
            "--cli-connect-timeout",
            "--color",
        ],
        flags: &["--debug", "--no-verify-ssl", "--no-paginate", "--no-sign-request"],
    },
    Tool {
        names: &["gcloud"],
        valued: &["--project", "--account", "--configuration", "--format", "--verbosity"],
        flags: &["-q", "--quiet"],
    },
];

fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.names.contains(&name))
}

/// How one option of a program is spelled.
pub(crate) enum Opt {
    /// It stands alone, or carries its value with it.
    Alone,
    /// The next token is its value.
    Valued,
    /// Nobody here knows.
    Unknown,
}

/// What a token that begins with `-` is, before or after the subcommand of a program.
pub(crate) fn option(name: &str, token: &str) -> Opt {
    let Some(Tool { names: _, valued, flags }) = tool(name) else {
        return if token.contains('=') { Opt::Alone } else { Opt::Unknown };
    };
    if valued.contains(&token) {
        return Opt::Valued;
    }
    let joined = token.contains('=')
        || valued
            .iter()
            .any(|short| short.len() == 2 && !token.starts_with("--") && token.starts_with(*short));
    if joined || flags.contains(&token) { Opt::Alone } else { Opt::Unknown }
}

/// Whether the tool takes `pub` for `publish`.
pub(crate) fn takes_abbreviations(name: &str) -> bool {
    matches!(name, "npm" | "gem")
}

/// A program that runs what its arguments name, in the same process.
pub(crate) struct Interpreter {
    names: &'static [&'static str],
    /// Letters of options that leave the code to the script, and take no value: `-Bu` are two.
    letters: &'static str,
    /// The same as words.
    flags: &'static [&'static str],
    /// The same with a value, which is the next token or stands behind a `=`.
    valued: &'static [&'static str],
    /// Options with a value that bring code of their own.
    loads: &'static [&'static str],
    /// Options after which there is a program text and no script.
    text: &'static [&'static str],
    /// The option after which a module's name stands.
    module: Option<&'static str>,
}

const INTERPRETERS: [Interpreter; 9] = [
    Interpreter {
        names: &["node", "nodejs", "bun", "tsx", "ts-node"],
        letters: "",
        flags: &[
            "--enable-source-maps",
            "--expose-gc",
            "--no-deprecation",
            "--no-warnings",
            "--preserve-symlinks",
            "--preserve-symlinks-main",
            "--trace-deprecation",
            "--trace-uncaught",
            "--trace-warnings",
            "--use-openssl-ca",
            "--use-system-ca",
        ],
        valued: &[
            "--disable-warning",
            "--dns-result-order",
            "--max-old-space-size",
            "--max-semi-space-size",
            "--stack-size",
            "--stack-trace-limit",
            "--title",
            "--unhandled-rejections",
        ],
        loads: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--env-file",
            "--inspect-port",
        ],
        text: &["-e", "--eval", "-p", "--print", "-pe"],
        module: None,
    },
    Interpreter {
        names: &["python", "pypy"],
        letters: "BbdEIOPqsSuv",
        flags: &[],
        valued: &["-W", "--check-hash-based-pycs"],
        loads: &["-X"],
        text: &["-c"],
        module: Some("-m"),
    },
    Interpreter {
        names: &["ruby"],
        letters: "Uvw",
        flags: &["-W0", "-W1", "-W2", "--jit", "--yjit"],
        valued: &["-C", "-E"],
        loads: &["-I", "-r", "-F"],
        text: &["-e"],
        module: None,
    },
    Interpreter {
        names: &["perl"],
        letters: "tTwWX",
        flags: &[],
        valued: &[],
        loads: &["-I"],
        text: &["-e", "-E"],
        module: None,
    },
    Interpreter {
        names: &["php"],
        letters: "nq",
        flags: &[],
        valued: &[],
        loads: &["-c", "-d", "-z"],
        text: &["-r", "-B", "-R", "-E"],
        module: None,
    },
    Interpreter {
        names: &["fish"],
        letters: "Nil",
        flags: &["--interactive", "--login", "--no-config"],
        valued: &[],
        loads: &["-C", "--init-command"],
        text: &["-c", "--command"],
        module: None,
    },
    Interpreter {
        names: &["lua", "luajit"],
        letters: "EvW",
        flags: &[],
        valued: &[],
        loads: &["-l"],
        text: &["-e"],
        module: None,
    },
    // It takes its options in any case, and shortened.
    Interpreter {
        names: &["pwsh"],
        letters: "",
        flags: &["-NoLogo", "-NonInteractive", "-NoProfile", "-File"],
        valued: &["-ExecutionPolicy"],
        loads: &["-WorkingDirectory"],
        text: &["-c", "-Command", "-EncodedCommand"],
        module: None,
    },
    // The loader starts a program that is never the one named in `execve`: ld.so(8).
    Interpreter {
        names: &["ld-linux", "ld-musl", "ld"],
        letters: "",
        flags: &["--inhibit-cache"],
        valued: &["--argv0", "--inhibit-rpath"],
        loads: &["--library-path", "--preload", "--audit"],
        text: &["--list", "--verify"],
        module: None,
    },
];

/// What an interpreter's arguments make it run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// The script at this position.
    Script { at: usize, sure: Sure },
    /// The module whose name is at this position.
    Module { at: usize, sure: Sure },
    /// A program text.
    Text,
    /// Standard input, or nothing.
    Nothing,
}

/// How sure it is that a script is all the code that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sure {
    /// Every option before it leaves that to the script.
    Alone,
    /// Options before it may bring other code.
    There,
    /// An option that nobody knows stood before it: it may be that option's value.
    Perhaps,
}

/// The shells of the POSIX family, of which [`shell_reads`] tells what they run.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// An interpreter, as far as its arguments are known.
pub(crate) enum Known {
    Shell,
    Other(&'static Interpreter),
}

/// The interpreter of this name, whatever version it carries (`python3.11`, `ld-linux-x86-64.so.2`).
pub(crate) fn interpreter(name: &str) -> Option<Known> {
    let plain = without_version(name);
    if SHELLS.contains(&plain) {
        return Some(Known::Shell);
    }
    let known = INTERPRETERS.iter().find(|interpreter| {
        interpreter.names.contains(&name)
            || interpreter.names.contains(&plain)
            || interpreter.names.iter().any(|own| own.starts_with("ld-") && name.starts_with(own))
    });
    known.map(Known::Other)
}

impl Known {
    /// Whether these arguments may give it a program text that nobody reads; a shell's is read.
    pub(crate) fn may_be_given_text(&self, arguments: &[String]) -> bool {
        let Self::Other(interpreter) = self else { return false };
        let letters = interpreter.text.iter().filter_map(|text| text.strip_prefix('-'));
        let letters: Vec<_> = letters.filter(|text| text.len() == 1).collect();
        let together = |own: &String| {
            let own = own.strip_prefix('-').filter(|own| !own.starts_with('-'));
            own.is_some_and(|own| letters.iter().any(|letter| own.contains(*letter)))
        };
        match interpreter.runs(arguments) {
            Runs::Text => true,
            Runs::Script { at, .. } => arguments.iter().take(at).any(together),
            Runs::Module { .. } | Runs::Nothing => false,
        }
    }

    /// What these arguments (without the interpreter's own name) make it run.
    pub(crate) fn runs(&self, arguments: &[String]) -> Runs {
        match self {
            Self::Shell => shell_runs(arguments),
            Self::Other(interpreter) => interpreter.runs(arguments),
        }
    }
}

fn shell_runs(arguments: &[String]) -> Runs {
    // bash(1), `set`: none of these names code, and `-o` takes a name.
    let plain = |argument: &String| match argument.strip_prefix(['-', '+']) {
        Some(letters) if !argument.starts_with("--") => {
            letters.chars().all(|letter| "aefhikmnptuvxBEHPoO".contains(letter))
        }
        Some(_) => ["--", "--norc", "--noprofile", "--posix"].contains(&argument.as_str()),
        // The name.
        None => true,
    };
    match shell_reads(arguments) {
        ShellReads::Text(_) => Runs::Text,
        ShellReads::Script(at) if arguments.iter().take(at).all(plain) => {
            Runs::Script { at, sure: Sure::Alone }
        }
        ShellReads::Script(at) => Runs::Script { at, sure: Sure::There },
        ShellReads::Unclear(at) => Runs::Script { at, sure: Sure::Perhaps },
        ShellReads::Input | ShellReads::Nothing => Runs::Nothing,
    }
}

impl Interpreter {
    fn runs(&self, arguments: &[String]) -> Runs {
        let mut sure = Sure::Alone;
        let mut at = 0;
        while let Some(argument) = arguments.get(at).map(String::as_str) {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument, None),
            };
            let letters = argument.strip_prefix('-').unwrap_or_default();
            if self.text.contains(&name) {
                return Runs::Text;
            }
            if argument == "-" {
                return Runs::Nothing;
            }
            if self.module == Some(argument) {
                return Runs::Module { at: at + 1, sure };
            }
            if argument == "--" {
                return Runs::Script { at: at + 1, sure };
            }
            if letters.is_empty() {
                return Runs::Script { at, sure };
            }
            at += 1;
            let takes = |options: &[&str]| options.contains(&name);
            if takes(self.valued) {
                at += usize::from(value.is_none());
            } else if takes(self.loads) {
                at += usize::from(value.is_none());
                sure = sure.max(Sure::There);
            } else if !self.flags.contains(&argument)
                && !letters.chars().all(|letter| self.letters.contains(letter))
            {
                let known = argument.starts_with("--") && value.is_some();
                sure = sure.max(if known { Sure::There } else { Sure::Perhaps });
            }
        }
        Runs::Nothing
    }
}

/// What a shell of the POSIX family reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellReads {
    /// The text at this position: `-c`.
    Text(usize),
    /// The script at this position.
    Script(usize),
    /// Its standard input.
    Input,
    /// Nothing: it only tells its version.
    Nothing,
    /// The argument at this position could be any option.
    Unclear(usize),
}

/// What `sh`, `bash`, `zsh` and the like read with these arguments (without their own name):
/// bash(1), "OPTIONS". An argument with a NUL is one that is not known.
pub fn shell_reads(arguments: &[String]) -> ShellReads {
    let (mut text, mut input) = (false, false);
    let mut at = 0;
    while let Some(argument) = arguments.get(at).map(String::as_str) {
        let letters = argument.strip_prefix(['-', '+']).unwrap_or_default();
        if argument.starts_with('\0') || (argument.contains('\0') && !letters.is_empty()) {
            return ShellReads::Unclear(at);
        }
        if argument == "-" || argument == "--" {
            at += 1;
            break;
        }
        if letters.is_empty() {
            break;
        }
        at += 1;
        match argument {
            "--rcfile" | "--init-file" => at += 1,
            "--version" | "--help" => return ShellReads::Nothing,
            _ if argument.starts_with("--") => {}
            _ => {
                text |= argument.starts_with('-') && letters.contains('c');
                input |= letters.contains('s');
                // `-euo pipefail`: each of them takes a word.
                at += letters.chars().filter(|letter| matches!(letter, 'o' | 'O')).count();
            }
        }
    }
    match (text, arguments.get(at)) {
        (true, Some(_)) => ShellReads::Text(at),
        (true, None) => ShellReads::Nothing,
        (false, Some(_)) if !input => ShellReads::Script(at),
        (false, _) => ShellReads::Input,
    }
}

/// `python3.11` is `python`, `gcc-12` is `gcc`.
pub(crate) fn without_version(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-')
}

/// Programs of which a version number is no part of the name.
pub(crate) fn is_versioned(plain: &str) -> bool {
    matches!(
        plain,
        "python"
            | "pypy"
            | "pip"
            | "ruby"
            | "gem"
            | "perl"
            | "php"
            | "lua"
            | "node"
            | "gcc"
            | "g++"
            | "clang"
            | "clang++"
            | "cpp"
            | "go"
            | "java"
    )
}

/// One program file with many programs in it, the first argument naming which.
pub(crate) fn is_multi_call(name: &str) -> bool {
    matches!(name, "busybox" | "toybox" | "coreutils")
}

/// The command that a program file inside a package stands for.
pub(crate) fn script_alias(stem: &str) -> &str {
    match stem {
        "npm-cli" => "npm",
        "npx-cli" => "npx",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_text_a_script_or_its_input() {
        let table: [(&[&str], ShellReads); 14] = [
            (&["-c", "x"], ShellReads::Text(1)),
            (&["-lc", "x", "name"], ShellReads::Text(1)),
            (&["-c", "-x", "x"], ShellReads::Text(2)),
            (&["-euo", "pipefail", "-c", "x"], ShellReads::Text(3)),
            (&["-O", "extglob", "+c", "x"], ShellReads::Script(3)),
            (&["--rcfile", "x", "-ic", "y"], ShellReads::Text(3)),
            (&["-c", "--", "x"], ShellReads::Text(2)),
            (&["--norc", "script", "-c"], ShellReads::Script(1)),
            (&["-s", "x"], ShellReads::Input),
            (&[], ShellReads::Input),
            (&["-c"], ShellReads::Nothing),
            (&["--version"], ShellReads::Nothing),
            (&["\0", "-c", "x"], ShellReads::Unclear(0)),
            (&["-\0", "x"], ShellReads::Unclear(0)),
        ];
        for (arguments, expected) in table {
            let arguments: Vec<String> = arguments.iter().map(|own| (*own).to_owned()).collect();
            assert_eq!(shell_reads(&arguments), expected, "{arguments:?}");
        }
    }
}
