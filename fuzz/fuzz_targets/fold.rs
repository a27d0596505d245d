//! Any bytes as opencode's stdout: nothing panics, how they are chunked does not matter, what is kept is bounded, and
//! the judgement is one the host understands.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure rooms alone: with the sanitizer's own optimiser the whole addon takes ten minutes to build.
#[path = "../../src/codes.rs"]
#[allow(dead_code)]
pub mod codes;
#[path = "../../src/ids.rs"]
#[allow(dead_code)]
pub mod ids;
#[path = "../../src/opencode/mod.rs"]
#[allow(dead_code, unused_imports)]
pub mod opencode;
#[path = "../../src/run"]
#[allow(dead_code, unused_imports)]
mod run {
    pub mod outcome;
}
#[path = "../../src/tail"]
#[allow(dead_code)]
mod tail {
    pub mod framer;
}

use opencode::{Summary, Transcript, fold, is_step_limit, is_unknown_session, parse_jsonl};
use run::outcome::{Facts, LogState, RunResult, resolve};
use tail::framer::Framer;

/// All strings and lists of a summary have limits; these are the sums of the large ones, in JSON with room for escapes.
const ANSWER: usize = 6 * 3 * (1 << 20);
const THE_REST: usize = 6 * (16 * 2 * 8 * 1024 + 64 * 1024);

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let whole = fold(&text).finish();
    let said = serde_json::to_string(&whole).expect("a summary is JSON");
    assert!(said.len() <= ANSWER + THE_REST, "{} bytes are kept", said.len());
    let long = whole.answer.len() + whole.cut_text.as_deref().map_or(0, str::len) + whole.compaction.as_deref().map_or(0, str::len);
    assert!(said.len() <= 6 * long + THE_REST, "{} bytes are kept beside the texts", said.len());
    assert!(whole.events + whole.broken_lines <= whole.lines);
    assert!(!whole.clean_stop || whole.unrecovered == 0);

    let chunked = in_chunks(data);
    assert_eq!(serde_json::to_string(&chunked).expect("a summary is JSON"), said, "chunks change the fold");

    let parsed = parse_jsonl(&text);
    // The parser gives the last session, as the TypeScript one does, and the fold the run's own, which is the first.
    assert_eq!(parsed["sessionId"].is_string(), whole.session_id.is_some());
    assert_eq!(parsed["lastMessage"], serde_json::json!(whole.answer));
    assert_eq!(parsed["completedCleanly"], whole.clean_stop);
    assert!(is_step_limit(&text) == whole.step_limit);
    let _ = is_unknown_session(&text, &text);

    judge(&text, data);
});

/// The same bytes as a tail delivers them: in pieces, with looks at the state in between.
fn in_chunks(data: &[u8]) -> Summary {
    let (mut framer, mut transcript, mut lines) = (Framer::default(), Transcript::new(), Vec::new());
    let mut rest = data;
    let mut size = 1 + data.first().copied().unwrap_or_default() as usize % 64;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(size.min(rest.len()));
        framer.push(chunk, &mut lines);
        for line in String::from_utf8_lossy(&lines).split_terminator('\n') {
            transcript.push_line(line);
        }
        let _ = transcript.snapshot();
        lines.clear();
        size = 1 + size * 7 % 193;
        rest = more;
    }
    let cut = framer.has_partial();
    framer.finish(&mut lines);
    if cut {
        transcript.push_cut(String::from_utf8_lossy(&lines).trim_end_matches('\n'));
    }
    transcript.finish()
}

/// The whole text as stdout, and its end as stderr and as the container's reason, too.
fn judge(text: &str, data: &[u8]) {
    let (picked, tail) = (data.last().copied().unwrap_or_default(), text.lines().last().unwrap_or_default());
    let facts = Facts {
        stdout: text.to_owned(),
        stderr: if picked & 1 > 0 { text.to_owned() } else { tail.to_owned() },
        exit_code: [Some(0), Some(1), Some(143), None][usize::from(picked >> 1 & 3)],
        log_state: [LogState::Proven, LogState::Unproven, LogState::Incomplete][usize::from(picked >> 3) % 3],
        reason: (picked & 64 > 0).then(|| tail.to_owned()),
        model: Some(tail.to_owned()),
        ..Facts::default()
    };
    let result = resolve(&facts);
    fit_to_show(&result);
    assert_eq!(result.exit_code == Some(0), result.error_message.is_none());
    assert_eq!(result.error_code.is_some(), result.error_message.is_some());
    assert!(result.cost_usd.is_finite() && result.cost_usd >= 0.0);
    let stored = result.result_json["stdout"].as_str().unwrap_or_default().len();
    assert!(stored <= (1 << 20) + 100, "{stored} bytes are stored");
    serde_json::to_string(&result).expect("a result is JSON");
}

fn fit_to_show(result: &RunResult) {
    for said in result.error_message.iter().chain(&result.warnings) {
        assert!(!said.is_empty() && said.len() <= 2048, "{said}");
        assert!(!said.contains("{\""), "raw JSON: {said}");
        assert!(!said.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{said:?}");
    }
}
