//! Whatever a pod writes, no reader of it panics, keeps more than its bound, or takes it for a server's word: arbitrary
//! bytes, and real records with bytes changed, cut, doubled and put in.

use opencode_k8s::opencode::{Transcript, fold};
use opencode_k8s::run::outcome::{Excerpt, Facts, LogState, STDOUT_LIMIT, resolve};
use opencode_k8s::run::redact::display::Redactor;
use opencode_k8s::run::seal::{Kind, Seal, Start};
use opencode_k8s::run::supervise::deliver::{fold_line, keep_end};
use opencode_k8s::tail::record::{MAX_RECORD_BYTES, split_termination_message};
use opencode_k8s::tail::{EndRecord, StartRecord};
use proptest::prelude::*;
use proptest::sample::Index;

const END: &str = r#"{"v":1,"run":"r-1","pod":"p","exit":7,"signal":15,"bytes":12,"errBytes":3,"sha256":"ab","reason":null}
Error: no"#;
const START: &str = r#"{"v":1,"run":"r-1","pod":"p","podUid":"u","namespace":"n","cluster":"c","task":"t","cwd":"/w","keep":9}"#;
const EVENT: &str = r#"{"type":"error","timestamp":1,"sessionID":"ses_1","error":{"name":"APIError","data":{"message":"no \ud83d\ude00","statusCode":401,"isRetryable":false,"responseBody":"{\"error\":{\"message\":\"x\"}}","metadata":{"url":"https://u:p@h/x"}}}}"#;
const STEP: &str = r#"{"type":"step_finish","sessionID":"ses_1","part":{"messageID":"m","type":"step-finish","reason":"stop","cost":0.5,"tokens":{"total":3,"input":1,"output":2,"reasoning":0,"cache":{"read":0,"write":0}}}}"#;
const LOG: &str = r#"timestamp=2026 level=ERROR message="stream error" providerID=fake error.error="AError: no (cause: b (cause: c))" ref=err_1"#;

/// What breaks readers: numbers without end, half of a character or an escape, depth, other lines.
const PUT_IN: &[&str] = &[
    "1e400",
    "-0",
    "-1",
    "18446744073709551616",
    "99999999999999999999999",
    "1e-400",
    "NaN",
    "\\ud800",
    "\\udc00\\ud800",
    "\u{0}",
    "\u{1b}[31m",
    "\u{1b}]0;title",
    "\u{202e}",
    "\n",
    "\r\n",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "null",
    "true",
    "\"v\":1,",
    "\"run\":\"r-1\",",
    "\"bytes\":",
    "../",
    "-----BEGIN PRIVATE KEY-----",
    "://",
    "Bearer ",
    "(cause: ",
    "Cause([Fail(",
];

/// A real text with something done to it, or none at all.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let real = prop::sample::select(vec![END, START, EVENT, STEP, LOG]);
    let mutations = prop::collection::vec((any::<Index>(), 0..6_u8, any::<Index>(), any::<u8>()), 0..6);
    let mutated = (real, mutations).prop_map(|(text, mutations)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, how, other, byte) in mutations {
            let place = at.index(bytes.len() + 1);
            match how {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, byte),
                2 => drop(bytes.splice(place..place, other.get(PUT_IN).bytes())),
                3 => bytes.extend_from_within(..place),
                4 => drop(bytes.splice(place..place, b"[".repeat(usize::from(byte) * 8))),
                _ => {
                    let end = bytes.len().min(place + usize::from(byte) % 16);
                    bytes.drain(place..end);
                }
            }
        }
        bytes
    });
    prop_oneof![4 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..6_000)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_record_is_of_its_run_or_none(bytes in hostile()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(record) = EndRecord::parse(&text, "r-1") {
            prop_assert!(record.run == "r-1" && record.v == 1 && record.pod.len() <= MAX_RECORD_BYTES);
            prop_assert!(record.sha256.is_none_or(|sum| sum.len() == 64));
        }
        prop_assert_eq!(EndRecord::parse(&text, "r-1\u{1}"), None);
        let (record, rest) = split_termination_message(&text, "r-1");
        prop_assert!(rest.len() <= text.len());
        prop_assert_eq!(record, EndRecord::parse(&text, "r-1"));
        if let Some(record) = StartRecord::parse(&bytes, "r-1", "n", "c") {
            prop_assert!(record.run == "r-1" && record.namespace == "n" && record.cluster == "c");
        }
    }

    #[test]
    fn nothing_is_a_servers_word_that_has_no_seal(bytes in hostile(), cut in any::<Index>(), byte in 1..u8::MAX) {
        let seal = Seal::new(&"k".repeat(32));
        let start = Start { company: "c", agent: "a", run: "r", task: "t", cwd: "/w" };
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(seal.made(&text, &start), None);
        prop_assert!(!seal.is_of(&text, Kind::Holder, &["u", &text]) && !seal.is_of(&text, Kind::Usage, &["r", &text]));
        // A real one with one byte changed.
        let mut nonce = seal.nonce("unique", 1_795_000_000, &start).into_bytes();
        let at = cut.index(nonce.len());
        nonce[at] ^= byte;
        prop_assert_eq!(seal.made(&String::from_utf8_lossy(&nonce), &start), None);
    }

    #[test]
    fn any_output_is_folded_and_judged_within_bounds(chunks in prop::collection::vec(hostile(), 1..5), exit in any::<Option<i32>>()) {
        let stdout = String::from_utf8_lossy(&chunks.join(&b'\n')).into_owned();
        let sum = fold(&stdout).finish();
        prop_assert!(sum.tokens.input.is_finite() && sum.tokens.input >= 0.0 && sum.cost_usd >= 0.0);
        let redactor = Redactor::default();
        let (mut transcript, mut excerpt, mut kept) = (Transcript::new(), Excerpt::default(), String::new());
        for line in stdout.split('\n') {
            fold_line(line, false, &redactor, &mut transcript, &mut excerpt);
            keep_end(&mut kept, line);
        }
        prop_assert!(excerpt.finish().len() <= STDOUT_LIMIT + 100 && kept.len() <= 16 << 10);
        let facts = Facts { stderr: stdout.clone(), stdout, exit_code: exit, log_state: LogState::Proven, ..Facts::default() };
        let result = resolve(&facts);
        prop_assert_eq!(result.exit_code == Some(0), result.error_message.is_none());
        let said = result.error_message.iter().chain(&result.warnings);
        for text in said {
            prop_assert!(text.len() <= 2_048 && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        }
        prop_assert!(result.session_id.is_none_or(|id| id.len() <= 128 && !id.starts_with('-')));
        prop_assert!(result.cost_usd.is_finite() && result.cost_usd >= 0.0);
    }

    #[test]
    fn a_message_is_one_that_a_page_can_show(bytes in hostile()) {
        let text = String::from_utf8_lossy(&bytes);
        let message = Redactor::default().message(&text);
        prop_assert!(message.len() <= (4 << 10) + 3);
        prop_assert!(!message.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{message:?}");
        let line = Redactor::default().line(&text, 180);
        prop_assert!(line.chars().count() <= 180 && !line.contains(char::is_control), "{line:?}");
    }
}
