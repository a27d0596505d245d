//! What a person should know about a run that has succeeded.

use crate::opencode::Summary;

use super::errors;
use super::facts::{FoldedFacts, LogState};
use super::verdict::silence;

/// A sentence for each thing.
pub(super) fn of_success(facts: &FoldedFacts) -> Vec<String> {
    let sum = &facts.summary;
    let mut said = Vec::new();
    if let Some(seconds) = silence(facts) {
        said.push(format!(
            "opencode did not end after its final answer: it printed nothing for {seconds} s, and was ended"
        ));
    }
    if let Some(exit) = facts.exit_code.filter(|exit| *exit != 0) {
        said.push(match sum.clean_stop {
            true => {
                format!("opencode exited with code {exit}, but the agent had finished with a final answer")
            }
            false => format!("opencode exited with code {exit}, for an error that it recovered from"),
        });
    }
    match facts.log_state {
        LogState::Proven | LogState::Counted => {}
        LogState::Unproven => said.push("nothing proves that the log is complete".to_owned()),
        LogState::Incomplete => said.push("the log could not be read to its end".to_owned()),
    }
    if !sum.clean_stop {
        said.push(match sum.last_reason.as_deref() {
            Some("length") => "the answer was cut off at the model's output limit".to_owned(),
            Some(reason) if sum.step_limit => {
                format!("the limit of steps was reached ({reason}): the next run starts a new session")
            }
            Some(reason) => format!("there is no final step: the last one ended with {reason}"),
            None => "there is no final step".to_owned(),
        });
    }
    if sum.clean_stop && !sum.last_step.spoke {
        let from = match sum.answer.is_empty() {
            true => "no other step did, and there is no answer to show",
            false => "what is shown as the answer is from an earlier step",
        };
        said.push(format!("the last step gave no text: {from}"));
    }
    if let Some(circle) = facts.circle() {
        said.push(circle);
    }
    if let Some(error) = sum.last_error() {
        said.push(format!(
            "the run recovered from an error: {}",
            errors::plain(&error.message)
        ));
    }
    said.extend(missing_ripgrep(sum));
    said
}

/// opencode's grep and glob need ripgrep; its own error does not say that it is to be installed.
pub(super) fn missing_ripgrep(sum: &Summary) -> Option<String> {
    let failed = sum.tool_errors.iter().any(|tool| tool.error.contains("ripgrep"));
    failed.then(|| {
        "grep and glob failed: the image has no ripgrep (rg); install it in the agent's image".to_owned()
    })
}
