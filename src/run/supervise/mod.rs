//! A running Job until its result: watch, deliver, prove, judge, clean up.

pub mod conclude;
pub mod deliver;
pub mod start_limits;
pub mod termination;
pub mod usage;
pub mod watch;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::config::RunSpec;
use crate::run::attached::AttachedJob;
use crate::run::failure::{Failure, OUTAGE, POD_SCHEDULE_FAILED};
use crate::run::host::log::HostLog;
use crate::run::host::progress::Phase;
use crate::run::job::end::{LAST_WORDS, RunEnd};
use crate::run::job::handle::JobHandle;
use crate::run::supervise::termination::{CANCELLED_PROOF, Termination, await_termination, stop_job};
use crate::tail::followed::Ending;
use conclude::EndFacts;
use deliver::Delivery;

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
pub(crate) struct Conclusion {
    /// The result.
    pub(crate) result: Value,
    /// The Job is over, and nobody asked to stop: another may follow.
    pub(crate) settled: bool,
    /// Another server has harvested it meanwhile.
    pub(crate) by_another: bool,
}

/// Runs to the end and cleans up.
pub(crate) async fn finish(run: AttachedJob, host_log: &HostLog) -> Conclusion {
    let AttachedJob {
        spec,
        handle,
        stdout,
        stderr,
    } = run;
    let (known, mut is_known) = tokio::sync::watch::channel(false);
    let (over, mut is_over) = tokio::sync::watch::channel(false);
    let watching = async {
        let mut termination = await_termination(&handle, host_log).await;
        let (of_stdout, of_stderr) = termination.endings();
        stdout.end(of_stdout);
        stderr.end(of_stderr);
        known.send_replace(true);
        host_log.phase(Phase::Proving);
        if termination.record.is_none() {
            // The Job or its pod is gone, and the agent may still be at work until its node hears of it.
            let late = tokio::select! {
                _ = is_over.wait_for(|over| *over) => None,
                record = handle.record_within(LAST_WORDS) => Some(record),
            };
            if let Some(record) = late {
                termination.record = record;
                let (of_stdout, of_stderr) = termination.last_endings();
                stdout.end(of_stdout);
                stderr.end(of_stderr);
            }
        }
        termination
    };
    let delivering = async {
        tokio::join!(
            watching,
            async {
                let delivered = deliver::stdout(&stdout, host_log).await;
                over.send_replace(true);
                delivered
            },
            deliver::stderr(&stderr, host_log)
        )
    };
    // A cancel while the end is being proven: what is missing after a short while stays missing.
    let cutting_short = async {
        handle.stop.asked().await;
        let _ = is_known.wait_for(|known| *known).await;
        sleep(CANCELLED_PROOF).await;
        stdout.end(Ending::Drain);
        stderr.end(Ending::Drain);
        std::future::pending::<std::convert::Infallible>().await
    };
    let (termination, delivered, stderr_end) = tokio::select! {
        all = delivering => all,
        never = keepalive(&handle, host_log) => match never {},
        never = cutting_short => match never {},
    };
    let mut result = judge(&spec, &handle, &termination, delivered, stderr_end, host_log).await;
    let cancelled = handle.stop.reason().is_some();
    if cancelled && is_gone(&handle, &termination, host_log).await {
        acknowledge(&mut result);
    }
    host_log.event(log_event(&handle, &result));
    host_log.phase(Phase::CleaningUp);
    let others = others(&handle).await;
    clean_up(
        &handle,
        &termination,
        spec.retain_jobs,
        others,
        &mut result,
        host_log,
    )
    .await;
    Conclusion {
        settled: !cancelled && !matches!(termination.end, RunEnd::Outage(_)),
        by_another: others == OtherServers::Done,
        result,
    }
}

/// Who else follows, or followed, the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OtherServers {
    /// SilentHost.
    None,
    /// A server before this one.
    Before,
    /// A server that took it over since, and is to clean up.
    After,
    /// A server that took it over since, and has cleaned up.
    Done,
}

async fn others(handle: &JobHandle) -> OtherServers {
    // Without a Job nobody else follows it: a word of a server that died since counts no more.
    if !handle.without_job && handle.is_taken_over().await {
        OtherServers::After
    } else if handle.is_harvested().await {
        // Asked second: who cleans up takes the log away before its word.
        OtherServers::Done
    } else if handle.without_job || handle.holder.is_some() {
        OtherServers::Before
    } else {
        OtherServers::None
    }
}

/// The result of the termination.
async fn judge(
    spec: &RunSpec,
    handle: &JobHandle,
    termination: &Termination,
    delivered: Delivery,
    stderr: String,
    host_log: &HostLog,
) -> Value {
    match &termination.end {
        RunEnd::NotStarted(why) => not_started(handle, why, host_log).await,
        RunEnd::Outage(why) if delivered.bytes == 0 => {
            let job = &handle.job_name;
            let message =
                format!("the API server was not reachable for too long ({why}); the Job {job} is kept");
            Failure::of_input(OUTAGE, message).into_result()
        }
        _ => {
            let (result, warnings) = conclude::result(EndFacts {
                spec,
                end: &termination.end,
                timed_out: termination.timed_out,
                container: termination.container.as_ref(),
                record: termination.record.as_ref(),
                unstarted: termination.record.is_none() && handle.never_started().await,
                delivered,
                stderr,
            });
            for warning in warnings {
                host_log.status(warning).await;
            }
            result
        }
    }
}

/// Whether nothing of a run that was asked to stop is left, also when it had ended by itself before.
async fn is_gone(handle: &JobHandle, termination: &Termination, host_log: &HostLog) -> bool {
    match &termination.end {
        RunEnd::Cancelled(_) | RunEnd::Deadline => termination.gone,
        _ => stop_job(handle, "the run is cancelled", HURRIED_CLEANUP * 2, host_log).await,
    }
}

/// The pod never ran the agent: the Job goes, and the host may try again if nothing can have started.
async fn not_started(handle: &JobHandle, why: &str, host_log: &HostLog) -> Value {
    let patience = handle.patience(CLEANUP, HURRIED_CLEANUP);
    let gone = handle.delete_job(patience).await.is_ok() && handle.pods_gone(patience).await;
    let nothing_started = gone && handle.never_started().await;
    host_log.warn(format!("Pod scheduling failed: {why}")).await;
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

fn log_event(handle: &JobHandle, result: &Value) -> Value {
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
        "message": format!("Log of {} is {proof}", handle.job_name),
        "payload": {"job": handle.job_name, "log": log},
    })
}

async fn keepalive(handle: &JobHandle, host_log: &HostLog) -> std::convert::Infallible {
    loop {
        sleep(KEEPALIVE).await;
        let quiet = host_log.quiet_for().await.as_secs();
        host_log
            .status(format!(
                "keepalive — job {} running ({quiet}s since last output)",
                handle.job_name
            ))
            .await;
    }
}

/// Job, Secret and files go; all of them stay with `retainJobs`, and the Job while its end is unknown. What the run used is
/// settled last where somebody else may tell it too, so that a server which dies before that has told nothing.
async fn clean_up(
    handle: &JobHandle,
    termination: &Termination,
    retain: bool,
    others: OtherServers,
    result: &mut Value,
    host_log: &HostLog,
) {
    if matches!(termination.end, RunEnd::Outage(_)) {
        return usage::settle(handle, result).await;
    }
    if others == OtherServers::After {
        let job = &handle.job_name;
        let line = format!("Another server took job {job} over: cleaning up is left to it");
        host_log.status(line).await;
        usage::settle(handle, result).await;
        return mark_heard(handle).await;
    }
    if retain {
        host_log.status(retaining(handle, termination)).await;
    } else if !remove_objects(handle, termination, host_log).await {
        return usage::settle(handle, result).await;
    }
    if others != OtherServers::None {
        usage::settle(handle, result).await;
    }
    if retain {
        mark_heard(handle).await;
    } else {
        remove_files(handle, host_log).await;
    }
}

/// False when the Job stays, and its agent may still write: whoever takes it over, or an operator, needs its files.
async fn remove_objects(handle: &JobHandle, termination: &Termination, host_log: &HostLog) -> bool {
    let tried = matches!(termination.end, RunEnd::Cancelled(_)) && !termination.gone;
    let hurried = if tried { LAST_TRY } else { HURRIED_CLEANUP };
    let patience = handle.patience(CLEANUP, hurried);
    let deleted = if handle.without_job {
        Ok(())
    } else {
        handle.delete_job(patience).await
    };
    if let Err(error) = deleted {
        let still_running =
            matches!(termination.end, RunEnd::Cancelled(_) | RunEnd::Deadline) && !termination.gone;
        let stay = if still_running { "; its files stay" } else { "" };
        host_log
            .warn(format!(
                "Warning: failed to cleanup job {}: {error}{stay}",
                handle.job_name
            ))
            .await;
        if error.is_transient() {
            delete_later(handle);
        }
        if still_running {
            return false;
        }
    }
    if let Some(secret) = &handle.secret
        && let Err(error) = handle.namespace.delete_secret(secret, patience).await
    {
        let line = format!("Warning: failed to cleanup secret {secret}: {error}");
        host_log.warn(line).await;
    }
    true
}

async fn remove_files(handle: &JobHandle, host_log: &HostLog) {
    let patience = handle.patience(CLEANUP, HURRIED_CLEANUP);
    let (files, names) = (handle.files.clone(), handle.names.clone());
    let removed = handle.volume.within(patience, move || files.remove(names.all()));
    let job = &handle.job_name;
    let problem = match removed.await {
        Some(None) => return,
        Some(Some(error)) => format!("failed to remove the log files of {job}: {error}"),
        None => format!("the volume did not answer: the log files of {job} stay"),
    };
    host_log.warn(format!("Warning: {problem}")).await;
}

/// What stays with `retainJobs`: a Job whose agent had to be stopped, or could not start, does not.
fn retaining(handle: &JobHandle, termination: &Termination) -> String {
    let job = &handle.job_name;
    let had_to_go = match &termination.end {
        RunEnd::Cancelled(_) | RunEnd::NotStarted(_) => true,
        RunEnd::Deadline => !handle.job_is_over(),
        _ => handle.stop.reason().is_some(),
    };
    if had_to_go {
        format!("Job {job} could not stay, but the files of its run do (retainJobs=true)")
    } else {
        format!("Retaining job {job} for debugging (retainJobs=true)")
    }
}

/// The gate's file is what tells a run that nobody has harvested: should whoever is to clean up die, this one is not
/// told and billed again.
async fn mark_heard(handle: &JobHandle) {
    let (files, gate) = (handle.files.clone(), handle.names.nonce.clone());
    let removed = handle
        .volume
        .within(HURRIED_CLEANUP, move || files.remove([gate.as_str()]));
    removed.await;
}

/// The API server is away: the Job goes when it is back. Its Secret goes with it.
fn delete_later(handle: &JobHandle) {
    let (namespace, name, uid) = (
        handle.namespace.clone(),
        handle.job_name.clone(),
        handle.job_uid.clone(),
    );
    tokio::spawn(async move { namespace.delete_job(&name, Some(&uid), LATER).await });
}
