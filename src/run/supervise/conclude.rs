//! From what was seen to the host's result.

use serde_json::Value;

use crate::cluster::conditions::ContainerEnd;
use crate::config::session::SESSION_CWD;
use crate::config::{Json as _, RunSpec};
use crate::manifest::exit_codes;
use crate::run::job::end::{Evidence, RunEnd};
use crate::run::outcome::{
    FoldedFacts, LogState, Session, code, is_lost, resolve_folded, signal_name, without_secrets,
};
use crate::run::redact::display::Redactor;
use crate::run::report::{Harvest, LogReport, Outcome, Report};
use crate::run::supervise::deliver::Delivery;
use crate::tail::EndRecord;
use crate::tail::follower::Proof;
use crate::tail::record::split_termination_message;

/// In an end record: the volume has not taken all that opencode wrote.
const LOG_LOST: &str = "log_lost";
const LOST_OUTPUT: &str = "the shared volume lost a part of what opencode wrote";

/// What is known when a run is over.
pub struct EndFacts<'a> {
    /// The run.
    pub spec: &'a RunSpec,
    /// What ended it.
    pub end: &'a RunEnd,
    /// No start record was found on the volume.
    pub unstarted: bool,
    /// The agent's output.
    pub delivered: Delivery,
    /// The end of the agent's stderr.
    pub stderr: String,
}

/// Judges the run.
#[must_use]
pub fn judge(known: EndFacts<'_>) -> Report {
    let nothing = Evidence::default();
    let evidence = known.end.evidence().unwrap_or(&nothing);
    let (record, container) = (evidence.record.as_ref(), evidence.container.as_ref());
    let proof = match reason_in(record) {
        // The lines are the file's, and the file is not all that opencode wrote.
        Some(LOG_LOST) => Proof::Failed(LOST_OUTPUT.to_owned()),
        _ => known.delivered.proof.clone(),
    };
    let log_state = match proof {
        Proof::Proven => LogState::Proven,
        Proof::Counted => LogState::Counted,
        Proof::Unproven => LogState::Unproven,
        Proof::Incomplete { .. } | Proof::Failed(_) => LogState::Incomplete,
    };
    let exit_code = record.map(|record| record.exit);
    let redactor = Redactor::of(known.spec);
    let is_of_others = matches!(
        known.end,
        RunEnd::DeadlineExceeded {
            is_of_others: true,
            ..
        }
    );
    let timeout = known.spec.settings.timeout_sec.filter(|_| !is_of_others);
    let mut outcome = resolve_folded(&FoldedFacts {
        stderr: redactor.hide(&stderr(&known, container)).into_owned(),
        exit_code: exit_code.or(container.map(|end| end.exit_code)),
        signal: record
            .and_then(|record| record.signal)
            .map(|number| signal_name(number).map_or_else(|| format!("signal {number}"), str::to_owned)),
        reason: reason(known.end, evidence).map(|reason| redactor.hide(&reason).into_owned()),
        log_state,
        timed_out: matches!(known.end, RunEnd::DeadlineExceeded { .. }),
        timeout_sec: timeout.map(|seconds| seconds as f64),
        silent_for_sec: matches!(known.end, RunEnd::Silent { .. })
            .then_some(known.spec.settings.silence_timeout_sec),
        cancelled: matches!(known.end, RunEnd::Cancelled { .. }),
        model: Some(known.spec.settings.model.clone()).filter(|model| !model.is_empty()),
        session: session(known.spec),
        ended_in_circle: matches!(known.end, RunEnd::InCircle { .. }),
        unstarted: known.unstarted && record.is_none() && known.delivered.bytes == 0,
        summary: known.delivered.transcript.finish(),
        stdout_excerpt: known.delivered.excerpt.finish(),
    });
    outcome.redact(&|text| redactor.hide(text).into_owned());
    Report {
        outcome: Outcome::Judged(Box::new(outcome)),
        log: Some(LogReport {
            bytes: known.delivered.bytes,
            proof: proof_word(&proof),
        }),
        is_acknowledged: false,
        harvest: Harvest::default(),
    }
}

/// A word for the state of the log, with numbers where bytes are missing.
#[must_use]
pub fn proof_word(proof: &Proof) -> String {
    match proof {
        Proof::Proven => "proven".to_owned(),
        Proof::Counted => "counted".to_owned(),
        Proof::Unproven => "unproven".to_owned(),
        Proof::Incomplete { have, want } => format!("incomplete: {have} of {want} bytes"),
        Proof::Failed(message) => format!("incomplete: {message}"),
    }
}

/// The stderr file, or what the kubelet kept of the output when there is none.
fn stderr(known: &EndFacts<'_>, container: Option<&ContainerEnd>) -> String {
    if !known.stderr.trim().is_empty() {
        return known.stderr.clone();
    }
    let message = container.map(|end| end.message.as_str()).unwrap_or_default();
    let (_, text) = split_termination_message(message, &known.spec.run.id);
    if text.len() < CUT_FROM {
        return text.to_owned();
    }
    // The pod puts so many bytes of stderr's end there: they may begin within a secret, and half of one is not known.
    let whole = text.split_once(char::is_whitespace);
    whole.map_or("", |(_, rest)| rest).to_owned()
}

/// What the script says in its record beside the end.
fn reason_in(record: Option<&EndRecord>) -> Option<&str> {
    record?.reason.as_deref()
}

/// Bytes of a termination message from which on its text may be cut: `pod.sh` takes 1,500, the kubelet 2,048 or 4,096,
/// and white space at its ends is gone.
const CUT_FROM: usize = 1_400;

/// What the container, the pod or the script says about the end.
fn reason(end: &RunEnd, evidence: &Evidence) -> Option<String> {
    let record = evidence.record.as_ref();
    if reason_in(record) == Some("log_too_large") {
        return Some(code::LOG_TOO_LARGE.to_owned());
    }
    let of_container = evidence.container.as_ref().and_then(|end| {
        let of_script = record
            .is_none()
            .then(|| exit_codes::describe(end.exit_code))
            .flatten();
        // The record knows more than a node that has lost the container.
        let of_node = end
            .reason
            .clone()
            .filter(|said| record.is_none() || !is_lost(said));
        of_script.map(str::to_owned).or(of_node)
    });
    let says_nothing = of_container
        .as_deref()
        .is_none_or(|reason| matches!(reason, "Completed" | "Error"));
    if says_nothing && reason_in(record) == Some(LOG_LOST) {
        return Some(LOST_OUTPUT.to_owned());
    }
    of_container.or_else(|| match end {
        RunEnd::Lost { why, .. } => Some(why.clone()),
        _ => None,
    })
}

/// The session of this run with what is stored beside its id.
fn session(spec: &RunSpec) -> Option<Session> {
    let workspace = spec.run.context.member("paperclipWorkspace");
    let text = |key: &str| {
        workspace
            .and_then(|workspace| workspace.text(key))
            .map(str::to_owned)
    };
    let pairs = [
        ("sessionId", spec.run.resume.session_id.clone()),
        ("cwd", Some(spec.run.working_dir.clone())),
        (SESSION_CWD, Some(spec.run.working_dir.clone())),
        ("workspaceId", text("workspaceId")),
        // The host keeps it with the session, and it may hold a token.
        ("repoUrl", text("repoUrl").map(|url| without_secrets(&url))),
        ("repoRef", text("repoRef")),
    ];
    let params = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::String(value?))))
        .collect();
    Some(Session::Params(params))
}
