//! A scripted opencode: some steps with usage, then an end.

use std::time::Duration;

use serde_json::json;

use super::dice::Dice;

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Code(i32),
    /// Never by itself.
    Hangs,
}

/// One step of its work.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) takes: Duration,
    /// Its input tokens: a bit of its own, so that a sum tells which steps are in it.
    pub(crate) weight: u64,
    is_last: bool,
}

/// What it does in one Job.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) stderr: Vec<String>,
    pub(crate) exit: Exit,
    pub(crate) ignores_term: bool,
}

impl Script {
    /// `bits`: the first bit that no other step has.
    pub(crate) fn cast(dice: &mut Dice, bits: &mut u32) -> Self {
        let exit = match dice.below(10) {
            0 => Exit::Hangs,
            1 | 2 => Exit::Code(1),
            _ => Exit::Code(0),
        };
        let count = if dice.once_in(12) { 0 } else { 1 + dice.below(3) };
        let steps = (0..count).map(|at| Step {
            takes: if dice.once_in(10) {
                dice.seconds(60, 500)
            } else {
                dice.millis(50, 30_000)
            },
            weight: {
                *bits += 1;
                1 << (*bits - 1)
            },
            is_last: at + 1 == count && exit == Exit::Code(0),
        });
        Self {
            steps: steps.collect(),
            stderr: if exit == Exit::Code(1) {
                vec!["Error: it failed".to_owned()]
            } else {
                Vec::new()
            },
            exit,
            ignores_term: dice.once_in(8),
        }
    }

    /// A plain one: it works for so long and ends well.
    pub(crate) fn plain(bits: &mut u32, takes: Duration) -> Self {
        *bits += 1;
        Self {
            steps: vec![Step {
                takes,
                weight: 1 << (*bits - 1),
                is_last: true,
            }],
            stderr: Vec::new(),
            exit: Exit::Code(0),
            ignores_term: false,
        }
    }

    /// Whether whoever reads all of it would call it a success.
    pub(crate) fn succeeds(&self) -> bool {
        self.exit == Exit::Code(0) && self.steps.last().is_some_and(|step| step.is_last)
    }
}

impl Step {
    /// The lines of step number `at`.
    pub(crate) fn lines(&self, session: &str, run: &str, at: usize) -> Vec<String> {
        let line = |kind: &str, part: serde_json::Value| {
            let mut part = part;
            part["id"] = json!(format!("prt_{run}_{at}_{kind}"));
            part["sessionID"] = json!(session);
            part["messageID"] = json!(format!("msg_{run}_{at}"));
            json!({"type": kind, "timestamp": 1_795_417_346_458_u64, "sessionID": session, "part": part})
                .to_string()
                + "\n"
        };
        let reason = if self.is_last { "stop" } else { "tool-calls" };
        vec![
            line("step_start", json!({"type": "step-start"})),
            line(
                "text",
                json!({"type": "text", "text": format!("answer {at} of {run}"), "time": {"start": 1, "end": 2}}),
            ),
            line(
                "step_finish",
                json!({"type": "step-finish", "reason": reason, "cost": 0.25,
                "tokens": {"total": self.weight, "input": self.weight, "output": 0, "reasoning": 0, "cache": {"write": 0, "read": 0}}}),
            ),
        ]
    }
}
