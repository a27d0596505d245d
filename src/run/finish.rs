//! A running Job until its result: watch, deliver, prove, judge, clean up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::bill;
use super::conclude::{self, Known};
use super::deliver::{self, Delivered};
use super::ending::{CANCELLED_PROOF, Seen, ending, stop_job};
use super::failure::{Failure, OUTAGE, POD_SCHEDULE_FAILED};
use super::live::Live;
use super::news::Place;
use super::start::Begun;
use super::told::{End, LAST_WORDS};
use super::voice::Voice;
use super::volume::on_volume;
use crate::config::RunSpec;
use crate::tail::followed::Ending;

/// A status line at least this often refreshes the host's `updatedAt`.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Patience of the last requests of a run.
const CLEANUP: Duration = Duration::from_secs(30);
/// The same after a cancel, whose answer the host waits for, and when that could not end the agent in all its time.
const HURRIED_CLEANUP: Duration = Duration::from_secs(4);
const LAST_TRY: Duration = Duration::from_secs(1);

/// How long a Job that could not be deleted is tried again in the background; then its TTL and the sweep remain.
const LATER: Duration = Duration::from_secs(900);

/// What a harvested Job gave.
pub(super) struct Finished {
    /// The result.
    pub(super) result: Value,
    /// The Job is over, and nobody asked to stop: another may follow.
    pub(super) settled: bool,
    /// Another server has harvested it meanwhile.
    pub(super) by_another: bool,
}

/// Runs to the end and cleans up.
pub(super) async fn finish(run: Begun, voice: &Voice) -> Finished {
    let Begun {
        spec,
        live,
        stdout,
        stderr,
    } = run;
    let (known, mut is_known) = tokio::sync::watch::channel(false);
    let (over, mut is_over) = tokio::sync::watch::channel(false);
    let watching = async {
        let mut seen = ending(&live, voice).await;
        let (of_stdout, of_stderr) = seen.endings();
        stdout.end(of_stdout);
        stderr.end(of_stderr);
        known.send_replace(true);
        voice.place(Place::Proving);
        if seen.record.is_none() {
            // The Job or its pod is gone, and the agent may still be at work until its node hears of it.
            let late = tokio::select! {
                _ = is_over.wait_for(|over| *over) => None,
                record = live.record_within(LAST_WORDS) => Some(record),
            };
            if let Some(record) = late {
                seen.record = record;
                let (of_stdout, of_stderr) = seen.last_endings();
                stdout.end(of_stdout);
                stderr.end(of_stderr);
            }
        }
        seen
    };
    let delivering = async {
        tokio::join!(
            watching,
            async {
                let delivered = deliver::stdout(&stdout, voice).await;
                over.send_replace(true);
                delivered
            },
            deliver::stderr(&stderr, voice)
        )
    };
    // A cancel while the end is being proven: what is missing after a short while stays missing.
    let cutting_short = async {
        live.stop.asked().await;
        let _ = is_known.wait_for(|known| *known).await;
        sleep(CANCELLED_PROOF).await;
        stdout.end(Ending::Drain);
        stderr.end(Ending::Drain);
        std::future::pending::<std::convert::Infallible>().await
    };
    let (seen, delivered, stderr_end) = tokio::select! {
        all = delivering => all,
        never = keepalive(&live, voice) => match never {},
        never = cutting_short => match never {},
    };
    let mut result = judge(&spec, &live, &seen, delivered, stderr_end, voice).await;
    let cancelled = live.stop.reason().is_some();
    if cancelled && is_gone(&live, &seen, voice).await {
        acknowledge(&mut result);
    }
    voice.event(log_event(&live, &result));
    voice.place(Place::CleaningUp);
    let others = others(&live).await;
    clean_up(&live, &seen, spec.retain_jobs, others, &mut result, voice).await;
    Finished {
        settled: !cancelled && !matches!(seen.end, End::Outage(_)),
        by_another: others == Others::Done,
        result,
    }
}

/// Who else follows, or followed, the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Nobody.
    None,
    /// A server before this one.
    Before,
    /// A server that took it over since, and is to clean up.
    After,
    /// A server that took it over since, and has cleaned up.
    Done,
}

async fn others(live: &Live) -> Others {
    // Without a Job nobody else follows it: a word of a server that died since counts no more.
    if !live.without_job && live.is_taken_over().await {
        Others::After
    } else if live.is_harvested().await {
        // Asked second: who cleans up takes the log away before its word.
        Others::Done
    } else if live.without_job || live.heir.is_some() {
        Others::Before
    } else {
        Others::None
    }
}

/// The result of what was seen.
async fn judge(
    spec: &RunSpec,
    live: &Live,
    seen: &Seen,
    delivered: Delivered,
    stderr: String,
    voice: &Voice,
) -> Value {
    match &seen.end {
        End::NotStarted(why) => not_started(live, why, voice).await,
        End::Outage(why) if delivered.bytes == 0 => {
            let job = &live.job_name;
            let message =
                format!("the API server was not reachable for too long ({why}); the Job {job} is kept");
            Failure::of_input(OUTAGE, message).into_result()
        }
        _ => {
            let (result, warnings) = conclude::result(Known {
                spec,
                end: &seen.end,
                timed_out: seen.timed_out,
                container: seen.container.as_ref(),
                record: seen.record.as_ref(),
                unstarted: seen.record.is_none() && live.never_started().await,
                delivered,
                stderr,
            });
            for warning in warnings {
                voice.status(warning).await;
            }
            result
        }
    }
}

/// Whether nothing of a run that was asked to stop is left, also when it had ended by itself before.
async fn is_gone(live: &Live, seen: &Seen, voice: &Voice) -> bool {
    match &seen.end {
        End::Cancelled(_) | End::Deadline => seen.gone,
        _ => stop_job(live, "the run is cancelled", HURRIED_CLEANUP * 2, voice).await,
    }
}

/// The pod never ran the agent: the Job goes, and the host may try again if nothing can have started.
async fn not_started(live: &Live, why: &str, voice: &Voice) -> Value {
    let patience = live.patience(CLEANUP, HURRIED_CLEANUP);
    let gone = live.delete_job(patience).await.is_ok() && live.pods_gone(patience).await;
    let nothing_started = gone && live.never_started().await;
    voice.warn(format!("Pod scheduling failed: {why}")).await;
    Failure {
        code: POD_SCHEDULE_FAILED,
        message: format!("Pod scheduling failed: {why}"),
        nothing_started,
    }
    .into_result()
}

/// The host takes our word for it: only what was verified is acknowledged.
fn acknowledge(result: &mut Value) {
    let Some(fields) = result.as_object_mut() else {
        return;
    };
    let extra = fields.entry("resultJson").or_insert_with(|| json!({}));
    if !extra.is_object() {
        *extra = json!({});
    }
    if let Some(extra) = extra.as_object_mut() {
        // The shim adds the time: this room has no wall clock.
        extra.insert(
            "executionCancellation".to_owned(),
            json!({"state": "acknowledged"}),
        );
    }
}

fn log_event(live: &Live, result: &Value) -> Value {
    let log = result.pointer("/resultJson/log").cloned().unwrap_or(Value::Null);
    let proof = log
        .get("proof")
        .and_then(Value::as_str)
        .unwrap_or("not read")
        .to_owned();
    json!({
        "eventType": "opencode_k8s.log",
        "stream": "system",
        "level": if proof == "proven" { "info" } else { "warn" },
        "message": format!("Log of {} is {proof}", live.job_name),
        "payload": {"job": live.job_name, "log": log},
    })
}

async fn keepalive(live: &Live, voice: &Voice) -> std::convert::Infallible {
    loop {
        sleep(KEEPALIVE).await;
        let quiet = voice.quiet_for().await.as_secs();
        voice
            .status(format!(
                "keepalive — job {} running ({quiet}s since last output)",
                live.job_name
            ))
            .await;
    }
}

/// Job, Secret and files go; all of them stay with `retainJobs`, and the Job while its end is unknown. What the run used is
/// settled last where somebody else may tell it too, so that a server which dies before that has told nothing.
async fn clean_up(live: &Live, seen: &Seen, retain: bool, others: Others, result: &mut Value, voice: &Voice) {
    if matches!(seen.end, End::Outage(_)) {
        return bill::settle(live, result).await;
    }
    if others == Others::After {
        let job = &live.job_name;
        let line = format!("Another server took job {job} over: cleaning up is left to it");
        voice.status(line).await;
        bill::settle(live, result).await;
        return mark_heard(live).await;
    }
    if retain {
        voice.status(retaining(live, seen)).await;
    } else if !remove_objects(live, seen, voice).await {
        return bill::settle(live, result).await;
    }
    if others != Others::None {
        bill::settle(live, result).await;
    }
    if retain {
        mark_heard(live).await;
    } else {
        remove_files(live, voice).await;
    }
}

/// False when the Job stays, and its agent may still write: whoever takes it over, or an operator, needs its files.
async fn remove_objects(live: &Live, seen: &Seen, voice: &Voice) -> bool {
    let tried = matches!(seen.end, End::Cancelled(_)) && !seen.gone;
    let hurried = if tried { LAST_TRY } else { HURRIED_CLEANUP };
    let patience = live.patience(CLEANUP, hurried);
    let deleted = if live.without_job {
        Ok(())
    } else {
        live.delete_job(patience).await
    };
    if let Err(error) = deleted {
        let still_running = matches!(seen.end, End::Cancelled(_) | End::Deadline) && !seen.gone;
        let stay = if still_running { "; its files stay" } else { "" };
        voice
            .warn(format!(
                "Warning: failed to cleanup job {}: {error}{stay}",
                live.job_name
            ))
            .await;
        if error.is_transient() {
            delete_later(live);
        }
        if still_running {
            return false;
        }
    }
    if let Some(secret) = &live.secret
        && let Err(error) = live.namespace.delete_secret(secret, patience).await
    {
        let line = format!("Warning: failed to cleanup secret {secret}: {error}");
        voice.warn(line).await;
    }
    true
}

async fn remove_files(live: &Live, voice: &Voice) {
    let patience = live.patience(CLEANUP, HURRIED_CLEANUP);
    let (files, names) = (live.files.clone(), live.names.clone());
    let removed = on_volume(patience, move || files.remove(names.all()));
    let job = &live.job_name;
    let problem = match removed.await {
        Some(None) => return,
        Some(Some(error)) => format!("failed to remove the log files of {job}: {error}"),
        None => format!("the volume did not answer: the log files of {job} stay"),
    };
    voice.warn(format!("Warning: {problem}")).await;
}

/// What stays with `retainJobs`: a Job whose agent had to be stopped, or could not start, does not.
fn retaining(live: &Live, seen: &Seen) -> String {
    let job = &live.job_name;
    let had_to_go = match &seen.end {
        End::Cancelled(_) | End::NotStarted(_) => true,
        End::Deadline => !live.job_is_over(),
        _ => live.stop.reason().is_some(),
    };
    if had_to_go {
        format!("Job {job} could not stay, but the files of its run do (retainJobs=true)")
    } else {
        format!("Retaining job {job} for debugging (retainJobs=true)")
    }
}

/// The gate's file is what tells a run that nobody has harvested: should whoever is to clean up die, this one is not
/// told and billed again.
async fn mark_heard(live: &Live) {
    let (files, gate) = (live.files.clone(), live.names.nonce.clone());
    on_volume(HURRIED_CLEANUP, move || files.remove([gate.as_str()])).await;
}

/// The API server is away: the Job goes when it is back. Its Secret goes with it.
fn delete_later(live: &Live) {
    let (namespace, name, uid) = (
        live.namespace.clone(),
        live.job_name.clone(),
        live.job_uid.clone(),
    );
    tokio::spawn(async move { namespace.delete_job(&name, Some(&uid), LATER).await });
}
