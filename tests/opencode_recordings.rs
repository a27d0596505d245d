//! Recordings of the real opencode, each with the verdict that a person gives who reads it, and why.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test that panics has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use opencode_k8s::run::outcome::{Facts, LogState, RunResult, resolve};
use serde_json::Value;

/// What a person says.
enum Verdict {
    /// It did its work; the agent's last words.
    Success(&'static str),
    /// Code, a piece of the message, whether the session is kept, whether the same run may go better next time.
    Failure(&'static str, &'static str, Session, Retry),
}
use Verdict::{Failure, Success};

#[derive(PartialEq)]
enum Session {
    /// The id seen in the stream is handed on.
    Kept,
    /// No id was seen: what the host has stays as it is.
    Untouched,
    Cleared,
}
use Session::{Cleared, Kept, Untouched};

#[derive(PartialEq)]
enum Retry {
    /// Not without a change by a person.
    No,
    /// The host may repeat it for the provider's sake: its family.
    Family(&'static str),
    /// Repeating it may help, but it is not the provider's fault.
    Maybe,
    /// Refused by the model; its family.
    Refusal,
}
use Retry::{Family, Maybe, No, Refusal};

const UPSTREAM: Retry = Family("transient_upstream");

#[rustfmt::skip]
const VERDICTS: &[(&str, Verdict, &str)] = &[
    ("plain-text", Success("Hello from the fake model."), "one answer, stop"),
    ("multi-step-tools", Success("The file is fixed."), "the last words, not 'I will list the files first'; bash exit 3 is a tool result"),
    ("two-text-parts", Success("The last word."), "the first remark is an intermediate one"),
    ("anthropic", Success("Finished."), "thinking and cache tokens do not matter to the verdict"),
    ("openai-responses", Success("Finished."), "the same over the Responses API"),
    ("multibyte", Success("完成"), "the text survives; U+2028 is no line end"),
    ("reasoning", Success("Hi."), "reasoning is not printed without --thinking"),
    ("reasoning-thinking-flag", Success("Hi."), "reasoning is not the answer"),
    ("git-workspace", Success("All done."), "snapshots change nothing"),
    ("bash-timeout", Success("All done."), "a tool's timeout is a tool result"),
    ("same-call-loop", Success("All done."), "six equal calls in six steps are fine"),
    ("tool-error", Success("The file does not exist."), "a tool error is not an error of the run"),
    ("tool-invalid", Success("All done."), "wrong calls are told to the model, which goes on"),
    ("permission-bash-deny", Success("Finished."), "a deny rule is an error the model sees and works around"),
    ("permission-external-deny", Success("Finished."), "the same"),
    ("step-limit", Success("Summary after the limit."), "the limit is no hard one and leaves no mark"),
    ("step-limit-text", Success("Maximum steps reached; summary."), "the agent says so itself"),
    ("unknown-agent", Success("All done."), "only a warning; the default agent ran"),
    ("http-429-no-header-then-ok", Success("All done."), "silent retries, then an answer"),
    ("stall-chunk-timeout", Success("All done."), "a stalled stream was retried: two step_start, one answer"),
    ("stream-cut-destroy", Success("All done."), "the same after a reset"),
    ("stream-error-chunk", Success("All done."), "the same after an error object"),
    ("stream-cut-eof", Success("All done."), "'The answer is ' belongs to an attempt that was cut"),
    ("stream-cut-tool", Success("All done."), "the first attempt ended without a reason, the second with stop"),
    ("openai-responses-cut-json", Success("All done."), "'Half an' comes late, after its step, and is not the answer"),
    ("finish-unknown", Success("All done."), "opencode asked again and got an answer"),
    ("not-sse", Success("All done."), "the same after an HTML page"),
    ("finish-length", Success("The answer begins and"), "cut at the output limit: an answer, with a warning"),
    ("auto-compaction", Success("All done."), "the compaction's stop is not the end, its summary not the answer"),
    ("context-exceeded-compacts", Success("All done."), "exit 1, but compaction worked and the agent finished"),
    ("context-exceeded-retry", Success("All done."), "a session that overflowed before works again"),
    ("resume-session", Success("Second answer."), "a resumed session"),
    ("resume-after-kill", Success("Second answer."), "a session whose first run was killed works"),
    ("resume-other-cwd-dir-flag", Success("Second answer."), "resumed with --dir"),
    ("same-session-twice", Success("Answer 1."), "two processes, one session: each has its own answer"),
    ("sigterm-shell", Success("Streaming word"), "the shell was killed, opencode went on to its final step"),

    ("zero-output", Failure("llm_api_error", "empty response", Kept, Maybe), "stop, but not a single token"),
    ("http-400", Failure("provider_rejected_request", "fake answered 400: bad request", Kept, No), "the request is wrong"),
    ("http-401", Failure("provider_auth", "fake answered 401: Incorrect API key", Kept, No), "the key is wrong"),
    ("tee-hides-failure", Failure("provider_auth", "401", Kept, No), "exit 0 by tee; the stream says 401"),
    ("http-404", Failure("model_not_found", "404: Not Found: no such model", Kept, No), "the provider does not have the model"),
    ("http-429-forever", Failure("provider_rate_limited", "429: Rate limit reached", Kept, UPSTREAM), "after opencode's five retries"),
    ("http-500-forever", Failure("provider_unavailable", "500: The server had an error", Kept, UPSTREAM), "after opencode's five retries"),
    ("conn-refused", Failure("provider_unavailable", "Cannot connect to API", Kept, UPSTREAM), "nobody listens"),
    ("malformed-chunk", Failure("stream_eof_transient", "JSON parsing failed", Kept, UPSTREAM), "the provider's stream broke, the session is fine"),
    ("finish-content-filter", Failure("content_filtered", "content filter", Kept, Refusal), "blocked by the provider"),
    ("context-exceeded", Failure("context_overflow", "maximum context length is 128000", Cleared, Maybe), "compaction failed too: this session would only fail again"),
    ("anthropic-prompt-too-long", Failure("context_overflow", "prompt is too long", Cleared, Maybe), "the same in Anthropic's words"),
    ("permission-bash-ask", Failure("permission_rejected", "bash (echo hi)", Kept, No), "exit 0, no answer: the rule is only on stderr"),
    ("permission-external-default", Failure("permission_rejected", "external_directory (/etc/*)", Kept, No), "the same for a file outside the workspace"),
    ("permission-env-file", Failure("permission_rejected", "read (paperclip/workspace/.env)", Kept, No), "the same for .env"),
    ("same-call-one-step", Failure("permission_rejected", "doom_loop (bash)", Kept, No), "four equal calls in one step: exit 1 and an UnknownError"),
    ("unknown-session", Failure("session_unavailable", "Session not found", Cleared, Maybe), "only stderr says so; the next run must start fresh"),
    ("malformed-session", Failure("session_unavailable", "Session not found", Cleared, Maybe), "the same for an id of the wrong form"),
    ("resume-db-copied-without-wal", Failure("session_unavailable", "Session not found", Cleared, Maybe), "the database lost its -wal"),
    ("unknown-model", Failure("opencode_error", "a model, provider or command it does not know; this run asked for \"fake/nope\"", Kept, No), "the stream does not name the cause; the message says where to look"),
    ("model-without-slash", Failure("model_not_found", "\"nope\" names no provider", Kept, No), "the configured model shows what is wrong"),
    ("unknown-model-print-logs", Failure("model_not_found", "Model not found: fake/nope.", Kept, No), "opencode's log names the cause; it is not a lost session"),
    ("command-compact", Failure("opencode_error", "Unexpected server error", Kept, No), "nothing names the cause"),
    ("blank-prompt", Failure("opencode_start_failed", "You must provide a message", Untouched, No), "no prompt"),
    ("db-missing-dir", Failure("opencode_start_failed", "unable to open database file", Untouched, No), "no database"),
    ("invalid-config", Failure("opencode_start_failed", "Expected PermissionActionConfig, got \"perhaps\"", Untouched, No), "bad configuration"),
    ("project-config-broken", Failure("opencode_start_failed", "opencode.json is not valid JSON", Untouched, No), "bad configuration of the project"),
    ("unknown-flag", Failure("opencode_start_failed", "an unknown option", Untouched, No), "stderr is the usage and does not name the option"),
    ("sigint-streaming", Failure("opencode_killed", "SIGINT", Kept, Maybe), "killed before it was done"),
    ("sigkill-streaming", Failure("opencode_killed", "SIGKILL", Kept, Maybe), "killed before it was done"),
    ("sigterm-streaming", Failure("opencode_killed", "SIGTERM", Kept, Maybe), "killed before it was done"),
    ("sigterm-tool", Failure("opencode_killed", "SIGTERM", Kept, Maybe), "'Running a tool.' is not a final answer"),
    ("sigterm-pid1-trap", Failure("opencode_killed", "SIGTERM", Kept, Maybe), "killed before it was done"),
    ("sigterm-pid1-shell", Failure("opencode_killed", "SIGKILL", Kept, Maybe), "TERM was swallowed, KILL ended it"),
    ("slow-reader-64k-per-1ms", Failure("k8s_log_incomplete", "in the middle of a line", Kept, Maybe), "exit 0, but the answer is cut: never a success"),
    ("stdout-closed-early", Failure("k8s_log_incomplete", "EPIPE", Kept, Maybe), "exit 0, but nobody read the answer"),
    ("conn-reset", Failure("opencode_killed", "waiting for the model's provider or retrying", Untouched, Maybe), "ended by the recorder while it retried silently"),
    ("http-429-quota", Failure("opencode_killed", "waiting for the model's provider", Untouched, Maybe), "the same"),
    ("http-429-retry-after-3600", Failure("opencode_killed", "waiting for the model's provider", Untouched, Maybe), "the same"),
    ("http-503-html", Failure("opencode_killed", "waiting for the model's provider", Untouched, Maybe), "the same"),
    ("stall-before-stream", Failure("opencode_killed", "waiting for the model's provider", Untouched, Maybe), "the provider never answered"),
    ("resume-other-cwd", Failure("opencode_killed", "printed nothing", Untouched, Maybe), "hung: the session belongs to another directory"),
    ("stall-mid-stream", Failure("opencode_killed", "inside a step", Kept, Maybe), "the stream stalled"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/opencode")
}

#[expect(clippy::disallowed_methods, reason = "tests read their fixtures")]
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// The facts as they would be in a pod, where the log is a file and proven.
fn facts(name: &str) -> Facts {
    let folder = folder().join(name);
    let meta: Value = serde_json::from_str(&text(&folder.join("meta.json"))).unwrap();
    let model = match name {
        "unknown-model" | "unknown-model-print-logs" => "fake/nope",
        "model-without-slash" => "nope",
        _ => "fake/x",
    };
    Facts {
        stdout: text(&folder.join("stdout.jsonl")),
        stderr: text(&folder.join("stderr.txt")),
        exit_code: meta["exitCode"].as_i64().map(|code| i32::try_from(code).unwrap()),
        signal: meta["signal"]
            .as_str()
            .filter(|_| meta["exitCode"].is_null())
            .map(str::to_owned),
        log_state: LogState::Proven,
        model: Some(model.to_owned()),
        ..Facts::default()
    }
}

fn check(name: &str, verdict: &Verdict, facts: &Facts) {
    // sigterm-shell: the recorder's shell died by the signal, opencode itself ended well.
    let result = resolve(facts);
    let said = serde_json::to_string_pretty(&result).unwrap();
    assert_eq!(
        result.exit_code == Some(0),
        result.error_message.is_none(),
        "{name}: {said}"
    );
    match verdict {
        Success(words) => {
            assert_eq!(
                (result.exit_code, result.signal.as_deref(), result.error_code),
                (Some(0), None, None),
                "{name}: {said}"
            );
            assert!(result.summary.contains(words), "{name}: {said}");
            assert!(
                result.session_id.is_some() && !result.clear_session,
                "{name}: {said}"
            );
        }
        Failure(code, piece, session, retry) => {
            let message = result.error_message.as_deref().unwrap();
            assert_eq!(result.error_code, Some(*code), "{name}: {said}");
            assert!(message.contains(piece), "{name}: {said}");
            assert_ne!(result.exit_code, Some(0), "{name}");
            assert!(
                message.len() <= 2048 && !message.contains('\u{1b}') && !message.starts_with('{'),
                "{name}: {said}"
            );
            check_session(name, session, &result);
            check_retry(name, retry, &result);
        }
    }
}

fn check_session(name: &str, session: &Session, result: &RunResult) {
    assert_eq!(result.clear_session, *session == Cleared, "{name}");
    assert_eq!(result.session_id.is_some(), *session == Kept, "{name}");
    let params = result
        .session_params
        .as_ref()
        .map(|params| params["sessionId"].as_str().unwrap().to_owned());
    assert_eq!(params, result.session_id, "{name}");
}

fn check_retry(name: &str, retry: &Retry, result: &RunResult) {
    let family = match retry {
        Family(family) => Some(*family),
        Refusal => Some("model_refusal"),
        No | Maybe => None,
    };
    assert_eq!(result.error_family, family, "{name}");
    let retryable = result.error_meta.as_ref().unwrap()["retryable"]
        .as_bool()
        .unwrap();
    assert_eq!(retryable, matches!(retry, Maybe | Family(_)), "{name}");
}

#[test]
fn every_recording_gets_the_verdict_of_a_person() {
    for (name, verdict, _why) in VERDICTS {
        check(name, verdict, &facts(name));
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
    let judged: BTreeSet<String> = VERDICTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(recorded, judged);
}

/// A log that ends anywhere is never a success, unless it already shows the final step.
#[test]
fn a_shortened_log_is_never_a_success() {
    for (name, ..) in VERDICTS {
        let whole = facts(name);
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
