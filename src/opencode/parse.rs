//! The parser that the TypeScript adapter exported, with the same fields and values and further ones.

use serde_json::{Value, json};

use super::event::{Event, ParsedLine, error_text, js_trim};
use super::spread::Spread;
use super::transcript::Transcript;

/// The lines of a stdout, and whether it is the rest after the last newline.
fn lines(stdout: &str) -> impl Iterator<Item = (&str, bool)> {
    stdout
        .split_inclusive('\n')
        .map(|line| line.strip_suffix('\n').map_or((line, true), |line| (line, false)))
}

/// Folds a whole stdout.
#[must_use]
pub fn fold(stdout: &str) -> Transcript {
    let mut transcript = Transcript::new();
    for (line, is_tail) in lines(stdout) {
        transcript.push_piece(line, is_tail);
    }
    transcript
}

/// Fields that only the TypeScript adapter's result has: all texts and errors, without a limit.
#[derive(Default)]
struct LegacyFields {
    texts: Vec<String>,
    errors: Vec<String>,
    input: f64,
    cached: f64,
    output: f64,
    cost: f64,
}

impl LegacyFields {
    fn add(&mut self, event: &Event<'_>) {
        match event.kind.as_str() {
            "text" if !event.part.synthetic.0 => self.say(event.part.text.as_str()),
            "step_finish" => {
                self.say(event.part.message.as_str());
                let tokens = &event.part.tokens;
                self.input += tokens.input.0;
                self.cached += tokens.cache.read.0;
                self.output += tokens.output.0 + tokens.reasoning.0;
                self.cost += event.part.cost.0;
            }
            "error" => {
                let text = error_text(event.error_value());
                if !text.is_empty() {
                    self.errors.push(text);
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        let text = js_trim(text);
        if !text.is_empty() {
            self.texts.push(text.to_owned());
        }
    }
}

/// `parseOpenCodeJsonl`: `sessionId`, `summary` (all texts), `usage`, `costUsd` and `errorMessage` as the TypeScript
/// adapter gave them, except that tool errors are in `toolErrorMessage`; and further fields.
#[must_use]
pub fn parse_jsonl(stdout: &str) -> Value {
    let mut transcript = Transcript::new();
    let mut legacy = LegacyFields::default();
    let mut spread = Spread::default();
    for (line, is_tail) in lines(stdout) {
        spread.each(line, is_tail, |text, read| {
            match &read {
                ParsedLine::Event(event) => legacy.add(event),
                ParsedLine::Error { head, .. } => legacy.errors.push(head.message.to_owned()),
                _ => {}
            }
            transcript.push(text, read, is_tail);
        });
    }
    let sum = transcript.finish();
    let tool_errors: Vec<&str> = sum.tool_errors.iter().map(|error| error.error.as_str()).collect();
    json!({
        "sessionId": transcript.last_session(),
        "summary": js_trim(&legacy.texts.join("\n\n")),
        "usage": {
            "inputTokens": number(legacy.input),
            "cachedInputTokens": number(legacy.cached),
            "outputTokens": number(legacy.output),
        },
        "costUsd": number(legacy.cost),
        "errorMessage": (!legacy.errors.is_empty()).then(|| legacy.errors.join("\n")),
        "toolErrorMessage": (!tool_errors.is_empty()).then(|| tool_errors.join("\n")),
        "lastMessage": sum.answer,
        "compactionSummary": sum.compaction,
        "syntheticTexts": sum.synthetic_texts,
        "cacheWriteTokens": number(sum.tokens.cache_write),
        "reasoningTokens": number(sum.tokens.reasoning),
        "lastStepReason": sum.last_reason,
        "completedCleanly": sum.clean_stop,
        "steps": sum.steps_finished,
        "toolErrors": sum.tool_errors,
        "rejectedPermissions": sum.rejected_tools,
        "errors": sum.errors,
        "done": sum.done,
        "unknownTypes": sum.unknown_types,
        "cutLastLine": sum.cut_last_line,
    })
}

/// `isOpenCodeStepLimitResult`: whether any step ended by a step limit.
#[must_use]
pub fn is_step_limit(stdout: &str) -> bool {
    fold(stdout).finish().step_limit
}

/// A number as JavaScript prints it: whole numbers without a fraction.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        json!(value as i64)
    } else {
        json!(value)
    }
}
