//! Failures of runs that a signal, the kernel or the cluster ended.

use super::facts::FoldedFacts;
use super::failure::OutcomeFailure;
use super::{code, signal_name, stderr};

/// The reason of a container whose Job its queue suspended in mid-run.
pub(crate) const PREEMPTED: &str = "Preempted: its queue suspended the Job";

/// What a kubelet, a scheduler or a control plane calls the end of a pod that it ended as a whole. Words may follow.
const BY_CLUSTER: [&str; 14] = [
    "Evicted",
    "NodeLost",
    "NodeShutdown",
    "Preempting",
    "Preempted",
    "Terminated",
    "Shutdown",
    // A kubelet that was restarted takes the pods of its node in again, and may reject one that works.
    "UnexpectedAdmissionError",
    "NodeAffinity",
    "NodeName",
    "NodePorts",
    "TopologyAffinityError",
    "InvalidNodeInfo",
    "PodOSNotSupported",
];
/// So begins the reason of a pod that a kubelet rejects for want of a resource, whose name follows.
const OUT_OF: &str = "OutOf";

/// What a kubelet calls the end of a container that it or its runtime has lost, as when either was restarted: its exit
/// code is then nobody's.
const LOST: [&str; 2] = ["Unknown", "ContainerStatusUnknown"];

/// Whether this reason says that nobody saw how the container ended.
#[must_use]
pub(crate) fn is_lost(reason: &str) -> bool {
    LOST.contains(&reason)
}

/// What a person does about a memory limit that is too low.
pub(super) const RAISE_MEMORY: &str = "raise *Memory at most* (resources.limits.memory) on the agent's page";

/// The failure, if something from outside ended opencode.
pub(super) fn judge(facts: &FoldedFacts) -> Option<OutcomeFailure> {
    let reason = facts.reason.as_deref().unwrap_or_default();
    if ["ContainerCannotRun", "StartError", "CreateContainerError"].contains(&reason) {
        return Some(OutcomeFailure::new(
            code::START_FAILED,
            "Container not started: the node could not start it",
        ));
    }
    if facts.exit_code == Some(0) && facts.signal.is_none() {
        return None;
    }
    let out_of_memory = reason == "OOMKilled";
    let class = facts.reason_class();
    let by_cluster = BY_CLUSTER.contains(&class) || class.starts_with(OUT_OF);
    let is_lost = is_lost(class);
    let signal = signal(facts).filter(|_| !is_lost);
    if signal.is_none() && !out_of_memory && !by_cluster && !is_lost {
        return None;
    }
    let by = if out_of_memory {
        "ran out of memory: it was killed".to_owned()
    } else {
        let by = signal.as_deref().unwrap_or("the cluster");
        format!("was ended by {by}")
    };
    // Who ended the pod is the reason, and the signal how.
    let first = match (by_cluster, is_lost) {
        (true, _) => format!("{}. ", facts.shown_reason()),
        (_, true) => {
            format!("Node lost the container ({class}): it or its container runtime was restarted. ")
        }
        _ => String::new(),
    };
    // What opencode was doing helps to explain a signal, but not that the memory limit is too low.
    let more = if out_of_memory {
        Some(RAISE_MEMORY.to_owned())
    } else {
        waiting_for(facts)
    };
    let more = more.map(|what| format!("; {what}")).unwrap_or_default();
    let failure = OutcomeFailure::new(
        code::KILLED,
        format!("{first}opencode {by} before the agent was done{more}"),
    );
    Some(OutcomeFailure {
        retryable: !out_of_memory,
        // The next run would go round in the same circle.
        clear_session: facts.is_compacting(),
        ..failure
    })
}

/// Whether the kernel ended opencode for its memory: nothing that it said before explains that better.
pub(super) fn for_memory(facts: &FoldedFacts) -> Option<OutcomeFailure> {
    let is_oom = facts.reason.as_deref() == Some("OOMKilled") && facts.summary.unrecovered == 0;
    judge(facts).filter(|_| is_oom)
}

/// The signal that ended opencode, by itself or as a shell's exit code.
pub(super) fn signal(facts: &FoldedFacts) -> Option<String> {
    let of_exit_code = || facts.exit_code.and_then(signal_of_exit_code);
    facts.signal.clone().or_else(of_exit_code)
}

/// What opencode was doing when it was ended, as far as stream and stderr tell.
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
    if let Some(circle) = facts.circle() {
        return Some(circle);
    }
    if sum.last_reason.as_deref() == Some("unknown") {
        let steps = sum.steps_finished;
        let text = "the provider's answers ended without a known reason, and it kept asking";
        return Some(format!("{text} ({steps} steps)"));
    }
    if sum.events == 0 {
        let other = if facts.resumed().is_some() {
            ", or the session it resumed belongs to another directory"
        } else {
            ""
        };
        let printed = match facts.stdout_excerpt.trim().is_empty() {
            true => "it had printed nothing",
            false => "it had printed no event",
        };
        let text =
            format!("{printed}: it was waiting for the model's provider or retrying, which it does silently");
        return Some(format!("{text}{other}"));
    }
    if sum.clean_stop && sum.has_output() {
        return Some("the agent had given its final answer, and opencode did not end".to_owned());
    }
    let text = "the output stops inside a step (the model had not finished, or a tool was running)";
    sum.open_step.then(|| text.to_owned())
}

/// The signal that a shell's exit code stands for: 128 + n.
fn signal_of_exit_code(exit: i32) -> Option<String> {
    let name = signal_name(exit - 128)?;
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
