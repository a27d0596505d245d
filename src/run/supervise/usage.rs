//! What a run used is reported by exactly one result, also when several hear of it: a server and its successor that
//! follow one Job, or a run that was given up before its Job could be removed and the run that harvests that Job.
//! Whoever tells first leaves a note of it beside the log; whoever comes later tells the rest. Whoever finds that the run
//! was harvested and cleaned up by another server tells nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::run::job::handle::JobHandle;

const TOKENS: [&str; 3] = ["inputTokens", "outputTokens", "cachedInputTokens"];
/// How long each look at the volume may take, and the same when the host waits for the answer to its cancel.
const PATIENCE: Duration = Duration::from_secs(4);
const HURRY: Duration = Duration::from_secs(1);
/// A note that is still empty after this time is that of a server which died over it.
const WRITING: Duration = Duration::from_secs(1);
/// Between a run's log and its note nobody who cleans up needs longer.
const CLEANING: Duration = Duration::from_secs(2);

/// Takes off what was told before, and notes what is told by now. Where no file can be made (root squash), it tells all.
pub async fn settle(handle: &JobHandle, result: &mut Value) {
    let used = used(result);
    if used == Value::Null {
        return;
    }
    let noted = note(handle, &used, false).await;
    // Asked after the note was made: who cleans up takes the log away first, and then the note.
    if handle.is_harvested().await {
        if noted && is_taken_away(handle).await {
            // It was there in time: who cleaned up has told only the rest.
            return;
        }
        if noted {
            forget(handle).await;
        }
        take_off(result, &used);
        return;
    }
    if noted {
        return;
    }
    let Some(told) = told(handle).await else {
        return;
    };
    if told != used {
        note(handle, &used, true).await;
    }
    take_off(result, &told);
}

/// Whether somebody who cleans up takes the note away as well, and does not just stand between the log and the note.
async fn is_taken_away(handle: &JobHandle) -> bool {
    sleep(CLEANING).await;
    let limit = handle.patience(PATIENCE, HURRY);
    handle.small(&handle.names.usage, limit).await == Some(None)
}

async fn forget(handle: &JobHandle) {
    let (files, name) = (handle.files.clone(), handle.names.usage.clone());
    let limit = handle.patience(PATIENCE, HURRY);
    let forgotten = handle.volume.within(limit, move || files.remove([name.as_str()]));
    forgotten.await;
}

/// Leaves a note of what is told; false when somebody else's is there, or none can be made.
async fn note(handle: &JobHandle, used: &Value, instead: bool) -> bool {
    let (files, name, owner) = (handle.files.clone(), handle.names.usage.clone(), handle.owner);
    let used = used.to_string();
    let limit = handle.patience(PATIENCE, HURRY);
    let made = handle.volume.within(limit, move || {
        if instead {
            files.remove([name.as_str()]);
        }
        files
            .prepare(owner, &[(&name, used.as_bytes())])
            .is_ok_and(|made| made.by_server)
    });
    made.await.unwrap_or(false)
}

/// What somebody else told. Between making the note and writing it lies a moment.
async fn told(handle: &JobHandle) -> Option<Value> {
    let until = Instant::now() + WRITING;
    loop {
        let limit = handle.patience(PATIENCE, HURRY);
        let content = handle.small(&handle.names.usage, limit).await??;
        match serde_json::from_slice(&content) {
            Ok(told) => return Some(told),
            Err(_) if Instant::now() >= until => return None,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// What this result reports as used, as a note; null when it is nothing.
fn used(result: &Value) -> Value {
    let tokens = TOKENS.map(|field| result["usage"][field].as_u64().unwrap_or_default());
    let cost = result["costUsd"].as_f64();
    if tokens == [0; 3] && cost.is_none_or(|cost| cost <= 0.0) {
        return Value::Null;
    }
    let [input, output, cached] = tokens;
    json!({"usage": {"inputTokens": input, "outputTokens": output, "cachedInputTokens": cached}, "costUsd": cost})
}

/// The run that made the earlier Job is lost and will never report what it used: this one reports it.
pub(crate) fn add(result: &mut Value, earlier: &Value) {
    for field in TOKENS {
        let of = |result: &Value| result["usage"][field].as_u64();
        if let Some(used) = of(earlier) {
            result["usage"][field] = json!(used + of(result).unwrap_or_default());
        }
    }
    if let Some(cost) = earlier["costUsd"].as_f64() {
        result["costUsd"] = json!(cost + result["costUsd"].as_f64().unwrap_or_default());
    }
}

/// Never below nothing: the note lies where pods can write.
fn take_off(result: &mut Value, told: &Value) {
    for field in TOKENS {
        let of = |result: &Value| result["usage"][field].as_u64();
        if let (Some(all), Some(told)) = (of(result), of(told)) {
            result["usage"][field] = json!(all.saturating_sub(told));
        }
    }
    if let (Some(all), Some(told)) = (result["costUsd"].as_f64(), told["costUsd"].as_f64()) {
        // Sums of prices are not exact: a rest of a millionth of a cent is none.
        let rest = all - told.max(0.0);
        result["costUsd"] = json!(if rest > 1e-8 { rest } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: u64, cost: f64) -> Value {
        json!({"usage": {"inputTokens": input, "outputTokens": 2, "cachedInputTokens": 1}, "costUsd": cost})
    }

    #[test]
    fn what_several_earlier_jobs_used_is_on_one_bill() {
        let mut result = of(10, 0.5);
        add(&mut result, &of(30, 0.5));
        add(&mut result, &json!({"exitCode": null, "costUsd": null}));
        assert_eq!(
            result,
            json!({"usage": {"inputTokens": 40, "outputTokens": 4, "cachedInputTokens": 2}, "costUsd": 1.0})
        );
        let mut failed = json!({"exitCode": null});
        add(&mut failed, &of(30, 0.5));
        assert_eq!(
            (&failed["usage"]["inputTokens"], &failed["costUsd"]),
            (&json!(30), &json!(0.5))
        );
    }

    #[test]
    fn only_what_was_not_told_is_left() {
        let mut result = of(30, 0.75);
        take_off(&mut result, &used(&of(10, 0.5)));
        assert_eq!(
            (&result["usage"]["inputTokens"], &result["costUsd"]),
            (&json!(20), &json!(0.25))
        );
        let mut same = of(30, 0.1 + 0.2);
        take_off(&mut same, &used(&of(30, 0.3)));
        assert_eq!(
            (&same["usage"]["inputTokens"], &same["costUsd"]),
            (&json!(0), &json!(0.0))
        );
    }

    #[test]
    fn a_hostile_note_takes_nothing_below_nothing() {
        for told in [
            of(99, 9.0),
            of(0, -1.0),
            json!("x"),
            json!({"usage": [1], "costUsd": "no"}),
        ] {
            let mut result = of(30, 0.5);
            take_off(&mut result, &told);
            let cost = result["costUsd"].as_f64().expect("a cost");
            assert!(
                (0.0..=0.5).contains(&cost)
                    && result["usage"]["inputTokens"].as_u64().is_some_and(|n| n <= 30)
            );
        }
        assert_eq!(used(&json!({"exitCode": 1})), Value::Null, "nothing to note");
    }
}
