//! No secret leaves a run: the values of the agent's variables, the shapes of providers' keys and URLs with passwords
//! are thrown into every place of opencode's events and of its stderr, beside texts that are cut somewhere, and none
//! of them stands in the result, in progress or in an event.

use std::sync::LazyLock;

use opencode_k8s::cluster::conditions::ContainerEnd;
use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::opencode::Transcript;
use opencode_k8s::run::host::progress::{Phase, RunState};
use opencode_k8s::run::job::end::{Evidence, RunEnd};
use opencode_k8s::run::outcome::Excerpt;
use opencode_k8s::run::redact::display::Redactor;
use opencode_k8s::run::supervise::conclude::{self, EndFacts};
use opencode_k8s::run::supervise::deliver::{Delivery, fold_line, keep_end};
use opencode_k8s::tail::EndRecord;
use opencode_k8s::tail::follower::Proof;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What nobody can take for a word, without the letters in which a test could find it by chance.
const CORE: &str = "Q7zW9xK2vJ4qZ8yX3wV6kQ5jY1zW0xQ9vK7yZ2qX";
/// So much of it is a leak. A key that is cut before it has the length of one is no longer a key.
const LEAK: usize = 25;
/// In a JSON string this has escapes.
const OWN: &str = "p\"w\\d-Q7zW9xK2vJ4qZ8yX3wV6kQ5jY1zW0xQ9vK7yZ2qX";

/// The agent's own secrets first: they have no shape.
const SECRETS: &[&str] = &[
    OWN,
    "own:",
    "sk-",
    "sk-ant-api03-",
    "sk-or-v1-",
    "sk-proj-",
    "gsk_",
    "hf_",
    "r8_",
    "pplx-",
    "xai-",
    "AIza",
    "ghp_",
    "gho_",
    "github_pat_11",
    "AKIA",
    "glpat-",
    "xoxb-",
    "npm_",
    "nvapi-",
    "Bearer ",
    "Authorization: Basic ",
    "x-api-key: ",
    "api_key=",
    "\"apiKey\":\"",
    "password=",
    "https://user:",
    "postgres://app:",
    "eyJhbGciOiJIUzI1NiJ9.",
];

fn secret(of: usize) -> String {
    match SECRETS[of] {
        OWN => OWN.to_owned(),
        "own:" => CORE.to_owned(),
        url if url.contains("://") => format!("{url}{CORE}@host.example/path"),
        name if name.starts_with('"') => format!("{name}{CORE}\""),
        start => format!("{start}{CORE}"),
    }
}

static SPEC: LazyLock<RunSpec> = LazyLock::new(|| {
    let request = json!({
        "runId": "r", "agent": {"id": "a", "companyId": "c"}, "selfPod": {"namespace": "n", "image": "i"},
        "config": {"env": {"OWN_TOKEN": OWN}},
    });
    RunSpec::from_request(RenderRequest::from_json(&request.to_string()).expect("a request")).expect("a spec")
});
/// The same with a second secret, which would hide all others.
static SPEC_WITH_CORE: LazyLock<RunSpec> = LazyLock::new(|| {
    let mut spec = SPEC.clone();
    spec.run.auth_token = Some(CORE.to_owned());
    spec
});

/// Lines of stdout with the text in one place, by number.
fn stdout(place: usize, text: &str) -> Vec<String> {
    let event = |kind: &str, session: &str, part: Value| {
        json!({"type": kind, "timestamp": 1, "sessionID": session, "part": part}).to_string()
    };
    let start = event(
        "step_start",
        "ses_1",
        json!({"type": "step-start", "messageID": "m"}),
    );
    let said = |text: &str| {
        event(
            "text",
            "ses_1",
            json!({"type": "text", "text": text, "messageID": "m", "time": {"start": 1, "end": 2}}),
        )
    };
    let tool = |tool: &str, input: &str, output: &str, error: Option<&str>| {
        let state = match error {
            Some(error) => json!({"status": "error", "input": {"command": input}, "error": error}),
            None => {
                json!({"status": "completed", "input": {"command": input}, "output": output, "title": output})
            }
        };
        event(
            "tool_use",
            "ses_1",
            json!({"type": "tool", "tool": tool, "callID": "c", "messageID": "m", "state": state}),
        )
    };
    let finish = |reason: &str| {
        let tokens =
            json!({"total": 3, "input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}});
        event(
            "step_finish",
            "ses_1",
            json!({"type": "step-finish", "reason": reason, "cost": 0, "tokens": tokens, "messageID": "m"}),
        )
    };
    let error = |error: Value| {
        json!({"type": "error", "timestamp": 1, "sessionID": "ses_1", "error": error}).to_string()
    };
    let api = |data: Value| error(json!({"name": "APIError", "data": data}));
    let line = match place {
        0 => said(text),
        1 => event(
            "reasoning",
            "ses_1",
            json!({"type": "reasoning", "text": text, "messageID": "m"}),
        ),
        2 => tool(text, "x", "y", None),
        3 => tool("bash", text, text, None),
        4 => tool("bash", "x", "y", Some(text)),
        5 => finish(text),
        6 => error(json!({"name": text, "data": {"message": "no"}})),
        7 => api(json!({"message": text, "statusCode": 401})),
        8 => api(
            json!({"message": format!("{{\"error\":{{\"message\":{}}}}}", json!(text)), "statusCode": 429}),
        ),
        9 => api(json!({"message": "no", "statusCode": 400, "responseBody": text})),
        10 => api(json!({"message": "no", "statusCode": 500, "metadata": {"url": text}})),
        11 => error(json!({"type": text, "message": text, "reason": {"_tag": text}})),
        12 => error(
            json!({"name": "UnknownError", "data": {"message": "Unexpected server error", "ref": text}}),
        ),
        13 => event(
            "text",
            text,
            json!({"type": "text", "text": "x", "messageID": text}),
        ),
        14 => event(text, "ses_1", json!({"type": text})),
        15 => text.to_owned(),
        16 => json!({"type": "done", "sessionID": "ses_1", "reason": text, "rejected": [text]}).to_string(),
        _ => error(json!(text)),
    };
    let end = if place == 5 {
        Vec::new()
    } else {
        vec![finish("stop")]
    };
    match place {
        0..=5 | 13 | 14 => [vec![start, line], end].concat(),
        _ => vec![start, line],
    }
}

const PLACES: usize = 18;

/// Stderr with the text in one place, by number.
fn stderr(place: usize, text: &str) -> String {
    let log = |rest: &str| format!("timestamp=2026 level=ERROR {rest}\n");
    match place {
        0 => format!("Error: {text}\n"),
        1 => log(&format!(
            "message=\"stream error\" providerID=fake error.error={}",
            json!(format!("AError: {text}"))
        )),
        2 => log(&format!(
            "ref=err_1 cause={}",
            json!(format!("Cause([Fail(OtherError: {text})])"))
        )),
        3 => format!("AI_APICallError: {text}\n"),
        4 => format!("panic: {text}\n"),
        5 => format!("ENOSPC: no space left on device, write {text}\n"),
        6 => format!("! permission requested: bash ({text}); auto-rejecting\n"),
        7 => format!("opencode run [message..]\n{text}\n"),
        8 => log(&format!(
            "providerID={text} message=\"stream error\" error={text}"
        )),
        _ => String::new(),
    }
}

const STDERR_PLACES: usize = 10;

fn leak(said: &str) -> Option<&str> {
    (0..=CORE.len() - LEAK)
        .filter_map(|at| CORE.get(at..at + LEAK))
        .find(|piece| said.contains(piece))
}

/// What the host gets when this is the agent's output.
fn told(
    spec: &RunSpec,
    lines: &[String],
    is_cut: bool,
    stderr: &str,
    exit: i32,
    message: &str,
) -> Vec<(String, String)> {
    let redactor = Redactor::of(spec);
    let (mut transcript, mut excerpt, mut kept) = (Transcript::new(), Excerpt::default(), String::new());
    let mut told = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        fold_line(
            line,
            is_cut && n + 1 == lines.len(),
            &redactor,
            &mut transcript,
            &mut excerpt,
        );
        let state = RunState {
            phase: Phase::Running,
            activity: transcript.activity().clone(),
            redactor: redactor.clone(),
            wanted_from: None,
        };
        told.push(("progress".to_owned(), json!(state.progress()).to_string()));
    }
    keep_end(&mut kept, &redactor.hide(stderr));
    let record = EndRecord::parse(
        &json!({"v": 1, "run": "r", "exit": exit, "bytes": 9}).to_string(),
        "r",
    );
    let container = Some(ContainerEnd {
        exit_code: exit,
        reason: Some("Error".to_owned()),
        message: message.to_owned(),
    });
    let end = RunEnd::Exited(Evidence { container, record });
    let report = conclude::judge(EndFacts {
        spec,
        end: &end,
        unstarted: false,
        delivered: Delivery {
            transcript,
            excerpt,
            proof: Proof::Proven,
            bytes: 9,
        },
        stderr: kept,
    });
    told.push(("result".to_owned(), report.to_value().to_string()));
    told.push(("event or status line".to_owned(), redactor.message(stderr)));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_told(
        of in 0..SECRETS.len(), place in 0..PLACES, stderr_place in 0..STDERR_PLACES, exit in 0..3_usize,
        // Around the bounds at which texts are cut.
        before in prop_oneof![
            0..40_usize, 150..260_usize, 350..620_usize, 900..1_060_usize, 1_990..2_110_usize, 4_000..4_180_usize,
            16_200..16_450_usize
        ],
        after in prop_oneof![Just(0_usize), 1..40_usize, 400..1_100_usize, 2_000..2_100_usize, 16_300..16_400_usize],
        is_cut in any::<bool>(),
    ) {
        let words = |length: usize| "word and ".chars().cycle().take(length).collect::<String>();
        let text = format!("{} {} {}", words(before), secret(of), words(after));
        let spec = if SECRETS[of] == "own:" { &SPEC_WITH_CORE } else { &SPEC };
        let lines = stdout(place, &text);
        let said = stderr(stderr_place, &text);
        let message = if stderr_place == 9 { text.as_str() } else { "" };
        for (what, told) in told(spec, &lines, is_cut, &said, [0, 1, 137][exit], message) {
            let found = leak(&told).and_then(|piece| told.find(piece)).map(|at| {
                told.chars().skip(at.saturating_sub(80)).take(200).collect::<String>()
            });
            prop_assert_eq!(found, None, "{}: {} at {} and {}", what, SECRETS[of], place, stderr_place);
        }
    }
}

/// The agent's own secret in base64 by itself, behind two lengths of a user's name and in a file, in a URL,
/// as hexadecimal digits, and broken into lines.
const ENCODED: &[&str] = &[
    "cCJ3XGQtUTd6Vzl4SzJ2SjRxWjh5WDN3VjZrUTVqWTF6VzB4UTl2Szd5WjJxWA==",
    "dXNlcjpwIndcZC1RN3pXOXhLMnZKNHFaOHlYM3dWNmtRNWpZMXpXMHhROXZLN3laMnFY",
    "dTpwIndcZC1RN3pXOXhLMnZKNHFaOHlYM3dWNmtRNWpZMXpXMHhROXZLN3laMnFY",
    "YWI6cCJ3XGQtUTd6Vzl4SzJ2SjRxWjh5WDN3VjZrUTVqWTF6VzB4UTl2Szd5WjJxWAo=",
    "p%22w%5Cd-Q7zW9xK2vJ4qZ8yX3wV6kQ5jY1zW0xQ9vK7yZ2qX",
    "cCJ3XGQtUTd6Vzl4SzJ2SjRxWjh5WD\nN3VjZrUTVqWTF6VzB4UTl2Szd5WjJxWA==",
    "7022775c642d51377a5739784b32764a34715a387958337756366b51356a59317a5730785139764b37795a327158",
    "7022775C642D51377A5739784B32764A34715A387958337756366B51356A59317A5730785139764B37795A327158",
    "7022775c642d51377a5739784b32764a34715a387958337756366b51356a\n59317a5730785139764b37795a327158",
];

/// What git, curl and the environment of a program print of a secret is not always the secret as it is.
#[test]
fn a_secret_in_another_form_is_not_told_either() {
    let pieces = |form: &'static str| (0..form.len() - LEAK).filter_map(move |at| form.get(at..at + LEAK));
    for form in ENCODED {
        for place in 0..PLACES {
            for stderr_place in 0..STDERR_PLACES {
                let text = format!("before {form} after");
                let lines = stdout(place, &text);
                let said = stderr(stderr_place, &text);
                let message = if stderr_place == 9 { text.as_str() } else { "" };
                for (what, told) in told(&SPEC, &lines, false, &said, 1, message) {
                    let found = pieces(form).find(|piece| told.contains(piece));
                    assert_eq!(found, None, "{what}: {form} at {place} and {stderr_place}");
                }
            }
        }
    }
}

/// The line may end within a secret: opencode was killed, or the line was longer than the limit.
#[test]
fn a_line_that_was_cut_within_a_secret_tells_no_half_of_it() {
    let whole = stdout(0, OWN)[1].clone();
    let spec = &SPEC;
    for length in 60..whole.len() {
        let line = whole[..length].to_owned();
        for (what, told) in told(spec, &[line], true, "", 1, "") {
            assert_eq!(leak(&told), None, "{what} at {length}: {told}");
        }
    }
}

/// The pod reports the last 1,500 bytes of stderr, which may begin anywhere.
#[test]
fn a_termination_message_that_begins_within_a_secret_tells_no_half_of_it() {
    for cut in 1..OWN.len() {
        let end = format!("{} and the end\n", &OWN[cut..]);
        let message = format!("{end}{}", "x y ".repeat(1_500).split_at(1_500 - end.len()).0);
        for (what, told) in told(&SPEC, &[], false, "", 1, &message) {
            assert_eq!(leak(&told), None, "{what} at {cut}: {told}");
        }
    }
}

/// What is a number in a line must not make the line unreadable: its tokens would be billed to nobody.
#[test]
fn a_secret_that_is_a_number_does_not_change_what_is_counted() {
    let mut spec = SPEC.clone();
    spec.run.auth_token = Some("12345678".to_owned());
    let cache = json!({"read": 0, "write": 0});
    let tokens = json!({"total": 3, "input": 12_345_678, "output": 2, "reasoning": 0, "cache": cache});
    let part =
        json!({"type": "step-finish", "reason": "stop", "cost": 0, "tokens": tokens, "messageID": "m"});
    let line = json!({"type": "step_finish", "timestamp": 1, "sessionID": "ses_1", "part": part}).to_string();
    let (mut transcript, mut excerpt) = (Transcript::new(), Excerpt::default());
    let shown = fold_line(&line, false, &Redactor::of(&spec), &mut transcript, &mut excerpt);
    assert!((transcript.finish().tokens.input - 12_345_678.0).abs() < 0.5 && !shown.contains("12345678"));
}
