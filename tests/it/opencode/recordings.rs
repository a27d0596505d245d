//! Recordings of the real opencode, each with the verdict that a person gives who reads it, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use opencode_k8s::opencode::Transcript;
use opencode_k8s::run::outcome::{Facts, LogState, RunResult, Session as Resumed, resolve};
use serde::Deserialize;
use serde_json::Value;

/// What a person says who reads the recording; `fixtures/opencode/verdicts.json`, which `__test__/adapter` reads, too.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    success: bool,
    /// The agent's last words.
    summary: Option<String>,
    code: Option<String>,
    /// A piece of the message.
    message: Option<String>,
    session: Option<Session>,
    retry: Option<Retry>,
    /// The model the run asked for, where it matters.
    model: Option<String>,
    /// The session that the run resumed, where it matters.
    resumes: Option<String>,
    why: String,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Session {
    /// The id seen in the stream is handed on.
    Kept,
    /// No id was seen: what the host has stays as it is.
    Untouched,
    /// The next run starts a new one.
    Cleared,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Retry {
    /// Not without a change by a person.
    No,
    /// Repeating it may help, but it is not the provider's fault.
    Maybe,
    /// The host may repeat it for the provider's sake.
    TransientUpstream,
    /// Refused by the model.
    ModelRefusal,
}

fn verdicts() -> BTreeMap<String, Verdict> {
    serde_json::from_str(include_str!("../../../fixtures/opencode/verdicts.json")).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/opencode")
}

#[expect(clippy::disallowed_methods, reason = "tests read their fixtures")]
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// The facts as they would be in a pod, where the log is a file and proven.
fn facts(name: &str, verdict: &Verdict) -> Facts {
    let folder = folder().join(name);
    let meta: Value = serde_json::from_str(&text(&folder.join("meta.json"))).unwrap();
    Facts {
        stdout: text(&folder.join("stdout.jsonl")),
        stderr: text(&folder.join("stderr.txt")),
        exit_code: meta["exitCode"].as_i64().map(|code| i32::try_from(code).unwrap()),
        // A code beside a signal: the recorder's shell died by the signal, opencode itself ended well.
        signal: meta["signal"]
            .as_str()
            .filter(|_| meta["exitCode"].is_null())
            .map(str::to_owned),
        log_state: LogState::Proven,
        model: Some(verdict.model.clone().unwrap_or_else(|| "fake/x".to_owned())),
        session: verdict.resumes.clone().map(Resumed::Id),
        ..Facts::default()
    }
}

fn check(name: &str, verdict: &Verdict) {
    let result = resolve(&facts(name, verdict));
    let said = serde_json::to_string_pretty(&result).unwrap();
    assert!(!verdict.why.is_empty(), "{name}");
    assert_eq!(result.exit_code == Some(0), verdict.success, "{name}: {said}");
    assert_eq!(result.error_code, verdict.code.as_deref(), "{name}: {said}");
    assert_eq!(result.error_message.is_none(), verdict.success, "{name}: {said}");
    if verdict.success {
        assert_eq!(result.signal, None, "{name}: {said}");
        assert_eq!(Some(&result.summary), verdict.summary.as_ref(), "{name}: {said}");
        assert!(
            result.session_id.is_some() && !result.clear_session,
            "{name}: {said}"
        );
        return;
    }
    let message = result.error_message.as_deref().unwrap();
    assert!(
        message.contains(verdict.message.as_deref().unwrap()),
        "{name}: {said}"
    );
    let fit = message.len() <= 2048 && !message.contains('\u{1b}') && !message.starts_with('{');
    assert!(fit, "{name}: {said}");
    check_session(name, verdict.session.unwrap(), &result);
    check_retry(name, verdict.retry.unwrap(), &result);
}

fn check_session(name: &str, session: Session, result: &RunResult) {
    assert_eq!(result.clear_session, session == Session::Cleared, "{name}");
    assert_eq!(result.session_id.is_some(), session == Session::Kept, "{name}");
    let params = result
        .session_params
        .as_ref()
        .map(|params| params["sessionId"].as_str().unwrap().to_owned());
    assert_eq!(params, result.session_id, "{name}");
}

fn check_retry(name: &str, retry: Retry, result: &RunResult) {
    let family = match retry {
        Retry::TransientUpstream => Some("transient_upstream"),
        Retry::ModelRefusal => Some("model_refusal"),
        Retry::No | Retry::Maybe => None,
    };
    assert_eq!(result.error_family, family, "{name}");
    let retryable = result.error_meta.as_ref().unwrap()["retryable"]
        .as_bool()
        .unwrap();
    assert_eq!(
        retryable,
        matches!(retry, Retry::Maybe | Retry::TransientUpstream),
        "{name}"
    );
}

#[test]
fn every_recording_gets_the_verdict_of_a_person() {
    for (name, verdict) in verdicts() {
        check(&name, &verdict);
    }
}

#[test]
fn every_recording_has_a_verdict() {
    let folders = std::fs::read_dir(folder())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir());
    let recorded: BTreeSet<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let judged: BTreeSet<String> = verdicts().into_keys().collect();
    assert_eq!(recorded, judged);
}

/// Of a run that was killed while the model was at work, opencode sends an empty message with every later request.
#[test]
fn a_killed_run_leaves_an_empty_message_in_its_session() {
    for name in [
        "resume-after-kill-streaming",
        "resume-after-kill-streaming-refused",
    ] {
        let meta = text(&folder().join(name).join("meta.json"));
        let meta: Value = serde_json::from_str(&meta).unwrap();
        let sent = meta["sent"].as_array().unwrap();
        let empty = sent
            .iter()
            .filter(|message| message["role"] == "assistant" && message["content"] == "");
        assert_eq!(empty.count(), 1, "{name}");
    }
}

/// A log that ends anywhere is never a success, unless it already shows the final step.
#[test]
fn a_shortened_log_is_never_a_success() {
    for (name, verdict) in verdicts() {
        let whole = facts(&name, &verdict);
        let lines: Vec<&str> = whole.stdout.split_inclusive('\n').collect();
        for end in 0..lines.len() {
            let line = lines[end];
            let middle = (0..line.len() / 2)
                .rev()
                .find(|&at| line.is_char_boundary(at))
                .unwrap_or(0);
            let stdout = lines[..end].concat() + &line[..middle];
            let shows_stop = end > 0 && lines[end - 1].contains(r#""reason":"stop""#) && middle == 0;
            let facts = Facts {
                stdout,
                log_state: LogState::Incomplete,
                ..whole.clone()
            };
            let result = resolve(&facts);
            assert!(shows_stop || result.error_code.is_some(), "{name} {end}");
        }
    }
}

/// No run that came to an end by itself looks like one that goes round in a circle, at whatever line it is looked at.
#[test]
fn no_recording_is_in_a_circle() {
    for (name, verdict) in verdicts() {
        let mut transcript = Transcript::new();
        for line in facts(&name, &verdict).stdout.lines() {
            transcript.push_line(line);
            assert_eq!(transcript.circle_now(), None, "{name}");
        }
    }
}
