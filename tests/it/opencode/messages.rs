//! What a person reads when a run failed: every kind names its cause, and nothing that is unfit to show comes along.

use std::path::Path;

use opencode_k8s::run::outcome::{Facts, resolve};
use proptest::prelude::*;
use serde_json::{Value, json};

const START: &str = r#"{"type":"step_start","sessionID":"ses_1","part":{"messageID":"m1"}}"#;

/// The message for these facts; none for a success.
fn message(facts: &Value) -> Option<String> {
    let facts: Facts = serde_json::from_value(facts.clone()).unwrap();
    let result = resolve(&facts);
    if let Some(message) = &result.error_message {
        assert_fit(message);
    }
    for warning in &result.warnings {
        assert_fit(warning);
    }
    result.error_message
}

fn assert_fit(message: &str) {
    assert!(!message.is_empty() && message.len() <= 2048, "{}", message.len());
    assert!(
        !message.contains(|c: char| c.is_control() && !"\n\t".contains(c)),
        "{message:?}"
    );
    assert!(!message.contains("{\""), "raw JSON: {message}");
}

#[expect(clippy::disallowed_methods, reason = "tests read their fixtures")]
fn file(recording: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/opencode");
    String::from_utf8_lossy(&std::fs::read(path.join(recording).join(name)).unwrap()).into_owned()
}

/// The facts of a recording, with others in their place.
fn recorded(recording: &str, other: &Value) -> Value {
    let meta: Value = serde_json::from_str(&file(recording, "meta.json")).unwrap();
    let mut facts = json!({ "stdout": file(recording, "stdout.jsonl"), "stderr": file(recording, "stderr.txt"),
        "exitCode": meta["exitCode"], "logState": "proven", "model": "fake/x" });
    for (key, value) in other.as_object().unwrap() {
        facts[key] = value.clone();
    }
    facts
}

fn of_recording(recording: &str) -> String {
    message(&recorded(recording, &json!({}))).unwrap()
}

fn error(name: &str, data: &Value) -> String {
    let error = json!({ "type": "error", "sessionID": "ses_1", "error": { "name": name, "data": data } });
    format!("{error}\n")
}

fn api_error(message: &str, status: Value, host: &str) -> Value {
    let data = json!({ "message": message, "statusCode": status, "isRetryable": false,
        "metadata": { "url": format!("https://user:hunter2hunter2@{host}/v1/chat?key=sk-verysecretkey") } });
    json!({ "stdout": error("APIError", &data), "exitCode": 1, "logState": "proven" })
}

#[test]
fn messages_are_fit_to_show() {
    let failed = |name: &str, data: Value| {
        let event = json!({"type": "error", "sessionID": "ses_1", "error": {"name": name, "data": data}});
        message(&json!({"stdout": format!("{event}\n"), "exitCode": 1, "logState": "proven", "model": "m/x"}))
            .unwrap()
    };
    let raw = r#"{"type":"error","error":{"message":"bad key sk-abcdefghijklmnop","type":"auth"}}"#;
    assert_eq!(
        failed("APIError", json!({"message": raw, "statusCode": 400})),
        "m answered 400: bad key [redacted]"
    );
    let long = failed("UnknownError", json!({"message": "é".repeat(5000)}));
    assert!(long.len() <= 2048 && long.ends_with('…'));
    let only_json = json!({"stdout": "", "stderr": "{\"type\":\"x\"}", "exitCode": 1, "logState": "proven"});
    assert!(!message(&only_json).unwrap().contains('{'));
}

#[test]
fn a_provider_error_names_provider_and_status() {
    assert_eq!(
        of_recording("http-401"),
        "fake answered 401: Incorrect API key provided: [redacted]"
    );
    for recording in ["http-400", "http-404", "http-429-forever", "http-500-forever"] {
        let status = recording.split('-').nth(1).unwrap();
        let said = of_recording(recording);
        assert!(said.starts_with(&format!("fake answered {status}: ")), "{said}");
    }
    assert!(of_recording("conn-refused").starts_with("fake: Cannot connect to API"));
    // Without a configured model the host of the request says who it was.
    let said = message(&api_error("no", json!(403), "llm.example:8443")).unwrap();
    assert_eq!(said, "llm.example:8443 answered 403: no");
}

#[test]
fn a_prompt_that_is_too_long_by_itself_is_not_repeated() {
    let fresh = recorded("context-exceeded", &json!({}));
    let resumed = recorded("context-exceeded", &json!({ "session": "ses_old" }));
    for (facts, retryable, hint) in [
        (fresh, false, "the prompt alone is too long for this model"),
        (resumed, true, "the next run starts a new session"),
    ] {
        let result = resolve(&serde_json::from_value::<Facts>(facts).unwrap());
        let said = result.error_message.unwrap();
        assert!(said.ends_with(hint), "{said}");
        assert_eq!(
            (
                result.error_meta.unwrap()["retryable"].as_bool(),
                result.clear_session
            ),
            (Some(retryable), true)
        );
    }
}

#[test]
fn a_wrong_model_names_its_real_cause() {
    for (recording, model, cause) in [
        ("logged-unknown-model", "fake/nope", "Model not found: fake/nope."),
        ("logged-unknown-provider", "nobody/x", "Model not found: nobody/x"),
    ] {
        let said = message(&recorded(recording, &json!({ "model": model }))).unwrap();
        assert!(said.starts_with(cause), "{said}");
    }
    // Without a log the message says what was asked for and where such an error comes from.
    let said = message(&recorded("unknown-model", &json!({ "model": "fake/nope" }))).unwrap();
    assert!(
        said.contains("\"fake/nope\"") && said.contains("before the first step"),
        "{said}"
    );
}

#[test]
fn an_earlier_log_line_is_not_the_cause() {
    let log = "timestamp=1 level=ERROR message=\"stream error\" providerID=fake error.error=\"AError: an older one\"\n\
               timestamp=1 level=ERROR ref=err_2 error=\"BError: of another run\"\n";
    let data =
        json!({ "message": "Unexpected server error. Check server logs for details.", "ref": "err_1" });
    let said = message(
        &json!({ "stdout": error("UnknownError", &data), "stderr": log, "exitCode": 1,
        "logState": "proven", "model": "fake/x" }),
    )
    .unwrap();
    assert!(!said.contains("older") && !said.contains("another run"), "{said}");
}

#[test]
fn missing_ripgrep_names_the_remedy() {
    let facts = recorded("logged-no-ripgrep", &json!({}));
    let result = resolve(&serde_json::from_value::<Facts>(facts.clone()).unwrap());
    assert_eq!(result.error_message, None);
    assert!(
        result
            .warnings
            .iter()
            .any(|said| said.contains("install it in the agent's image")),
        "{:?}",
        result.warnings
    );
    // A run that fails later says it, too.
    let lines: Vec<&str> = facts["stdout"].as_str().unwrap().lines().collect();
    let half = lines[..lines.len() - 3].join("\n") + "\n";
    let said = message(&recorded(
        "logged-no-ripgrep",
        &json!({ "stdout": half, "exitCode": 1 }),
    ))
    .unwrap();
    assert!(said.contains("no ripgrep (rg); install it"), "{said}");
}

#[test]
fn a_full_disk_is_named() {
    let said = of_recording("logged-disk-full");
    assert!(
        said.starts_with("A disk is full: ") && said.contains("database or disk is full"),
        "{said}"
    );
    assert!(of_recording("disk-full-at-start").contains("is the disk full or read-only?"));
    for text in [
        "ENOSPC: no space left on device, write",
        "sh: write error: Disk quota exceeded",
    ] {
        for facts in [
            json!({ "stderr": text, "exitCode": 1, "logState": "proven" }),
            json!({ "stdout": format!("{START}\n{{\"type\":\"te"), "stderr": text, "exitCode": 0, "logState": "proven" }),
            json!({ "stdout": error("UnknownError", &json!({ "message": text })), "exitCode": 1, "logState": "proven" }),
        ] {
            let said = message(&facts).unwrap();
            assert!(said.starts_with(&format!("A disk is full: {text}")), "{said}");
        }
    }
    // The provider's own disk is not ours.
    let said = message(&api_error("disk is full", json!(500), "llm.example")).unwrap();
    assert!(said.starts_with("llm.example answered 500"), "{said}");
}

#[test]
fn a_dead_session_is_named() {
    let facts = recorded("unknown-session", &json!({ "session": "ses_dead" }));
    assert_eq!(
        message(&facts).unwrap(),
        "Session not found: opencode does not know ses_dead; the next run starts a new session"
    );
    assert!(of_recording("logged-malformed-session").starts_with("Session not found"));
}

#[test]
fn a_rejected_permission_names_its_rule() {
    for (recording, rule) in [
        ("permission-external-default", "external_directory (/etc/*)"),
        (
            "logged-permission-external-default",
            "external_directory (/etc/*)",
        ),
        ("permission-bash-ask", "bash (echo hi)"),
        ("same-call-one-step", "doom_loop (bash)"),
    ] {
        let said = of_recording(recording);
        assert!(
            said.starts_with(&format!("Permission rejected: {rule}. ")),
            "{said}"
        );
        assert!(said.contains("*Skip permission questions*"), "{said}");
    }
}

#[test]
fn a_stalled_provider_is_named() {
    let late = json!({ "exitCode": 143, "timedOut": true, "timeoutSec": 90 });
    let said = message(&recorded("stall-before-stream", &late)).unwrap();
    assert!(
        said.starts_with(
            "Timed out after 90s; it had printed nothing: it was waiting for the model's provider"
        ),
        "{said}"
    );
    let said = message(&recorded("stall-mid-stream", &late)).unwrap();
    assert!(said.contains("the output stops inside a step"), "{said}");
    // What the log says about its silent retries comes along.
    for other in [late, json!({ "exitCode": 137, "reason": "Error" })] {
        let said = message(&recorded("logged-http-429-retry-after-3600", &other)).unwrap();
        assert!(
            said.contains("; fake failed once with: Rate limit reached"),
            "{said}"
        );
    }
}

#[test]
fn secrets_stay_out() {
    let key = "sk-verysecretkey0123";
    let said = format!("bad key {key}, Authorization: Bearer abcdefghijkl, https://u:pa55word@h/x");
    let log = format!(
        "timestamp=1 level=ERROR message=\"stream error\" providerID=fake error.error=\"AError: {said}\""
    );
    for facts in [
        api_error(&said, json!(401), "llm.example"),
        api_error(&said, Value::Null, "llm.example"),
        json!({ "stderr": said, "exitCode": 1, "logState": "proven" }),
        json!({ "stdout": START, "stderr": log, "exitCode": 143, "logState": "proven" }),
        json!({ "stdout": said, "exitCode": 1, "logState": "proven" }),
        json!({ "stdout": START, "exitCode": 1, "logState": "unproven", "reason": said }),
    ] {
        let shown = message(&facts).unwrap();
        for secret in [key, "abcdefghijkl", "pa55word", "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Pieces of which an opencode in trouble could make its last words.
fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\u{1b}[91m\u{1b}[1mError: \u{1b}[0m".to_owned()),
        Just("\u{9b}31m\u{7}\u{0}".to_owned()),
        Just("{\"type\":\"error\",\"error\":{\"message\":\"inner\"}}".to_owned()),
        Just("[{\"a\":1}]".to_owned()),
        Just("timestamp=1 level=ERROR message=\"stream error\" error.error=\"".to_owned()),
        Just("\n".to_owned()),
        Just(" ".to_owned()),
        Just("é".repeat(3000)),
        ".{0,40}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_last_words_are_made_fit_to_show(
        stderr in words(), said in words(), reason in words(), exit in prop::option::of(0..150_i32), name in 0..4_usize,
    ) {
        let name = ["APIError", "UnknownError", "ContextOverflowError", "ProviderAuthError"][name];
        for stdout in [error(name, &json!({ "message": said })), said.clone(), String::new()] {
            message(&json!({ "stdout": stdout, "stderr": stderr, "exitCode": exit, "reason": reason, "logState": "proven" }));
        }
    }
}
