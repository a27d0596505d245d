//! Runs that were ended from outside.

use super::facts::{FoldedFacts, Session};
use super::verdict::Failure;
use super::{code, stderr};

/// The failure of a run that a signal, the kernel or the cluster ended.
pub(super) fn judge(facts: &FoldedFacts) -> Option<Failure> {
    let reason = facts.reason.as_deref().unwrap_or_default();
    if ["ContainerCannotRun", "StartError", "CreateContainerError"].contains(&reason) {
        return Some(Failure::new(
            code::START_FAILED,
            "the container could not be started",
        ));
    }
    if facts.exit_code == Some(0) && facts.signal.is_none() {
        return None;
    }
    let out_of_memory = reason == "OOMKilled";
    let by_cluster = [
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "Preempting",
        "Preempted",
        "Terminated",
        "Shutdown",
    ]
    .contains(&reason);
    let signal = facts
        .signal
        .clone()
        .or_else(|| facts.exit_code.and_then(signal_name));
    if signal.is_none() && !out_of_memory && !by_cluster {
        return None;
    }
    let by = if out_of_memory {
        "ran out of memory and was killed".to_owned()
    } else {
        match &signal {
            Some(signal) => format!("was ended by {signal}"),
            None => format!("was ended by the cluster ({reason})"),
        }
    };
    // What it was doing explains a signal; it would only distract from a limit that is too low.
    let more = if out_of_memory {
        Some("raise resources.limits.memory of the agent".to_owned())
    } else {
        waiting_for(facts)
    };
    let more = more.map(|what| format!("; {what}")).unwrap_or_default();
    let failure = Failure::new(
        code::KILLED,
        format!("opencode {by} before the agent was done{more}"),
    );
    Some(if out_of_memory {
        failure.not_retryable()
    } else {
        failure
    })
}

/// What opencode was doing when it was ended, if it was waiting for the model.
pub(super) fn waiting_for(facts: &FoldedFacts) -> Option<String> {
    let activity = activity(facts);
    let failed = stderr::failed_requests(&stderr::lines(&facts.stderr));
    match (activity, failed) {
        (Some(activity), Some(failed)) => Some(format!("{activity}; {failed}")),
        (activity, failed) => activity.or(failed),
    }
}

fn activity(facts: &FoldedFacts) -> Option<String> {
    let sum = &facts.summary;
    if facts.unstarted {
        return Some("its pod had not started opencode yet".to_owned());
    }
    if sum.last_reason.as_deref() == Some("unknown") {
        let steps = sum.steps_finished;
        let text = "the provider's answers ended without a known reason, and it kept asking";
        return Some(format!("{text} ({steps} steps)"));
    }
    if sum.events == 0 {
        let resumed = facts.session.as_ref().and_then(Session::id).is_some();
        let other = if resumed {
            ", or the session it resumed belongs to another directory"
        } else {
            ""
        };
        let text = "it had printed nothing: it was waiting for the model's provider or retrying, which it does silently";
        return Some(format!("{text}{other}"));
    }
    let text = "the output stops inside a step (the model had not finished, or a tool was running)";
    sum.open_step.then(|| text.to_owned())
}

/// The signal behind a shell's exit code.
fn signal_name(exit: i32) -> Option<String> {
    let name = match exit - 128 {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    };
    Some(format!("{name} (exit code {exit})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_started_did_not_wait_for_a_model() {
        let facts = FoldedFacts {
            unstarted: true,
            ..FoldedFacts::default()
        };
        assert_eq!(
            waiting_for(&facts).as_deref(),
            Some("its pod had not started opencode yet")
        );
        let silent = waiting_for(&FoldedFacts::default());
        assert!(silent.is_some_and(|text| text.contains("printed nothing")));
    }
}
