//! The parser keeps the results of the TypeScript adapter, and survives whatever it is given.

use opencode_k8s::opencode::{Transcript, fold, is_step_limit, is_unknown_session, parse_jsonl};
use proptest::prelude::*;
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../fixtures/opencode/parse-golden.json");

#[test]
fn golden_cases() {
    let cases: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    for case in &cases {
        let stdout = case["stdout"].as_str().unwrap();
        let parsed = parse_jsonl(stdout);
        for (field, wanted) in case["parsed"].as_object().unwrap() {
            assert_eq!(&parsed[field], wanted, "{field} of {stdout}");
        }
        assert_eq!(
            is_step_limit(stdout),
            case["stepLimit"].as_bool().unwrap(),
            "{stdout}"
        );
        // The second argument is not recorded: alone, stdout must not say more than both together.
        assert!(
            !is_unknown_session(stdout, "") || case["unknownSession"].as_bool().unwrap(),
            "{stdout}"
        );
        assert!(is_unknown_session(stdout, "Error: Session not found"), "{stdout}");
    }
}

#[test]
fn an_event_of_several_lines_counts_everywhere() {
    let event = r#"{"type":"step_finish","timestamp":1,"sessionID":"s","part":{"reason":"max_steps"}}"#;
    let value: Value = serde_json::from_str(event).unwrap();
    for stdout in [event.to_owned(), format!("{value:#}"), format!("{value:#}\n")] {
        assert!(is_step_limit(&stdout), "{stdout}");
        assert_eq!(parse_jsonl(&stdout)["lastStepReason"], "max_steps", "{stdout}");
    }
}

/// Lines that look like the stream, and lines that do not.
fn line() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("text"),
        Just("step_start"),
        Just("step_finish"),
        Just("tool_use"),
        Just("error"),
        Just("done"),
        Just("x")
    ];
    let part = prop_oneof![
        Just(r#"{"messageID":"m1","text":"hello","reason":"stop","tokens":{"input":1,"output":2}}"#),
        Just(r#"{"messageID":"m2","text":"\ud83d","synthetic":true,"reason":"tool-calls","cost":1e300}"#),
        Just(r#"{"type":"tool","tool":"bash","callID":"c","state":{"status":"completed","output":"x"}}"#),
        Just(r#"{"tool":"bash","state":{"status":"error","error":"The user rejected permission"}}"#),
        Just("[[]]"),
        Just("null"),
        Just("\"part\""),
        Just("-1"),
    ];
    prop_oneof![
        4 => (kind, part).prop_map(|(kind, part)| format!(r#"{{"type":"{kind}","sessionID":"s","part":{part},"error":{part}}}"#)),
        1 => ".*",
        1 => Just("{bad".to_owned()),
    ]
}

proptest! {
    #[test]
    fn anything_at_all_is_survived(text in any::<Vec<u8>>()) {
        let text = String::from_utf8_lossy(&text);
        let _ = parse_jsonl(&text);
        let _ = fold(&text).finish();
        let _ = is_unknown_session(&text, &text);
    }

    #[test]
    fn streams_of_any_order_are_survived_and_cut_anywhere(lines in prop::collection::vec(line(), 0..20), cut in any::<prop::sample::Index>()) {
        let text = lines.join("\n");
        let end = (0..=cut.index(text.len() + 1)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let _ = fold(&text[..end]).finish();
        let whole = fold(&text).finish();
        // Line by line is the same as at once, and a snapshot in between changes nothing.
        let mut transcript = Transcript::new();
        let mut pieces = text.split('\n').peekable();
        while let Some(piece) = pieces.next() {
            let _ = transcript.snapshot();
            if pieces.peek().is_some() { transcript.push_line(piece) } else { transcript.push_cut(piece) }
        }
        prop_assert_eq!(transcript.finish(), whole);
    }
}
