//! One request of a queue: which of its parts wait, which an answer is for, and how much of it the
//! agent chose.

use crate::answer::{Answer, AnswerMsg, AnswerVerdict};
use crate::part::{Key, Part};
use crate::request::{AskingCommand, NewRequest, Request};
use chaperone_policy::{Action, Scope};

/// A request with what waits in it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) request: Request,
    pub(crate) key: Key,
    /// Bytes that the agent chose.
    pub(crate) text: usize,
    pub(crate) parts: Vec<Part>,
    /// The command that asks, where that is known.
    pub(crate) command: Option<AskingCommand>,
    /// What was said so far; an allow of some hosts counts before the denial of others.
    pub(crate) said: Option<Answer>,
}

impl Entry {
    /// The parts that wait.
    pub(crate) fn open(&self) -> Vec<usize> {
        (0..self.parts.len()).filter(|at| self.parts.get(*at).is_some_and(Part::waits)).collect()
    }

    /// The parts that an answer allows and those that it denies.
    pub(crate) fn chosen(&self, msg: &AnswerMsg) -> Result<(Vec<usize>, Vec<usize>), String> {
        let open = self.open();
        if msg.hosts.is_empty() && msg.denied.is_empty() {
            return match msg.verdict {
                AnswerVerdict::Deny => Ok((Vec::new(), open)),
                AnswerVerdict::Allow if open.len() > 1 => Err(format!(
                    "This request is about {} hosts by now. Name those that you allow; the others wait.",
                    open.len()
                )),
                AnswerVerdict::Allow => Ok((open, Vec::new())),
            };
        }
        let find = |name: &String| {
            let known = |part: &Part| part.host.as_ref() == Some(name);
            let at = self.parts.iter().position(known);
            at.ok_or_else(|| format!("This request is about no host {}.", crate::visible(name)))
        };
        let find_all = |names: &[String]| -> Result<Vec<usize>, String> {
            let mut found = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
            found.retain(|at| open.contains(at));
            found.dedup();
            Ok(found)
        };
        let (named, mut denied) = (find_all(&msg.hosts)?, find_all(&msg.denied)?);
        if named.iter().any(|at| denied.contains(at)) {
            return Err("One host is both allowed and denied.".to_owned());
        }
        if msg.verdict == AnswerVerdict::Deny {
            denied.extend(named);
            return Ok((Vec::new(), denied));
        }
        Ok((named, denied))
    }
}

/// Why this answer cannot be taken for this request, if so.
pub(crate) fn not_offered(request: &Request, msg: &AnswerMsg) -> Option<String> {
    match (msg.verdict, msg.scope) {
        (AnswerVerdict::Deny, Scope::Command | Scope::Session | Scope::Workspace) => Some(
            "A denial is for once: nothing would remember it for longer. Deny it once, with a note if \
             the agent shall not try again."
                .to_owned(),
        ),
        (_, scope) if request.scopes.contains(&scope) => None,
        (_, scope) => {
            let offered: Vec<String> = request.scopes.iter().map(Scope::to_string).collect();
            Some(format!(
                "The scope {scope} is not offered for this request. Offered: {}.",
                offered.join(", ")
            ))
        }
    }
}

/// Bytes that the agent chose.
pub(crate) fn text_of(new: &NewRequest) -> usize {
    let action = match &new.action {
        Action::Run(command) => {
            let argv: usize = command.argv.iter().map(|word| word.len() + 1).sum();
            let environment: usize =
                command.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
            argv + environment
                + command.cwd.as_os_str().len()
                + command.executable.as_os_str().len()
        }
        Action::Read { path } | Action::Write { path } => path.as_os_str().len(),
        Action::Connect { host, .. } => host.len(),
        Action::Http(request) => request.to_string().len(),
    };
    let chain: usize = new.chain.iter().map(String::len).sum();
    action + chain + new.reported.as_ref().map_or(0, String::len)
}
