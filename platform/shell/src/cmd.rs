//! cmd.exe: `cmd /?`, `set /?`, `start /?`. Its grammar is written down nowhere, so what is not
//! plain (`for`, `if`, `%name%`, which is put in before the line is read) is told as unread.

use crate::walk::{Base, Command, Input, Walker};
use crate::{MANY, ONE, Redirection, Way, What, Word};
use chaperone_policy::changes_meaning;

const BUILTINS: [&str; 43] = [
    "assoc", "break", "cd", "chdir", "cls", "color", "copy", "date", "del", "dir", "echo",
    "endlocal", "erase", "exit", "ftype", "goto", "md", "mkdir", "mklink", "move", "path", "pause",
    "popd", "prompt", "pushd", "rd", "rem", "ren", "rename", "rmdir", "set", "setlocal", "shift",
    "time", "title", "type", "ver", "verify", "vol", "call", "start", "if", "for",
];

/// Groups in one another.
const DEEPEST: usize = 40;

/// Reads a text and walks through it.
pub(crate) fn walk(walker: &mut Walker, text: &str, base: &Base) {
    let mut cmd = Cmd { walker, text, base, at: 0, open: 0, piped: false, variables: Vec::new() };
    if quotes_may_go(text) {
        return cmd.unread(0, "a quote at the beginning, which cmd takes away with the last one");
    }
    cmd.list();
    if cmd.open > 0 {
        cmd.unread(text.len(), "a parenthesis that is not closed");
    }
}

/// A text that begins with a quote loses it and the last one, unless they are the only two and stand
/// around a program's path (`cmd /?`).
fn quotes_may_go(text: &str) -> bool {
    let Some((inside, after)) = text.strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
        return text.starts_with('"');
    };
    let lower = inside.to_ascii_lowercase();
    let is_path = [".exe", ".com", ".bat", ".cmd"].iter().any(|end| lower.ends_with(end));
    after.contains('"') || !is_path || inside.contains(['&', '<', '>', '(', ')', '@', '^', '|'])
}

struct Cmd<'w, 't> {
    walker: &'w mut Walker,
    text: &'t str,
    base: &'t Base,
    at: usize,
    /// Parentheses that are open.
    open: usize,
    /// The command reads what the one before writes.
    piped: bool,
    /// What was set by now and changes what a command means.
    variables: Vec<(String, Word)>,
}

impl Cmd<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn bump(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn unread(&mut self, from: usize, why: &str) {
        self.walker.unread(self.base.map(&(from..self.text.len())), why);
    }

    /// Commands up to the end, with what stands between them.
    fn list(&mut self) {
        let mut way = None;
        let mut separated = true; // nothing stands before, which an operator would need
        loop {
            while self.peek().is_some_and(|b| b" \t\r\n,;=@".contains(&b)) {
                if self.peek() == Some(b'\n') {
                    way = None;
                }
                self.bump();
            }
            match self.peek() {
                None => return,
                Some(b'(') => {
                    self.open += 1;
                    self.bump();
                    if self.open > DEEPEST {
                        self.unread(self.at, "it is nested too deeply to be read");
                        self.at = self.text.len();
                        return;
                    }
                    continue;
                }
                Some(b')') if self.open > 0 => {
                    self.open -= 1;
                    self.bump();
                    separated = false;
                }
                Some(b')') => {
                    self.unread(self.at, "syntax that the shell does not have");
                    self.at = self.text.len();
                    return;
                }
                Some(b'&' | b'|') => {}
                Some(_) => {
                    separated = false;
                    self.piped = way == Some(Way::Pipe);
                    if let Some(way) = way.take() {
                        self.walker.enter(way);
                        self.command();
                        self.walker.leave();
                    } else {
                        self.command();
                    }
                }
            }
            let (next, length) = match self.rest().as_bytes() {
                [b'&', b'&', ..] => (Some(Way::And), 2),
                [b'|', b'|', ..] => (Some(Way::Or), 2),
                [b'|', ..] => (Some(Way::Pipe), 1),
                [b'&', ..] => (None, 1),
                _ => (None, 0),
            };
            if length > 0 {
                if separated {
                    self.unread(self.at, "syntax that the shell does not have");
                    self.at = self.text.len();
                    return;
                }
                (way, separated) = (next, true);
            }
            self.at += length;
        }
    }

    fn command(&mut self) {
        let start = self.at;
        let (mut words, mut redirections) = (Vec::new(), Vec::new());
        let mut input = if self.piped { Input::Unknown } else { Input::Inherited };
        let mut end = self.at;
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
                self.bump();
            }
            if let Some(redirection) = self.redirection() {
                if redirection.as_ref().is_none_or(|own| !own.writes) {
                    input = Input::Unknown;
                }
                redirections.extend(redirection);
                end = self.at;
                continue;
            }
            let Some(word) = self.word(words.is_empty()) else { break };
            words.push(word);
            end = self.at;
        }
        let command = Command {
            words,
            variables: self.variables.clone(),
            redirections,
            at: self.base.map(&(start..end)),
            input,
        };
        self.run(&command, start);
    }

    fn run(&mut self, command: &Command, start: usize) {
        let Some(first) = command.words.first() else {
            if !command.redirections.is_empty() {
                self.walker.found(What::Builtin, command);
            } else if self.at == start {
                // Nothing that could be a command: never stand still.
                self.unread(start, "syntax that the shell does not have");
                self.at = self.text.len();
            }
            return;
        };
        let name = first.known().unwrap_or_default().to_ascii_lowercase();
        // `echo.x`, `cd\x` and `del/f` are words of the shell with what stands behind them.
        let stem = name.split(['.', '\\', '/', ':', '(', '+', '[', ']']).next().unwrap_or_default();
        let builtin = BUILTINS.contains(&name.as_str())
            || (BUILTINS.contains(&stem) && !name.ends_with(".exe"))
            || name.starts_with(':');
        if !builtin {
            // Windows finds `GIT` and `C:\x\git.exe` by what policy calls git.
            let mut command = command.clone();
            if let Some(first) = command.words.first_mut() {
                first.value = first.value.to_ascii_lowercase().replace('\\', "/");
            }
            self.walker.program(&command);
            return;
        }
        self.walker.found(What::Builtin, command);
        let arguments = command.words.get(1..).unwrap_or_default();
        match stem {
            "for" | "if" => {
                self.unread(start, &format!("`{stem}` of cmd, and what is behind it"));
                self.at = self.text.len();
            }
            "call" => self.again("call", arguments, command),
            "start" => self.start(arguments, command),
            "set" | "path" => self.set(arguments, command),
            _ => {}
        }
    }

    fn again(&mut self, name: &str, words: &[Word], command: &Command) {
        let Some(first) = words.first() else { return };
        if first.token().starts_with(':') {
            self.walker.unread(command.at.clone(), "a label, whose commands stand somewhere else");
            return;
        }
        let inner = Command { words: words.to_vec(), redirections: Vec::new(), ..command.clone() };
        self.walker.enter(Way::Wrapper(name.to_owned()));
        let start = self.at;
        self.run(&inner, start.saturating_sub(1));
        self.walker.leave();
    }

    /// `start ["title"] [/option]… program`.
    fn start(&mut self, arguments: &[Word], command: &Command) {
        let mut rest = arguments;
        if rest.first().is_some_and(|word| word.written.starts_with('"')) {
            rest = rest.get(1..).unwrap_or_default();
        }
        while let Some(option) = rest.first().filter(|word| word.token().starts_with('/')) {
            let lower = option.token().to_ascii_lowercase();
            let valued = matches!(lower.as_str(), "/d" | "/node" | "/affinity" | "/machine");
            rest = rest.get(if valued { 2 } else { 1 }..).unwrap_or_default();
        }
        self.again("start", rest, command);
    }

    fn set(&mut self, arguments: &[Word], command: &Command) {
        let Some(first) = arguments.first() else { return };
        let text: Vec<&str> = arguments.iter().map(Word::token).collect();
        let text = text.join(" ");
        let Some((name, value)) = text.split_once('=') else { return };
        let name = name.trim().to_owned();
        if name.contains('\0') {
            self.walker.unread(command.at.clone(), "a variable that is only known when it runs");
        } else if changes_meaning(&name) || name.eq_ignore_ascii_case("path") {
            let name = if name.eq_ignore_ascii_case("path") { "PATH".to_owned() } else { name };
            let value = Word { value: value.to_owned(), verbatim: None, ..first.clone() };
            self.variables.push((name, value));
        }
    }

    /// `>`, `>>`, `<` and `2>&1`; `Some(None)` where there is no file.
    fn redirection(&mut self) -> Option<Option<Redirection>> {
        let rest = self.rest();
        let digits = usize::from(rest.starts_with(|c: char| c.is_ascii_digit()));
        let operator = rest.get(digits..)?;
        let length = if operator.starts_with(">>") {
            2
        } else if operator.starts_with(['<', '>']) {
            1
        } else {
            return None;
        };
        let writes = operator.starts_with('>');
        self.at += digits + length;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.bump();
        }
        if self.peek() == Some(b'&') {
            self.bump();
            self.bump();
            return Some(None);
        }
        let start = self.at;
        match self.word(false) {
            Some(file) => Some(Some(Redirection { writes, file })),
            None => {
                self.unread(start, "a redirection without a file");
                Some(None)
            }
        }
    }

    /// A word; of the first one, also what stands before `,`, `;` or `=`.
    fn word(&mut self, first: bool) -> Option<Word> {
        let start = self.at;
        let (mut value, mut quoted) = (String::new(), false);
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    // What `\"` is depends on the program that takes its line apart.
                    if value.ends_with('\\') {
                        value.push('\0');
                    }
                    quoted = !quoted;
                    self.bump();
                }
                b'%' => self.percent(&mut value),
                b'!' => {
                    self.bump();
                    value.push('\0');
                }
                b'\n' => break,
                b' ' | b'\t' | b'\r' | b'&' | b'|' | b'<' | b'>' if !quoted => break,
                b')' if !quoted && self.open > 0 => break,
                b',' | b';' | b'=' if !quoted && first => break,
                b'^' if !quoted => {
                    self.bump();
                    match self.peek() {
                        Some(b'\n') => self.bump(),
                        Some(_) => self.character(&mut value),
                        None => {}
                    }
                }
                _ => self.character(&mut value),
            }
        }
        if self.at == start {
            return None;
        }
        let written = self.text.get(start..self.at).unwrap_or_default().to_owned();
        if value == MANY {
            value = ONE.to_owned();
        }
        if written.contains('%') && value.contains('\0') {
            value = MANY.to_owned();
        }
        let verbatim = match self.base {
            Base::Exact(from) if written == value => Some(from + start),
            Base::Exact(from) if written == format!("\"{value}\"") => Some(from + start + 1),
            _ => None,
        };
        let at = self.base.map(&(start..self.at));
        Some(Word { value, written, at, verbatim })
    }

    fn character(&mut self, value: &mut String) {
        value.extend(self.rest().chars().next());
        self.bump();
    }

    /// `%name%`, in quotes or not: its value is read as if it had stood there.
    fn percent(&mut self, value: &mut String) {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default();
        let name = line.get(1..).and_then(|rest| rest.find('%'));
        match name {
            Some(length) if length > 0 => {
                let at = self.base.map(&(start..start + length + 2));
                self.walker.unread(at, "a variable that is put in before the line is read");
                value.push('\0');
                self.at += length + 2;
            }
            _ => self.character(value),
        }
    }
}
