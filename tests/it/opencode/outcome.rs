//! The judgement over facts that no single recording has: how the parts work together.

use opencode_k8s::run::outcome::{Facts, RunResult, resolve};
use serde_json::{Value, json};

pub(super) const START: &str = r#"{"type":"step_start","sessionID":"ses_1","part":{"messageID":"m1"}}"#;
pub(super) const TEXT: &str =
    r#"{"type":"text","sessionID":"ses_1","part":{"messageID":"m1","text":"Done."}}"#;
pub(super) const STOP: &str = r#"{"type":"step_finish","sessionID":"ses_1","part":{"messageID":"m1","reason":"stop","tokens":{"input":10,"output":5,"reasoning":2,"cache":{"read":3,"write":1}},"cost":0.5}}"#;
pub(super) const CALLS: &str = r#"{"type":"step_finish","sessionID":"ses_1","part":{"messageID":"m1","reason":"tool-calls","tokens":{"input":10,"output":5}}}"#;

pub(super) fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

pub(super) fn error(name: &str, data: &Value) -> String {
    json!({ "type": "error", "sessionID": "ses_1", "error": { "name": name, "data": data } }).to_string()
}

/// The result for facts given as the JavaScript side gives them.
fn judge(facts: &Value) -> RunResult {
    resolve(&serde_json::from_value::<Facts>(facts.clone()).unwrap())
}

fn code(facts: &Value) -> Option<&'static str> {
    judge(facts).error_code
}

#[test]
fn a_success_in_the_hosts_words() {
    let stdout = lines(&[START, TEXT, STOP]);
    let session = json!({ "sessionId": "ses_0", "cwd": "/w", "repoUrl": "u" });
    let result = judge(
        &json!({ "stdout": stdout, "stderr": "", "exitCode": 0, "logState": "proven",
        "model": "openrouter/anthropic/claude", "session": session, "signal": null, "reason": "Completed" }),
    );
    let result = serde_json::to_value(&result).unwrap();
    for (field, wanted) in [
        ("exitCode", json!(0)),
        ("signal", Value::Null),
        ("timedOut", json!(false)),
        ("errorMessage", Value::Null),
        ("errorCode", Value::Null),
        (
            "usage",
            json!({ "inputTokens": 11, "outputTokens": 7, "cachedInputTokens": 3 }),
        ),
        ("usageBasis", json!("per_run")),
        ("sessionId", json!("ses_1")),
        ("sessionDisplayId", json!("ses_1")),
        (
            "sessionParams",
            json!({ "sessionId": "ses_1", "cwd": "/w", "repoUrl": "u" }),
        ),
        ("provider", json!("openrouter")),
        ("model", json!("anthropic/claude")),
        ("billingType", json!("unknown")),
        ("costUsd", json!(0.5)),
        ("summary", json!("Done.")),
        ("clearSession", json!(false)),
    ] {
        assert_eq!(result[field], wanted, "{field}");
    }
    assert_eq!(result["resultJson"]["stdout"], json!(stdout));
}

#[test]
fn the_table_of_log_states() {
    let done = lines(&[START, TEXT, STOP]);
    let half = lines(&[START, TEXT]);
    let cases = [
        (&done, json!(0), "proven", None),
        (&done, json!(1), "proven", None),
        (&done, json!(137), "proven", None),
        (&done, json!(null), "unproven", None),
        (&done, json!(0), "incomplete", None),
        (&half, json!(0), "proven", None),
        (&half, json!(0), "unproven", Some("unknown_outcome")),
        (&half, json!(null), "unproven", Some("unknown_outcome")),
        (&half, json!(0), "incomplete", Some("k8s_log_incomplete")),
        (&half, json!(1), "incomplete", Some("k8s_log_incomplete")),
        (&half, json!(1), "proven", Some("opencode_error")),
        (&half, json!(137), "unproven", Some("opencode_killed")),
    ];
    for (stdout, exit, state, wanted) in cases {
        let result = judge(&json!({ "stdout": stdout, "exitCode": exit, "logState": state }));
        assert_eq!(result.error_code, wanted, "{stdout} {exit} {state}");
        assert_eq!(result.error_message.is_some(), wanted.is_some());
        assert_eq!(result.exit_code == Some(0), wanted.is_none());
        assert_eq!(
            result.session_id.as_deref(),
            Some("ses_1"),
            "kept: {stdout} {exit} {state}"
        );
    }
}

#[test]
fn ended_by_us() {
    let half = lines(&[START, TEXT]);
    let done = lines(&[START, TEXT, STOP]);
    let cancelled = judge(
        &json!({ "stdout": done, "exitCode": 143, "logState": "proven", "cancelled": true, "timedOut": true }),
    );
    assert_eq!(
        (cancelled.exit_code, cancelled.error_code, cancelled.timed_out),
        (None, Some("cancelled"), false)
    );
    let late = judge(
        &json!({ "stdout": half, "exitCode": 143, "logState": "proven", "timedOut": true, "timeoutSec": 90 }),
    );
    assert_eq!((late.error_code, late.timed_out), (Some("timeout"), true));
    assert!(late.error_message.unwrap().starts_with("Timed out after 90s"));
    assert_eq!(
        code(&json!({ "stdout": half, "reason": "DeadlineExceeded", "logState": "unproven" })),
        Some("timeout")
    );
    assert_eq!(
        code(&json!({ "stdout": done, "exitCode": 0, "logState": "proven", "timedOut": true })),
        None
    );
    assert_eq!(
        code(&json!({ "stdout": "no event\n", "exitCode": 0, "logState": "proven", "timedOut": true })),
        Some("timeout"),
        "a stub that outlives its deadline has finished nothing"
    );
    assert_eq!(
        code(
            &json!({ "stdout": done, "exitCode": 143, "logState": "proven", "reason": "k8s_log_too_large" })
        ),
        Some("k8s_log_too_large")
    );
}

#[test]
fn the_container_reason_joins_the_message() {
    let failed = lines(&[
        START,
        &error(
            "APIError",
            &json!({ "message": "server down", "statusCode": 500, "isRetryable": true }),
        ),
    ]);
    let result = judge(
        &json!({ "stdout": failed, "exitCode": 137, "logState": "unproven", "reason": "OOMKilled", "model": "acme/m" }),
    );
    assert_eq!(
        result.error_message.unwrap(),
        "acme answered 500: server down; Pod exited: OOMKilled (exit 137)"
    );
    let killed = judge(
        &json!({ "stdout": lines(&[START]), "exitCode": 137, "logState": "unproven", "reason": "OOMKilled" }),
    );
    assert_eq!(killed.error_code, Some("opencode_killed"));
    let message = killed.error_message.unwrap();
    assert!(message.contains("ran out of memory") && message.contains("resources.limits.memory"));
    assert!(!message.contains("provider"), "{message}");
    let child = json!({ "stdout": lines(&[START, TEXT, STOP]), "exitCode": 0, "logState": "proven", "reason": "OOMKilled" });
    assert_eq!(code(&child), None, "a tool child was killed, the agent was not");
}

#[test]
fn who_ended_the_pod_stands_first() {
    let half = lines(&[START, TEXT]);
    let words = "The node was low on resource: memory. ";
    for class in [
        "Evicted",
        "Preempting",
        "Preempted",
        "Terminated",
        "NodeShutdown",
        "NodeLost",
        // A kubelet that was restarted takes its pods in again, or not.
        "UnexpectedAdmissionError",
        "NodeAffinity",
        "OutOfnvidia.com/gpu",
    ] {
        for reason in [class.to_owned(), format!("{class}: {words}")] {
            // opencode may answer a TERM with a code of its own, and an evicted container may show none.
            for exit in [json!(137), json!(143), json!(1), json!(null)] {
                let facts =
                    json!({ "stdout": half, "exitCode": exit, "logState": "unproven", "reason": reason });
                let result = judge(&facts);
                assert_eq!(result.error_code, Some("opencode_killed"), "{facts}");
                let message = result.error_message.unwrap();
                assert!(
                    message.starts_with(reason.trim_end_matches(['.', ' '])),
                    "{message}"
                );
                assert_eq!(message.matches(class).count(), 1, "{message}");
            }
        }
    }
    let by_pod = json!({ "stdout": half, "exitCode": 137, "logState": "unproven",
        "reason": "DeadlineExceeded: Pod was active on the node longer than the specified deadline" });
    assert_eq!(code(&by_pod), Some("timeout"));
    let ended = lines(&[START, TEXT, STOP]);
    let in_time = json!({ "stdout": ended, "exitCode": 0, "logState": "proven", "reason": format!("Evicted: {words}") });
    assert_eq!(code(&in_time), None);
}

/// The exit code of a container that its node or its runtime has lost is nobody's.
#[test]
fn a_container_that_its_node_has_lost_did_not_end_by_itself() {
    for (reason, exit) in [("Unknown", 255), ("ContainerStatusUnknown", 137)] {
        for stdout in [String::new(), lines(&[START, TEXT])] {
            let facts =
                json!({ "stdout": stdout, "exitCode": exit, "logState": "unproven", "reason": reason });
            let result = judge(&facts);
            assert_eq!(result.error_code, Some("opencode_killed"), "{facts}");
            let message = result.error_message.unwrap();
            assert!(message.starts_with("Node lost the container"), "{message}");
            assert_eq!(message.matches(reason).count(), 1, "{message}");
            assert!(
                !message.contains("SIGKILL") && !message.contains("did not start"),
                "{message}"
            );
        }
    }
}

#[test]
fn stderr_explains_what_the_stream_does_not() {
    let result = judge(
        &json!({ "stdout": lines(&[START, CALLS]), "exitCode": 1, "logState": "proven", "reason": "Error",
        "stderr": "\u{1b}[31mfirst\u{1b}[0m\n{\"type\":\"x\"}\nEBADF: bad file descriptor\n" }),
    );
    let message = result.error_message.unwrap();
    assert_eq!(
        message,
        "opencode failed: it exited with code 1 before the agent was done; Pod exited: Error (exit 1); first\nEBADF: bad file descriptor"
    );
}

#[test]
fn an_answer_is_shown_without_escape_sequences() {
    let said = "\u{1b}[31mred\u{1b}[0m\r\n\u{1b}]0;title\u{7}two\tthree\u{0}";
    let part = json!({"messageID": "m1", "type": "text", "text": said});
    let text = json!({"type": "text", "sessionID": "ses_1", "part": part}).to_string();
    let whole = judge(&json!({"stdout": lines(&[&text, STOP]), "exitCode": 0, "logState": "proven"}));
    assert_eq!(
        (whole.error_code, whole.summary.as_str()),
        (None, "red\ntwo\tthree")
    );
    let cut = text.split("two").next().expect("a beginning").to_owned();
    let cut = judge(&json!({"stdout": cut, "exitCode": 0, "logState": "proven"}));
    assert_eq!(cut.summary, "red…");
}

#[test]
fn agent_text_never_costs_the_session() {
    let says = TEXT.replace("Done.", "no session; session x not found; unknown session");
    let tool = r#"{"type":"tool_use","sessionID":"ses_1","part":{"tool":"bash","state":{"status":"error","error":"Session not found"}}}"#;
    let api = error("APIError", &json!({ "message": "no", "statusCode": 401 }));
    for stdout in [
        lines(&[START, &says, tool, &api]),
        lines(&[START, &says, tool, CALLS]),
        lines(&[&says]),
    ] {
        let result = judge(
            &json!({ "stdout": stdout, "exitCode": 1, "logState": "proven", "stderr": "Session not found" }),
        );
        if result.error_code == Some("session_unavailable") {
            assert!(!stdout.contains("step_start"), "{stdout}");
        } else {
            assert!(!result.clear_session, "{stdout}");
        }
    }
    for exit in [0, 1] {
        let lost = json!({ "stdout": "", "stderr": "Error: Session ses_9 not found", "exitCode": exit, "logState": "proven", "session": "ses_9" });
        let result = judge(&lost);
        assert_eq!(
            (result.error_code, result.clear_session),
            (Some("session_unavailable"), true)
        );
        assert_eq!((result.session_id, result.session_params), (None, None));
    }
}

#[test]
fn provider_errors_by_status_and_words() {
    for (status, message, wanted, family) in [
        (Some(403), "no", "provider_auth", None),
        (Some(402), "pay", "provider_quota", Some("provider_quota")),
        (
            Some(429),
            "You exceeded your current quota",
            "provider_quota",
            Some("provider_quota"),
        ),
        (
            Some(429),
            "slow down",
            "provider_rate_limited",
            Some("transient_upstream"),
        ),
        (
            Some(529),
            "Overloaded",
            "provider_unavailable",
            Some("transient_upstream"),
        ),
        (Some(422), "no", "provider_rejected_request", None),
        (
            Some(400),
            "This model's maximum context length is 5",
            "context_overflow",
            None,
        ),
        (
            None,
            "Unable to connect",
            "provider_unavailable",
            Some("transient_upstream"),
        ),
    ] {
        let stdout = lines(&[&error(
            "APIError",
            &json!({ "message": message, "statusCode": status }),
        )]);
        let result = judge(&json!({ "stdout": stdout, "exitCode": 1, "logState": "proven" }));
        assert_eq!(
            (result.error_code, result.error_family),
            (Some(wanted), family),
            "{status:?} {message}"
        );
    }
    let crash = lines(&[&error(
        "UnknownError",
        &json!({ "message": "undefined is not an object (evaluating 'item.type')" }),
    )]);
    assert_eq!(
        code(&json!({ "stdout": crash, "exitCode": 1, "logState": "proven" })),
        Some("opencode_response_type_crash")
    );
}

#[test]
fn a_done_line_names_what_was_rejected() {
    let done = r#"{"type":"done","reason":"idle","rejected":["external_directory"]}"#;
    let result =
        judge(&json!({ "stdout": lines(&[START, CALLS, done]), "exitCode": 0, "logState": "proven" }));
    assert_eq!(result.error_code, Some("permission_rejected"));
    assert!(result.error_message.unwrap().contains("external_directory"));
}

#[test]
fn an_old_step_limit_clears_the_session() {
    let limit = STOP.replace("\"stop\"", "\"max_steps\"");
    let result =
        judge(&json!({ "stdout": lines(&[START, TEXT, &limit]), "exitCode": 0, "logState": "proven" }));
    assert_eq!(
        (
            result.error_code,
            result.clear_session,
            result.session_id.as_deref()
        ),
        (None, true, Some("ses_1"))
    );
}

#[test]
fn a_long_answer_is_whole_and_the_excerpt_bounded() {
    let answer = format!("{}THE END", "0123456789abcdef éü你🎉 ".repeat(35_000));
    assert!(answer.len() > 1_000_000);
    let said = serde_json::to_string(&answer).unwrap();
    let text = format!(
        r#"{{"type":"text","timestamp":1,"sessionID":"s","part":{{"id":"p","messageID":"m1","sessionID":"s","type":"text","text":{said}}}}}"#
    );
    let many = format!("{START}\n{}{text}\n{STOP}\n", format!("{CALLS}\n").repeat(20_000));
    let result = judge(&json!({ "stdout": many, "exitCode": 0, "logState": "proven" }));
    assert_eq!(result.summary, answer);
    let excerpt = result.result_json["stdout"].as_str().unwrap();
    assert!(excerpt.len() <= 1024 * 1024 + 100, "{}", excerpt.len());
    assert!(excerpt.starts_with(START) && excerpt.ends_with(&format!("{STOP}\n")));
    // Cut anywhere in the answer it is no success, and what can be read is kept.
    let cut: String = many.chars().take(many.chars().count() - 1000).collect();
    let result = judge(&json!({ "stdout": cut, "exitCode": 0, "logState": "proven" }));
    assert_eq!(result.error_code, Some("k8s_log_incomplete"));
    assert!(result.summary.starts_with("0123456789abcdef éü你🎉"));
}
