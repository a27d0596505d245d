//! The judgement over any facts whatever.

use opencode_k8s::opencode::Transcript;
use opencode_k8s::run::outcome::{Excerpt, Facts, FoldedFacts, resolve, resolve_folded};
use proptest::prelude::*;
use serde_json::json;

use super::outcome::{CALLS, START, STOP, TEXT, error, lines};

proptest! {
    /// Whatever happened: never a success by accident, never a failure without a message, nothing unfit to show.
    #[test]
    fn every_result_is_one_the_host_understands(
        pick in prop::collection::vec(0_usize..6, 0..8), noise in ".{0,80}", stderr in "(?s).{0,300}",
        exit in prop::option::of(-2..260_i32), state in 0..3_usize, flags in 0..4_u8,
        reason in prop::option::of("OOMKilled|Error|Completed|Evicted|[a-z]{0,8}"),
    ) {
        let api = error("APIError", &json!({ "message": noise, "statusCode": 500 }));
        let known = [START, TEXT, STOP, CALLS, &api, &noise];
        let stdout = lines(&pick.iter().map(|&at| known[at]).collect::<Vec<_>>());
        let state = ["proven", "unproven", "incomplete"][state];
        let facts = json!({ "stdout": stdout, "stderr": stderr, "exitCode": exit, "logState": state, "reason": reason,
            "timedOut": flags & 1 > 0, "cancelled": flags & 2 > 0, "model": noise, "session": noise });
        let facts: Facts = serde_json::from_value(facts).unwrap();
        let result = resolve(&facts);
        prop_assert_eq!(result.exit_code == Some(0), result.error_message.is_none() && !result.timed_out || facts.timed_out && result.exit_code == Some(0));
        prop_assert_eq!(result.error_code.is_some(), result.error_message.is_some());
        if let Some(message) = &result.error_message {
            let fit = !message.is_empty() && message.len() <= 2048 && !message.contains('\u{1b}');
            prop_assert!(fit && !message.starts_with("{\"type"), "{}", message);
        } else {
            prop_assert!(result.signal.is_none());
        }
        // The incremental way gives the same.
        let (mut transcript, mut excerpt) = (Transcript::new(), Excerpt::default());
        for line in facts.stdout.split_terminator('\n') {
            transcript.push_line(line);
            excerpt.push_line(line);
        }
        let folded = FoldedFacts {
            summary: transcript.finish(), stdout_excerpt: excerpt.finish(), stderr: facts.stderr.clone(),
            exit_code: facts.exit_code, signal: facts.signal.clone(), reason: facts.reason.clone(), log_state: facts.log_state,
            timed_out: facts.timed_out, timeout_sec: facts.timeout_sec, cancelled: facts.cancelled,
            model: facts.model.clone(), session: facts.session.clone(), ended_in_circle: false, silent_for_sec: None, unstarted: false,
        };
        prop_assert_eq!(resolve_folded(&folded), result);
    }
}
