//! What cmd carries out itself, and what of it starts something: `call`, `start`, `set`.

use super::Reader;
use super::chars::Char;
use crate::{Way, Word};
use chaperone_policy::changes_meaning;
use std::ops::Range;

const INTERNAL: &[&str] = &[
    "assoc", "break", "call", "cd", "chdir", "cls", "color", "copy", "date", "del", "dir", "echo",
    "endlocal", "erase", "exit", "ftype", "goto", "md", "mkdir", "mklink", "move", "path", "pause",
    "popd", "prompt", "pushd", "rd", "rem", "ren", "rename", "rmdir", "set", "setlocal", "shift",
    "start", "time", "title", "type", "ver", "verify", "vol",
];

/// Options of `start`; `true` where a value follows.
const START: &[(&str, bool)] = &[
    ("/d", true),
    ("/node", true),
    ("/affinity", true),
    ("/machine", true),
    ("/abovenormal", false),
    ("/b", false),
    ("/belownormal", false),
    ("/high", false),
    ("/i", false),
    ("/low", false),
    ("/max", false),
    ("/min", false),
    ("/normal", false),
    ("/realtime", false),
    ("/separate", false),
    ("/shared", false),
    ("/w", false),
    ("/wait", false),
];

/// More words behind `call` and `start` than anybody writes: each of them reads them once more.
const MOST_WORDS: usize = 1000;

/// What a command's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// An internal command.
    Internal(&'static str),
    Program,
    /// A program, and what stands behind a `/` is an option, or a part of its name.
    EndsAtSlash,
    /// A program, or something else.
    Unclear(&'static str),
}

/// The internal command that stands at the beginning: `dir/b`, `cd..` and `echo.` are some, too.
pub(super) fn named(own: &[Char]) -> Named {
    let skipped = own.iter().take_while(|own| own.bare && " \t,;=".contains(own.value)).count();
    let rest = own.get(skipped..).unwrap_or_default();
    if rest.first().is_some_and(|own| own.value == ':') {
        return Named::Internal("label");
    }
    let letters = rest.iter().take(16).take_while(|own| own.value.is_ascii_alphabetic());
    let name: String = letters.map(|own| own.value.to_ascii_lowercase()).collect();
    let tail = rest.get(name.len()..).unwrap_or_default();
    let ends = |own: &&Char| own.bare && " \t,;=".contains(own.value);
    let glued: String = tail.iter().take_while(|own| !ends(own)).map(|own| own.value).collect();
    let known = INTERNAL.iter().find(|known| **known == name);
    if let Some(name) = known {
        let lower = glued.to_ascii_lowercase();
        let is_file = [".exe", ".com", ".bat", ".cmd"].iter().any(|end| lower.ends_with(end));
        let plain = match glued.chars().next() {
            None | Some('/') => true,
            Some('.' | '\\' | ':' | '(' | '[' | ']' | '+') => {
                *name == "echo" || matches!(*name, "cd" | "chdir" | "dir" | "md" | "rd" | "pushd")
            }
            Some(_) => false,
        };
        if plain && !is_file {
            return Named::Internal(name);
        }
        if !is_file
            && !glued.starts_with(|next: char| next.is_alphanumeric() || "-_".contains(next))
        {
            return Named::Unclear("a name that cmd may take for one of its own commands");
        }
        return Named::Program;
    }
    let is_keyword = matches!(name.as_str(), "if" | "for");
    if is_keyword && !glued.starts_with(|next: char| next.is_alphanumeric() || ".-_".contains(next))
    {
        return Named::Unclear("`if` or `for` of cmd, and what is behind it");
    }
    let is_plain = |own: &&Char| {
        !own.bare || own.value.is_alphanumeric() || " \t/_-.\\:~$#@{}'!".contains(own.value)
    };
    let blank = rest.iter().position(|own| own.bare && " \t".contains(own.value));
    let word = rest.get(..blank.unwrap_or(rest.len())).unwrap_or_default();
    if !word.iter().all(|own| is_plain(&own)) {
        return Named::Unclear("a name that cmd may end in its midst");
    }
    let folder: String =
        rest.iter().take_while(|own| own.bare && own.value != '/').map(|own| own.value).collect();
    let slash = rest.get(folder.chars().count()).is_some_and(|own| own.bare && own.value == '/');
    let is_name = !folder.is_empty() && !folder.contains([' ', '\t', ',', ';', '=']);
    if slash && is_name && !folder.ends_with(['.', ':']) {
        return Named::EndsAtSlash;
    }
    Named::Program
}

impl Reader<'_> {
    /// What an internal command starts or changes.
    pub(super) fn internal(&mut self, name: &str, own: &[Char], words: &[Word], at: Range<usize>) {
        let arguments = words.get(1..).unwrap_or_default();
        let glued = words.first().is_some_and(|first| first.token().len() > name.len());
        if glued && matches!(name, "call" | "path" | "set" | "start") {
            self.walker.unread(at.clone(), format!("an option directly behind `{name}`"));
        }
        match name {
            "rem" | "label" if own.iter().any(|own| own.joined) => {
                self.walker.unread(at, "a line behind a remark, which may be joined to it or not");
            }
            "set" => self.set(own, arguments, at),
            "path" if !arguments.is_empty() => {
                let value: String = own.iter().skip("path".len()).map(|own| own.value).collect();
                self.variable("PATH", &value, arguments);
            }
            "assoc" | "ftype" if own.iter().any(|own| own.value == '=') => {
                self.walker.unread(at, "what a kind of file is opened with is changed");
            }
            "call" => self.call(own, arguments, at),
            "start" => self.start(own, arguments, at),
            _ => {}
        }
    }

    /// `call PROGRAM` or `call :LABEL`.
    fn call(&mut self, own: &[Char], arguments: &[Word], at: Range<usize>) {
        if arguments.first().is_some_and(|own| own.token().starts_with(':')) {
            self.walker.unread(at, "a label, whose commands stand somewhere else");
            return;
        }
        if own.iter().any(|own| matches!(own.value, '%' | '^' | '\0')) {
            let why = "variables and carets that `call` reads once more";
            self.walker.unread(at.clone(), why);
        }
        self.started("call", own, arguments, at);
    }

    /// `start ["title"] [/option]… PROGRAM`.
    fn start(&mut self, own: &[Char], arguments: &[Word], at: Range<usize>) {
        let mut rest = arguments;
        if rest.first().is_some_and(|word| word.written.starts_with('"')) {
            rest = rest.get(1..).unwrap_or_default();
        }
        while let [option, after @ ..] = rest
            && option.token().starts_with('/')
        {
            let lower = option.token().to_ascii_lowercase();
            // The folder may stand directly behind.
            let glued = lower.starts_with("/d") && lower.len() > 2;
            match START.iter().find(|(own, _)| *own == lower) {
                Some((_, valued)) => rest = after.get(usize::from(*valued)..).unwrap_or_default(),
                None if glued => rest = after,
                None => {
                    let why = format!("the option `{}`, which is not known here", option.written);
                    return self.walker.unread(option.at.clone(), why);
                }
            }
        }
        self.started("start", own, rest, at);
    }

    /// What `call` and `start` start: a program, or an internal command again.
    fn started(&mut self, by: &str, own: &[Char], words: &[Word], at: Range<usize>) {
        let Some(first) = words.first() else { return };
        if words.len() > MOST_WORDS {
            return self.walker.unread(at, format!("there are more than {MOST_WORDS} words"));
        }
        let place = own.first().map_or((0, 0), |own| own.at);
        let made = |value, bare| Char { value, at: place, bare, joined: false };
        let mut rest: Vec<Char> = first.token().chars().map(|value| made(value, false)).collect();
        for word in words.get(1..).unwrap_or_default() {
            rest.push(made(' ', true));
            rest.extend(word.token().chars().map(|value| made(value, true)));
        }
        let words = words.to_vec();
        self.within(Way::Wrapper(by.to_owned()), None, |this| {
            this.run(&rest, words, Vec::new(), at);
        });
    }

    /// `set X=value`, `set "X=value"`, `set /p X=text`.
    fn set(&mut self, own: &[Char], arguments: &[Word], at: Range<usize>) {
        let text: String = own.iter().map(|own| own.value).collect();
        let text = text.trim_start_matches([' ', '\t', ',', ';', '=']);
        let text = text
            .get("set".len()..)
            .unwrap_or_default()
            .trim_start_matches([' ', '\t', ',', ';', '=']);
        let lower = text.to_ascii_lowercase();
        let asks = lower.starts_with("/p") || lower.starts_with("/a");
        let text = if asks { text.get(2..).unwrap_or_default().trim_start() } else { text };
        let text = text.strip_prefix('"').unwrap_or(text);
        let Some((name, value)) = text.split_once('=') else { return };
        let value = value.rsplit_once('"').map_or(value, |(inside, _)| inside);
        let name = name.trim();
        if name.contains('\0') {
            self.walker.unread(at, "a variable that is only known when it runs");
            return;
        }
        let value = if asks { "\0\0" } else { value };
        self.variable(name, value, arguments);
    }

    fn variable(&mut self, name: &str, value: &str, arguments: &[Word]) {
        let upper = name.to_ascii_uppercase();
        let named = arguments.iter().find(|own| own.token().contains('='));
        let Some(first) = named.or(arguments.first()) else { return };
        if upper == "PATH" || changes_meaning(&upper) {
            let written = first.written.clone();
            let value = Word {
                value: value.trim().to_owned(),
                verbatim: None,
                written,
                at: first.at.clone(),
            };
            self.variables.retain(|(own, _)| *own != upper);
            self.variables.push((upper, value));
        }
    }
}
