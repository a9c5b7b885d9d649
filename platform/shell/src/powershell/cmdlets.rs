//! Cmdlets that run what they are given: blocks, texts, programs, methods.

use super::Reader;
use super::commands::{Argument, Form};
use super::names::is_harmless_method;
use crate::walk::{Command, Input};
use crate::wrappers::windows_name;
use crate::{MANY, ONE, Way, Word};

/// Parameters that every cmdlet has; `true` where a value follows.
const COMMON: &[(&str, bool)] = &[
    ("erroraction", true),
    ("errorvariable", true),
    ("informationaction", true),
    ("informationvariable", true),
    ("outbuffer", true),
    ("outvariable", true),
    ("pipelinevariable", true),
    ("warningaction", true),
    ("warningvariable", true),
    ("verbose", false),
    ("whatif", false),
    ("confirm", false),
];

/// Those of `Start-Process`.
const START: &[(&str, bool)] = &[
    ("filepath", true),
    ("pspath", true),
    ("path", true),
    ("argumentlist", true),
    ("args", true),
    ("credential", true),
    ("runas", true),
    ("environment", true),
    ("redirectstandarderror", true),
    ("rse", true),
    ("redirectstandardinput", true),
    ("rsi", true),
    ("redirectstandardoutput", true),
    ("rso", true),
    ("verb", true),
    ("windowstyle", true),
    ("workingdirectory", true),
    ("loaduserprofile", false),
    ("nonewwindow", false),
    ("passthru", false),
    ("usenewenvironment", false),
    ("wait", false),
];

impl Reader<'_> {
    /// What a cmdlet runs; its name is in lower case.
    pub(super) fn cmdlet(
        &mut self,
        name: &str,
        arguments: &[Argument],
        command: &Command,
        start: usize,
    ) {
        if arguments.iter().any(|own| matches!(own.word.known(), Some("--" | "--%"))) {
            self.unread(start, "what a cmdlet takes for its arguments behind `--`");
        }
        match name {
            "invoke-expression" => self.invoke_expression(arguments, command, start),
            "start-process" => self.start_process(arguments, command, start),
            "foreach-object" => self.for_each_object(arguments, start),
            "invoke-command"
            | "start-job"
            | "start-threadjob"
            | "measure-command"
            | "trace-command"
            | "register-objectevent"
            | "register-engineevent"
            | "register-argumentcompleter"
            | "set-psbreakpoint"
            | "new-module"
                if runs_unknown(arguments) =>
            {
                self.unread(start, format!("what `{name}` runs is only known when it runs"));
            }
            "switch-process" => self.switch_process(arguments, command),
            "set-alias" | "new-alias" | "import-alias" => {
                self.unread(start, "an alias, which changes what a name means");
            }
            "set-item" | "new-item" | "set-content" | "add-content" | "copy-item"
            | "rename-item" | "move-item" | "remove-item" | "clear-item" | "set-itemproperty"
            | "set-location" | "push-location" => {
                let changes = arguments.iter().flat_map(|own| &own.list).any(|word| {
                    let text = word.token().to_ascii_lowercase();
                    ["alias:", "function:", "env:", "variable:", "provider::"]
                        .iter()
                        .any(|drive| text.contains(drive))
                });
                // With a value, it can make an alias as well as a file.
                let computed = arguments.iter().any(|own| own.word.known().is_none());
                let with_value =
                    name == "set-item" || arguments.iter().any(|own| begins(own, "-value"));
                let may = computed && with_value && matches!(name, "set-item" | "new-item");
                if changes || may {
                    self.unread(start, "what a name or a variable means is changed");
                }
            }
            "add-type"
            | "import-module"
            | "import-pssession"
            | "import-packageprovider"
            | "add-pssnapin"
            | "update-typedata"
            | "update-formatdata" => {
                self.unread(start, "code that stands somewhere else");
            }
            "enter-pssession"
            | "enter-pshostprocess"
            | "new-pssession"
            | "connect-pssession"
            | "invoke-history"
            | "invoke-item"
            | "invoke-cimmethod"
            | "invoke-wmimethod"
            | "new-ciminstance"
            | "set-ciminstance"
            | "set-wmiinstance"
            | "new-service"
            | "set-service"
            | "start-service"
            | "restart-service"
            | "resume-service"
            | "new-scheduledtaskaction"
            | "register-scheduledtask"
            | "set-scheduledtask"
            | "start-scheduledtask"
            | "register-scheduledjob"
            | "register-wmievent"
            | "register-cimindicationevent"
            | "show-command" => {
                self.unread(start, format!("what `{name}` starts is not read here"));
            }
            _ => {}
        }
    }

    /// `Invoke-Expression [-Command] TEXT`, or the text that is written to it.
    fn invoke_expression(&mut self, arguments: &[Argument], command: &Command, start: usize) {
        let text = |own: &Argument| own.list.first().cloned().filter(|_| own.list.len() == 1);
        let word = match arguments {
            [] => match &command.input {
                Input::Text(word) => Some(word.clone()),
                Input::Inherited | Input::Unknown => None,
            },
            [own] if own.form == Form::Text => text(own),
            [own] if own.form == Form::ParameterWithValue && begins(own, "-command") => text(own),
            [name, own] if begins(name, "-command") && own.form == Form::Text => text(own),
            _ => None,
        };
        match word.filter(|word| word.known().is_some()) {
            Some(word) => self.again(Way::Eval, &word),
            None => self.unread(start, "a text that is only known when it runs"),
        }
    }

    /// `ForEach-Object { … }`; by a name it calls a method of what is written to it.
    fn for_each_object(&mut self, arguments: &[Argument], start: usize) {
        let mut method = false;
        let mut rest = arguments.iter();
        while let Some(own) = rest.next() {
            let known = |names: &[&str]| names.iter().any(|name| begins(own, name));
            method |= match own.form {
                Form::Text => !own
                    .word
                    .known()
                    .is_some_and(|name| is_harmless_method(&name.to_ascii_lowercase())),
                Form::Other => true,
                Form::Block => false,
                Form::Parameter if known(&["-throttlelimit", "-timeoutseconds"]) => {
                    rest.next().is_none()
                }
                Form::Parameter | Form::ParameterWithValue => {
                    !known(&["-begin", "-process", "-end", "-parallel", "-asjob"])
                }
            };
        }
        if method {
            self.unread(start, "a member or a method of something that is only known when it runs");
        }
    }

    /// `exec PROGRAM …`, in place of PowerShell.
    fn switch_process(&mut self, arguments: &[Argument], command: &Command) {
        let rest = match arguments {
            [name, rest @ ..] if begins(name, "-withcommand") => rest,
            rest => rest,
        };
        let Some(first) = rest.first() else { return };
        let mut words: Vec<Word> = rest.iter().map(|own| own.word.clone()).collect();
        if let Some(name) = words.first_mut() {
            name.value =
                if first.form == Form::Text { windows_name(name.token()) } else { ONE.to_owned() };
        }
        let command = Command { words, redirections: Vec::new(), ..command.clone() };
        self.walker.enter(Way::Exec);
        self.walker.program(&command);
        self.walker.leave();
    }

    /// `Start-Process [-FilePath] PROGRAM [[-ArgumentList] ARGUMENTS]`.
    fn start_process(&mut self, arguments: &[Argument], command: &Command, start: usize) {
        let (mut positions, mut program, mut list) = (Vec::new(), None, None);
        let mut rest = arguments.iter();
        while let Some(own) = rest.next() {
            let with_value = own.form == Form::ParameterWithValue;
            if !with_value && own.form != Form::Parameter {
                positions.push(own.clone());
                continue;
            }
            let Some(valued) = parameter(&own.word, with_value) else {
                let why = format!("the option `{}`, which is not known here", own.word.written);
                return self.unread(start, why);
            };
            let (name, takes) = valued;
            let value = match (with_value, takes) {
                (true, _) => own.list.first().cloned().map(|word| Argument {
                    list: vec![word.clone()],
                    form: Form::Text,
                    word,
                }),
                (false, true) => rest.next().cloned(),
                (false, false) => None,
            };
            match name {
                "filepath" | "pspath" | "path" => program = value,
                "argumentlist" | "args" => list = value,
                _ => {}
            }
        }
        let mut positions = positions.into_iter();
        let program = program.or_else(|| positions.next());
        let list = list.or_else(|| positions.next());
        let Some(program) = program else {
            return self.unread(start, "a name that is only known when it runs");
        };
        let value = program.word.known().map_or_else(|| ONE.to_owned(), windows_name);
        let mut words = vec![Word { value, ..program.word.clone() }];
        words.extend(list.iter().flat_map(|list| &list.list).flat_map(split));
        if positions.next().is_some() {
            words.push(self.many(start));
        }
        let command = Command { words, redirections: Vec::new(), ..command.clone() };
        self.walker.enter(Way::Wrapper("start-process".to_owned()));
        self.walker.program(&command);
        self.walker.leave();
    }
}

/// Whether the argument can be this parameter: its name may be cut short, and take any dash.
fn begins(own: &Argument, name: &str) -> bool {
    let written = own.word.written.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let letters = written.strip_prefix(super::is_dash).unwrap_or_default();
    !letters.is_empty() && name.trim_start_matches('-').starts_with(letters)
}

/// Whether what runs is a file's or a name's, or a block that is not written here.
fn runs_unknown(arguments: &[Argument]) -> bool {
    let is_block = |own: &Argument| {
        ["-scriptblock", "-initializationscript", "-expression", "-action"]
            .iter()
            .any(|name| begins(own, name))
    };
    let by_file = arguments.iter().any(|own| {
        ["-filepath", "-literalpath", "-pspath", "-command", "-definitionname"]
            .iter()
            .any(|name| begins(own, name))
    });
    let computed = |own: &Argument| own.form == Form::Other;
    let named = arguments.windows(2).any(|pair| match pair {
        [name, value] => is_block(name) && computed(value),
        _ => false,
    });
    let no_block = !arguments.iter().any(|own| own.form == Form::Block);
    by_file || named || (no_block && arguments.iter().any(computed))
}

/// The parameter that is meant, and whether a value belongs to it: names may be cut short as long as
/// they are clear.
fn parameter(word: &Word, with_value: bool) -> Option<(&'static str, bool)> {
    let text = word.written.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let name = text.strip_prefix(super::is_dash).filter(|name| !name.is_empty())?.to_owned();
    let short = match name.as_str() {
        "nnw" => "nonewwindow",
        "lup" => "loaduserprofile",
        "ea" => "erroraction",
        other => other,
    };
    let all = START.iter().chain(COMMON).copied();
    let exact = all.clone().find(|(own, _)| *own == short);
    let mut begun = all.filter(|(own, _)| own.starts_with(short));
    let found = exact.or_else(|| begun.next().filter(|_| begun.next().is_none()))?;
    (with_value || word.known().is_some()).then_some(found)
}

/// The words of one text of `-ArgumentList`, which stands in the command line as it is.
fn split(word: &Word) -> Vec<Word> {
    let unclear = |own: &str| own.contains('"') || own.is_empty();
    match word.known().filter(|own| !unclear(own)) {
        Some(text) if text.contains(char::is_whitespace) => text
            .split_whitespace()
            .map(|part| Word {
                value: part.to_owned(),
                written: part.to_owned(),
                at: word.at.clone(),
                verbatim: None,
            })
            .collect(),
        Some(_) => vec![word.clone()],
        None => vec![Word { value: MANY.to_owned(), verbatim: None, ..word.clone() }],
    }
}
