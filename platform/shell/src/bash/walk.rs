//! From the tree to the commands: which are programs, and which are words of the shell.

use super::builtins::{Who, is_run, who};
use super::parser::{Failure, Parser};
use super::syntax::{self, HereDocument, Node, Piece, Redirect, Simple};
use crate::walk::{Base, Command, Input, Walker};
use crate::{Dialect, Redirection, Way, What, Word};
use chaperone_policy::changes_meaning;
use std::collections::HashSet;
use std::ops::Range;

/// Reads a text and walks through it.
pub(crate) fn walk(walker: &mut Walker, text: &str, dialect: Dialect, base: &Base) {
    let mut parser = Parser::new(text, dialect);
    let nodes = parser.script();
    let Parser { failure, foreign, documents, arithmetic, .. } = parser;
    let outside = walker.ways();
    let mut walk = Walk {
        walker,
        dialect,
        texts: vec![(text.to_owned(), base.clone())],
        outside,
        documents,
        functions: HashSet::new(),
        unsets: text.contains("unset"),
        variables: Vec::new(),
        input: Input::Inherited,
        index: None,
    };
    walk.nodes(&nodes);
    let index = walk.index.take();
    for Failure { at, why } in foreign.into_iter().chain(failure) {
        walker.unread(base.map(&at), why);
    }
    if let (true, Some(at)) = (arithmetic, index) {
        // `x='a[$(b)]'; ((x))` runs b.
        walker.unread(at, "a text with a command in an index, which arithmetic would run");
    }
}

struct Walk<'w> {
    walker: &'w mut Walker,
    dialect: Dialect,
    /// The texts that are being walked through and where they stand, the innermost last.
    texts: Vec<(String, Base)>,
    /// How many ways lead to the text as a whole.
    outside: usize,
    documents: Vec<HereDocument>,
    /// Functions that are defined by now, whatever comes.
    functions: HashSet<String>,
    /// Somewhere a function may be taken away again.
    unsets: bool,
    /// What was set by now and changes what a command means.
    variables: Vec<(String, Word)>,
    input: Input,
    /// A quoted text that looks like an index with a command in it.
    index: Option<Range<usize>>,
}

impl Walk<'_> {
    fn map(&self, inner: &Range<usize>) -> Range<usize> {
        self.texts.last().map_or(0..0, |(_, base)| base.map(inner))
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Simple(command) => self.simple(command),
            Node::Within(way, nodes) => {
                let input = self.input.clone();
                match way {
                    Way::Pipe => self.input = Input::Unknown,
                    // bash(1): without job control it reads from /dev/null, or whatever it is given.
                    Way::Background => self.input = Input::Unknown,
                    _ => {}
                }
                self.within(way.clone(), nodes);
                self.input = input;
            }
            Node::Redirected(nodes, redirections) => {
                let input = self.input.clone();
                let files = self.redirections(redirections);
                if !files.is_empty() {
                    let at = files.first().map(|own| own.file.at.clone()).unwrap_or_default();
                    self.walker.found(
                        What::Builtin,
                        &Command {
                            words: Vec::new(),
                            variables: Vec::new(),
                            redirections: files,
                            at,
                            input: Input::Inherited,
                        },
                    );
                }
                self.nodes(nodes);
                self.input = input;
            }
            Node::Function(name, nodes) => {
                self.within(Way::Function(name.clone()), nodes);
                if self.walker.ways() == self.outside && !self.unsets {
                    self.functions.insert(name.clone());
                }
            }
            Node::Expanded(words) => words.iter().for_each(|word| self.expanded(word)),
            Node::Elsewhere(base, text, nodes) => {
                let outer = self.texts.last().map(|(_, outer)| outer.of(base));
                self.texts.push((text.clone(), outer.unwrap_or_else(|| base.clone())));
                self.nodes(nodes);
                self.texts.pop();
            }
        }
    }

    fn within(&mut self, way: Way, nodes: &[Node]) {
        // The walker's own `within` would borrow it twice.
        self.walker.enter(way);
        self.nodes(nodes);
        self.walker.leave();
    }

    /// The commands that run while a word is expanded.
    fn expanded(&mut self, word: &syntax::Word) {
        for piece in &word.pieces {
            match piece {
                Piece::Run(nodes) => {
                    let input = std::mem::replace(&mut self.input, Input::Unknown);
                    self.nodes(nodes);
                    self.input = input;
                }
                Piece::Text { text, quoted: true } => self.look_for_index(text, &word.at),
                Piece::Text { .. } | Piece::Unknown { .. } => {}
            }
        }
    }

    fn look_for_index(&mut self, text: &str, at: &Range<usize>) {
        let inside = text.split_once('[').map(|(_, inside)| inside);
        if inside.is_some_and(|inside| inside.contains("$(") || inside.contains('`')) {
            self.index = Some(self.map(at));
        }
    }

    fn simple(&mut self, command: &Simple) {
        let Simple { assignments, words, redirections, at } = command;
        for assignment in assignments {
            self.expanded(&assignment.value);
        }
        for word in words {
            self.expanded(word);
        }
        let outside = self.input.clone();
        let redirections = self.redirections(redirections);
        let input = std::mem::replace(&mut self.input, outside);

        let own: Vec<(String, Word)> = assignments
            .iter()
            .map(|assignment| (assignment.name.clone(), self.word(&assignment.value)))
            .collect();
        for (name, value) in &own {
            if is_run(name) {
                let why = format!("{name}, whose value a shell runs");
                self.walker.unread(value.at.clone(), why);
            }
        }
        let words: Vec<Word> = words.iter().map(|word| self.word(word)).collect();
        let name = words.first().and_then(Word::known).unwrap_or_default().to_owned();
        // An assignment stays where no program follows, and for all that `export` names.
        if words.is_empty() || is_declaration(&name) {
            let lasting = own.iter().filter(|(name, _)| changes_meaning(name) || name == "PATH");
            self.variables.extend(lasting.cloned());
        }
        let mut command = Command {
            words,
            variables: self.variables.clone(),
            redirections,
            at: self.map(at),
            input,
        };
        if !command.words.is_empty() && !is_declaration(&name) {
            command.variables.extend(own.iter().cloned());
        }
        if command.words.is_empty() {
            // Only a redirection or an assignment: nothing starts, though files may be written.
            if !command.redirections.is_empty() {
                command.variables = own;
                self.walker.found(What::Builtin, &command);
            }
            return;
        }
        self.command(&command, true);
    }

    /// A command of known or unknown name; functions are left out behind `command`.
    fn command(&mut self, command: &Command, functions: bool) {
        let name = command.words.first().and_then(Word::known).unwrap_or_default();
        if functions && self.functions.contains(name) {
            self.walker.found(What::Function, command);
            return;
        }
        match who(name, self.dialect) {
            Who::Program => self.walker.program(command),
            Who::Shell => {
                self.walker.found(What::Builtin, command);
                self.builtin(name, command);
            }
            Who::Either => {
                self.walker.program(command);
                self.builtin(name, command);
            }
        }
    }

    fn builtin(&mut self, name: &str, command: &Command) {
        let arguments = command.words.get(1..).unwrap_or_default();
        let has = |letters: &[char]| {
            arguments.iter().any(|word| {
                word.known().is_none_or(|text| text.starts_with('-') && text.contains(letters))
            })
        };
        match name {
            "exec" => {
                let rest = after_options(arguments, &['a'], &['c', 'l']);
                self.again(Way::Exec, rest, command, true, true);
            }
            "command" => {
                let asks = arguments
                    .first()
                    .and_then(Word::known)
                    .is_some_and(|first| first.starts_with('-') && first.contains(['v', 'V']));
                if !asks {
                    let rest = after_options(arguments, &[], &['p']);
                    self.again(Way::Command, rest, command, false, false);
                }
            }
            "builtin" | "noglob" | "nocorrect" | "-" => {
                self.again(Way::Command, Some(arguments), command, name != "builtin", false);
            }
            "eval" => self.eval(command),
            "." | "source" => {
                let why = match arguments.first().and_then(Word::known) {
                    Some(file) => format!("the commands of the file {file}"),
                    None => "the commands of a file that is only known when it runs".to_owned(),
                };
                self.walker.unread(command.at.clone(), why);
            }
            "trap" => {
                let text = arguments.iter().find(|word| {
                    word.known().is_none_or(|text| text == "-" || !text.starts_with('-'))
                });
                if let Some(text) = text.filter(|_| arguments.len() > 1)
                    && text.known() != Some("-")
                {
                    let dialect = self.dialect;
                    self.walker.enter(Way::Trap);
                    self.walker.word(text, dialect);
                    self.walker.leave();
                }
            }
            "alias"
                if arguments.iter().any(|word| word.known().is_none_or(|t| t.contains('='))) =>
            {
                self.walker.unread(command.at.clone(), "an alias, which changes what a name means");
            }
            "hash" if has(&['p']) => {
                self.walker
                    .unread(command.at.clone(), "`hash -p`, which changes what a name means");
            }
            "enable" if !arguments.is_empty() => {
                self.walker.unread(command.at.clone(), "`enable`, which changes what a name means");
            }
            "bind" | "fc" | "autoload" | "repeat" | "foreach" | "sched" | "zmodload" => {
                self.walker.unread(command.at.clone(), format!("`{name}`, which is not read here"));
            }
            "mapfile" | "readarray" | "complete" | "compgen" if has(&['C', 'F']) => {
                self.walker.unread(command.at.clone(), format!("`{name}` with a command to call"));
            }
            "shopt" if arguments.iter().any(|word| word.known() == Some("expand_aliases")) => {
                self.walker.unread(command.at.clone(), "aliases, which change what a name means");
            }
            "let" | "declare" | "typeset" | "local" | "test" | "[" | "printf" | "read"
            | "unset" | "export" | "readonly" => {
                // Each can take a name with an index, and evaluates that.
                let index = arguments.iter().find(|word| {
                    let text = word.token();
                    text.split_once('[')
                        .is_some_and(|(_, rest)| rest.contains("$(") || rest.contains('`'))
                });
                if let Some(word) = index {
                    let why = "a text with a command in an index, which arithmetic would run";
                    self.walker.unread(word.at.clone(), why);
                }
            }
            _ => {}
        }
    }

    /// The command that stands behind `exec`, `command` and their like.
    fn again(
        &mut self,
        way: Way,
        rest: Option<&[Word]>,
        command: &Command,
        functions: bool,
        always_program: bool,
    ) {
        let Some(rest) = rest else {
            self.walker.unread(command.at.clone(), "an option that is not known here");
            return;
        };
        if rest.is_empty() {
            return;
        }
        let inner = Command {
            words: rest.to_vec(),
            at: rest.first().map_or(0, |first| first.at.start)..command.at.end,
            redirections: Vec::new(),
            ..command.clone()
        };
        self.walker.enter(way);
        if always_program {
            self.walker.program(&inner);
        } else {
            self.command(&inner, functions);
        }
        self.walker.leave();
    }

    /// `eval a b` reads `a b` once more.
    fn eval(&mut self, command: &Command) {
        let arguments = command.words.get(1..).unwrap_or_default();
        let arguments = match arguments.first().and_then(Word::known) {
            Some("--") => arguments.get(1..).unwrap_or_default(),
            _ => arguments,
        };
        let known: Option<Vec<&str>> = arguments.iter().map(Word::known).collect();
        let (Some(known), Some(first), Some(last)) = (known, arguments.first(), arguments.last())
        else {
            if !arguments.is_empty() {
                let why = "a text that is only known when it runs";
                self.walker.unread(command.at.clone(), why);
            }
            return;
        };
        let base = match (arguments, first.verbatim) {
            ([_], Some(start)) => Base::Exact(start),
            _ => Base::Whole(first.at.start..last.at.end),
        };
        self.walker.enter(Way::Eval);
        self.walker.text(&known.join(" "), self.dialect, base);
        self.walker.leave();
    }

    /// Files, and what becomes of the standard input; its commands are walked through.
    fn redirections(&mut self, redirections: &[Redirect]) -> Vec<Redirection> {
        let mut files = Vec::new();
        for redirection in redirections {
            match redirection {
                Redirect::File { writes, input, file } => {
                    self.expanded(file);
                    if *input {
                        self.input = Input::Unknown;
                    }
                    files.push(Redirection { writes: *writes, file: self.word(file) });
                }
                Redirect::Duplicate(word) => {
                    self.expanded(word);
                    self.input = Input::Unknown;
                }
                Redirect::HereString(word) => {
                    self.expanded(word);
                    self.input = Input::Text(self.word(word));
                }
                Redirect::Here(index) => {
                    let document = self.documents.get(*index).cloned().unwrap_or_default();
                    self.walker.enter(Way::HereDocument);
                    self.expanded(&document.body);
                    self.walker.leave();
                    let mut word = self.word(&document.body);
                    word.verbatim = self.start(&document.body.at).filter(|_| document.verbatim);
                    self.input = Input::Text(word);
                }
            }
        }
        files
    }

    fn start(&self, at: &Range<usize>) -> Option<usize> {
        match self.texts.last() {
            Some((_, Base::Exact(start))) => Some(start + at.start),
            _ => None,
        }
    }

    /// The word as others see it.
    fn word(&self, word: &syntax::Word) -> Word {
        let value = word.value();
        let written = self.texts.last().and_then(|(text, _)| text.get(word.at.clone()));
        let written = written.map_or_else(|| value.replace('\0', "…"), str::to_owned);
        let quoted = match written.as_bytes() {
            [b'\'', .., b'\''] | [b'"', .., b'"'] => 1,
            _ => 0,
        };
        let inside = written.get(quoted..written.len().saturating_sub(quoted));
        let verbatim = self
            .start(&word.at)
            .map(|start| start + quoted)
            .filter(|_| inside == Some(value.as_str()));
        Word { value, written, at: self.map(&word.at), verbatim }
    }
}

fn is_declaration(name: &str) -> bool {
    matches!(name, "export" | "declare" | "typeset" | "local" | "readonly")
}

/// What stands behind options of these letters; `None` where another option stands there.
fn after_options<'w>(words: &'w [Word], valued: &[char], flags: &[char]) -> Option<&'w [Word]> {
    let mut at = 0;
    while let Some(text) = words.get(at).map(Word::token) {
        if text == "--" {
            at += 1;
            break;
        }
        let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            break;
        };
        at += 1;
        if letters.contains('\0')
            || !letters.chars().all(|c| valued.contains(&c) || flags.contains(&c))
        {
            return None;
        }
        if letters.ends_with(valued) {
            at += 1;
        }
    }
    Some(words.get(at..).unwrap_or_default())
}
