//! The end of a session that is learned from: what the kernel says that it refused, and the
//! proposal, recorded before anybody sees it.

use super::judge::{Learned, UNGRANTED};
use crate::learn::{Proposal, Refused};
use chaperone_audit::{NewEvent, Segment};
use chaperone_policy::{Action, Decision, Origin, Verdict};
use chaperone_sandbox::{FileRefusal, Refusals, Unreported};

/// What was refused in all: what the supervisor refused itself, and what the kernel tells of.
///
/// # Errors
/// When it cannot be recorded.
pub(super) fn refused(
    learned: Learned,
    refusals: Option<Result<Refusals, Unreported>>,
    segment: &Segment,
) -> Result<Refused, chaperone_audit::Error> {
    let Learned { mut refused, agent } = learned;
    match refusals {
        None => {}
        Some(Err(why)) => refused.unseen.push(format!(
            "Files that were not to be read, and existing ones that were not to be written: {why}."
        )),
        Some(Ok(refusals)) => {
            let makers: Vec<i32> =
                agent.into_iter().chain([std::process::id().cast_signed()]).collect();
            let (told, lost) = refusals.of(&makers);
            if lost {
                refused.unseen.push(
                    "Some refusals of files: the kernel reported more than could be kept.".into(),
                );
            }
            for FileRefusal { path, write } in told {
                let (set, action) = match write {
                    true => (&mut refused.writes, Action::Write { path: path.clone() }),
                    false => (&mut refused.reads, Action::Read { path: path.clone() }),
                };
                if set.insert(path) {
                    let decision = Decision {
                        verdict: Verdict::Deny,
                        rule: Some("filesystem grants".to_owned()),
                        origin: Origin::built_in(),
                        reason: UNGRANTED.to_owned(),
                    };
                    segment.append(NewEvent::decided(&action, &decision))?;
                }
            }
        }
    }
    Ok(refused)
}

/// Records a proposal, offers it, and records whether it was applied.
///
/// # Errors
/// When it cannot be recorded.
pub(super) fn offered(
    proposal: &Proposal,
    offer: &mut dyn FnMut(&Proposal) -> bool,
    segment: &Segment,
) -> Result<(), chaperone_audit::Error> {
    let parts = u64::try_from(proposal.changes.len()).unwrap_or(u64::MAX);
    let what = match parts {
        0 => "Nothing was learned that the user's policy could grant.",
        _ => "A change of the user's policy was proposed.",
    };
    let diff = proposal.diff.clone();
    segment.append(NewEvent::finding(what).detail("parts", parts).private("proposal", diff))?;
    if offer(proposal) {
        let applied = NewEvent::finding("The proposed change was applied.");
        segment.append(applied.by(crate::user_name()))?;
    }
    Ok(())
}
