//! What public reports show of opencode in the field, each with what a person expects who reads the output.

use opencode_k8s::opencode::Transcript;
use opencode_k8s::run::outcome::{Facts, FoldedFacts, LogState, RunResult, resolve, resolve_folded};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    name: String,
    why: String,
    facts: Facts,
    expect: Expect,
    stdout: Vec<String>,
    stderr: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Expect {
    code: Option<Vec<String>>,
    success: Option<bool>,
    warning: Option<bool>,
    retryable: Option<bool>,
    error_family: Option<String>,
    clear_session: Option<bool>,
    compacted: Option<bool>,
    summary: Option<String>,
    /// Words of which the message has one.
    message: Option<String>,
    not_message: Option<String>,
}

/// The reports, and variants of each kind: other providers' words, a status without words, words without a status.
const REPORTS: &[&str] = &[
    include_str!("../../../fixtures/opencode/field-cases.json"),
    include_str!("../../../fixtures/opencode/field-variants.json"),
];
/// More of the same, for the verdict only: what providers answer, and other ends.
const WORDS: &[&str] = &[
    include_str!("../../../fixtures/opencode/field-providers.json"),
    include_str!("../../../fixtures/opencode/field-ends.json"),
    include_str!("../../../fixtures/opencode/field-reports.json"),
    include_str!("../../../fixtures/opencode/field-words.json"),
    include_str!("../../../fixtures/opencode/field-structures.json"),
];

fn cases() -> Vec<Case> {
    read(REPORTS).chain(read(WORDS)).collect()
}

fn read(files: &'static [&'static str]) -> impl Iterator<Item = Case> {
    files
        .iter()
        .flat_map(|text| serde_json::from_str::<Vec<Case>>(text).expect("the cases"))
}

fn judge(case: &Case) -> RunResult {
    resolve(&Facts {
        stdout: case.stdout.iter().map(|line| format!("{line}\n")).collect(),
        stderr: case.stderr.clone(),
        ..case.facts.clone()
    })
}

/// The reports by name, each with its result.
pub(crate) fn results() -> impl Iterator<Item = (String, RunResult)> {
    read(REPORTS).map(|case| (case.name.clone(), judge(&case)))
}

/// What differs from what is expected.
fn differences(expect: &Expect, result: &RunResult) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, holds: Option<bool>| {
        if holds == Some(false) {
            found.push(what.to_owned());
        }
    };
    let message = result.error_message.as_deref().unwrap_or_default().to_lowercase();
    let retryable = result.error_meta.as_ref().map(|meta| meta["retryable"] == true);
    let code = result.error_code.map(str::to_owned);
    check(
        "code",
        expect
            .code
            .as_ref()
            .map(|codes| codes.iter().any(|wanted| code.as_ref() == Some(wanted))),
    );
    check("success", expect.success.map(|wanted| wanted == code.is_none()));
    check(
        "warning",
        expect.warning.map(|wanted| wanted != result.warnings.is_empty()),
    );
    check(
        "retryable",
        expect.retryable.map(|wanted| retryable == Some(wanted)),
    );
    let family = expect.error_family.as_deref();
    check("family", family.map(|wanted| result.error_family == Some(wanted)));
    check(
        "session",
        expect.clear_session.map(|wanted| wanted == result.clear_session),
    );
    check(
        "compacted",
        expect
            .compacted
            .map(|wanted| result.result_json["compacted"] == Value::Bool(wanted)),
    );
    check(
        "summary",
        expect.summary.as_ref().map(|wanted| *wanted == result.summary),
    );
    let words = expect.message.as_ref();
    check(
        "message",
        words.map(|words| {
            words
                .split('|')
                .any(|word| message.contains(&word.to_lowercase()))
        }),
    );
    let words = expect.not_message.as_ref();
    check(
        "not in message",
        words.map(|words| !message.contains(&words.to_lowercase())),
    );
    found
}

#[test]
fn every_report_gets_the_verdict_of_a_person() {
    let mut wrong = Vec::new();
    for case in cases() {
        let result = judge(&case);
        let differs = differences(&case.expect, &result);
        if !differs.is_empty() {
            wrong.push(format!(
                "{} ({}): {differs:?}\n  {:?} {:?} clear {} retry {:?} summary {:?} warnings {:?}",
                case.name,
                case.why,
                result.error_code,
                result.error_message,
                result.clear_session,
                result.error_meta.as_ref().map(|meta| &meta["retryable"]),
                result.summary,
                result.warnings
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_session_that_is_cleared_is_not_handed_on() {
    for case in cases() {
        let result = judge(&case);
        assert!(
            !(result.clear_session && result.session_id.is_some()),
            "{}",
            case.name
        );
    }
}

/// The result of a run that was ended because it repeated itself.
fn ended_in_circle(transcript: Transcript) -> RunResult {
    resolve_folded(&FoldedFacts {
        summary: transcript.finish(),
        exit_code: Some(143),
        ended_in_circle: true,
        ..FoldedFacts::default()
    })
}

#[test]
fn a_run_that_was_ended_in_a_circle_says_so() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "real-overflow-loop-deadline");
    let case = case.expect("the case");
    let mut transcript = Transcript::new();
    case.stdout.iter().for_each(|line| transcript.push_line(line));
    let result = ended_in_circle(transcript);
    assert_eq!(
        (result.error_code, result.clear_session),
        (Some("context_overflow"), true)
    );
    assert!(
        result
            .error_message
            .is_some_and(|message| message.contains("times"))
    );
}

#[test]
fn a_run_that_was_ended_without_an_answer_says_so_and_keeps_its_session() {
    let mut transcript = Transcript::new();
    for step in 0..25 {
        assert!(transcript.circle_now().is_none(), "after {step} steps");
        for line in [
            format!(
                r#"{{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{{"messageID":"msg_{step}"}}}}"#
            ),
            format!(
                r#"{{"type":"step_finish","timestamp":1,"sessionID":"ses_1","part":{{"messageID":"msg_{step}","reason":"unknown","tokens":{{"input":0,"output":0}}}}}}"#
            ),
        ] {
            transcript.push_line(&line);
        }
    }
    assert!(transcript.circle_now().is_some());
    let result = ended_in_circle(transcript);
    assert_eq!(
        (result.error_code, result.clear_session),
        (Some("stream_eof_transient"), false)
    );
    let message = result.error_message.unwrap_or_default();
    assert!(message.contains("25 steps"), "{message}");
}

#[test]
fn only_an_endless_run_is_ended() {
    for case in cases() {
        let mut transcript = Transcript::new();
        for line in &case.stdout {
            transcript.push_line(line);
        }
        let is_endless = case.name.contains("overflow-loop");
        assert_eq!(transcript.circle_now().is_some(), is_endless, "{}", case.name);
    }
}

#[test]
fn a_run_that_was_ended_for_its_silence_says_so_and_keeps_its_session() {
    let silent = |exit_code, log_state| {
        let mut transcript = Transcript::new();
        transcript.push_line(
            r#"{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{"type":"step-start"}}"#,
        );
        resolve_folded(&FoldedFacts {
            summary: transcript.finish(),
            exit_code: Some(exit_code),
            log_state,
            silent_for_sec: Some(14_400),
            ..FoldedFacts::default()
        })
    };
    let result = silent(143, LogState::Proven);
    assert_eq!(
        (result.error_code, result.clear_session, result.timed_out),
        (Some("opencode_silent"), false, false)
    );
    let message = result.error_message.unwrap_or_default();
    assert!(
        message.starts_with("No output for 14400 s: opencode was ended"),
        "{message}"
    );
    assert!(message.contains("the output stops inside a step"), "{message}");
    let done = silent(0, LogState::Proven);
    assert_ne!(
        done.error_code,
        Some("opencode_silent"),
        "it was done in that moment"
    );
}

#[test]
fn a_run_that_was_silent_after_its_final_answer_had_done_its_work() {
    let mut transcript = Transcript::new();
    for line in [
        r#"{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{"messageID":"m1"}}"#,
        r#"{"type":"text","timestamp":1,"sessionID":"ses_1","part":{"messageID":"m1","text":"Done."}}"#,
        r#"{"type":"step_finish","timestamp":1,"sessionID":"ses_1","part":{"messageID":"m1","reason":"stop"}}"#,
    ] {
        transcript.push_line(line);
    }
    let facts = FoldedFacts {
        summary: transcript.finish(),
        exit_code: Some(143),
        log_state: LogState::Proven,
        ..FoldedFacts::default()
    };
    let silent = resolve_folded(&FoldedFacts {
        silent_for_sec: Some(14_400),
        ..facts.clone()
    });
    assert_eq!((silent.error_code, silent.summary.as_str()), (None, "Done."));
    assert!(
        silent
            .warnings
            .iter()
            .any(|said| said.contains("nothing for 14400 s")),
        "{:?}",
        silent.warnings
    );
    let late = resolve_folded(&FoldedFacts {
        timed_out: true,
        timeout_sec: Some(60.0),
        ..facts
    });
    assert_eq!(late.error_code, Some("timeout"));
    let message = late.error_message.unwrap_or_default();
    assert!(message.contains("had given its final answer"), "{message}");
}

/// The table for people, whose rows name their cases.
const TABLE: &str = include_str!("../../../docs/outcomes.md");
/// The name of a function of this file, which must be there.
macro_rules! name_of {
    ($test:ident) => {{
        let _: fn() = $test;
        stringify!($test)
    }};
}
/// Some rows are shown by a test of this file: a recording cannot hold an end that the adapter made.
const TESTS_IN_TABLE: [&str; 4] = [
    name_of!(a_run_that_was_ended_in_a_circle_says_so),
    name_of!(a_run_that_was_ended_without_an_answer_says_so_and_keeps_its_session),
    name_of!(a_run_that_was_ended_for_its_silence_says_so_and_keeps_its_session),
    name_of!(a_run_that_was_silent_after_its_final_answer_had_done_its_work),
];

#[test]
fn the_table_of_outcomes_names_cases_that_show_them() {
    let all = cases();
    for row in TABLE.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, code, family, retry, session, _, shown] = cells[..] else {
            panic!("eight cells: {row}");
        };
        for name in shown.split(", ") {
            if let Some(test) = name.strip_prefix("`opencode::field::") {
                assert!(TESTS_IN_TABLE.contains(&test.trim_end_matches('`')), "{name}");
                continue;
            }
            let recorded = format!("{}/fixtures/opencode/{name}", env!("CARGO_MANIFEST_DIR"));
            let case = all.iter().find(|case| case.name == name);
            assert!(
                case.is_some() || std::path::Path::new(&recorded).is_dir(),
                "{name}"
            );
            let Some(result) = case.map(judge) else { continue };
            let meta = result.error_meta.as_ref();
            let retryable = meta.is_some_and(|meta| meta["retryable"] == true);
            if ["yes", "no"].contains(&retry) {
                assert_eq!(retryable, retry == "yes", "{name}: {row}");
            }
            if ["kept", "cleared"].contains(&session) {
                assert_eq!(result.clear_session, session == "cleared", "{name}: {row}");
            }
            // Some rows have their code elsewhere: success, or that of the end which they explain.
            if let Some(told) = result.error_code.filter(|_| code.starts_with('`')) {
                assert_eq!(
                    result.error_family.unwrap_or("–"),
                    family.trim_matches('`'),
                    "{name}: {row}"
                );
                assert!(code.contains(&format!("`{told}`")), "{name} is {told}: {row}");
            }
        }
    }
}
