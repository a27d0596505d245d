//! A run that has a Job, until its report: watch, deliver, prove, judge, clean up.

pub mod cleanup;
pub mod conclude;
pub mod deliver;
pub mod facts;
pub mod leaving;
pub mod log_finish;
pub mod silence;
pub mod start_limits;
mod start_record;
pub mod usage;
mod version;
pub mod watch;

use std::iter;

use tokio::sync::watch as signal;
use tokio::time::{Instant, sleep_until};

use cleanup::{OtherServers, clean_up, mark_reported, other_servers};
use conclude::EndFacts;
use deliver::{Delivery, OutputState};
use log_finish::LogFinish;
use serde_json::{Value, json};
use silence::tell_of_silence;
use version::VersionLine;
use watch::{Say, Watch, Watched};

use crate::cluster::conditions::finished_at;
use crate::cluster::start_failures::explained;
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::metrics;
use crate::run::attached::AttachedJob;
use crate::run::failure::{Failure, OUTAGE, POD_SCHEDULE_FAILED};
use crate::run::host::log::HostLog;
use crate::run::host::phase_timings::Judged;
use crate::run::host::progress::Phase;
use crate::run::job::end::RunEnd;
use crate::run::job::handle::JobHandle;
use crate::run::redact::display::Redactor;
use crate::run::report::{Outcome, Report};
use crate::run::timing::{CLEAN_UP, REQUEST, STOP_ENDED_JOB};

/// Of how many pods of a Job the events are read.
const EVENT_PODS: usize = 3;

/// What came of a Job.
pub(crate) struct Supervised {
    /// The report.
    pub(crate) report: Report,
    /// The Job is over, and nobody asked to stop: another may follow.
    pub(crate) is_over: bool,
    /// Its end and what it used need no other report.
    pub(crate) is_reported: bool,
    /// Another server has harvested it meanwhile.
    pub(crate) is_reported_by_another: bool,
}

/// Runs to the end and cleans up.
pub(crate) async fn supervise(run: &AttachedJob, host_log: &HostLog) -> Supervised {
    let (output, mut seen) = signal::channel(OutputState::default());
    let printed = seen.clone();
    let redactor = Redactor::of(&run.spec);
    // Boxed, as all that is awaited here: a future has room for each of them, for as long as the agent works.
    let delivered = Box::pin(async {
        let (delivery, stderr) = tokio::join!(
            deliver::stdout(&run.stdout, host_log, &run.handle.stop, &redactor, &output),
            deliver::stderr(&run.stderr, host_log, &run.handle.stop, &redactor, &output)
        );
        output.send_modify(|state| state.is_over = true);
        (delivery, stderr)
    });
    let finish = |finish: LogFinish| {
        run.stdout.end(finish.of_stdout());
        run.stderr.end(finish.of_stderr());
    };
    let watched = Box::pin(watch_job(&run.handle, host_log, &mut seen, finish));
    let followed = async { tokio::join!(watched, delivered) };
    let (end, (delivery, stderr)) = tokio::select! {
        all = followed => all,
        never = tell_of_silence(&run.handle, host_log, printed) => match never {},
    };
    let AttachedJob { handle, spec, .. } = run;
    let mut report = Box::pin(judge(run, &end, delivery, stderr, host_log)).await;
    let is_cancelled = handle.stop.reason().is_some();
    report.is_acknowledged |= is_cancelled && Box::pin(is_gone(handle, &end, host_log)).await;
    host_log.event(log_event(handle, &report));
    host_log.judge(Judged {
        turn_is_ok: report.code().is_none(),
        log_is_complete: matches!(report.proof(), "proven" | "counted"),
    });
    host_log.phase(Phase::CleaningUp);
    let others = Box::pin(other_servers(handle)).await;
    let retain = spec.settings.retain_jobs;
    let cleaned_up = clean_up(handle, &end, retain, others, &mut report, host_log);
    let is_accounted = Box::pin(cleaned_up).await;
    let is_over = !is_cancelled && !matches!(end, RunEnd::Unreachable { .. });
    Supervised {
        is_over,
        is_reported: is_over && is_accounted,
        is_reported_by_another: others == OtherServers::Done,
        report,
    }
}

/// Looks until the run is over: each look is one collection of facts and one step. `finish` tells the tails how to end.
pub async fn watch_job(
    handle: &JobHandle,
    host_log: &HostLog,
    output: &mut signal::Receiver<OutputState>,
    mut finish: impl FnMut(LogFinish),
) -> RunEnd {
    let mut updates = handle.status.clone();
    let watched = Watched {
        run_id: handle.run_id.clone(),
        job_name: handle.job_name.clone(),
        limits: handle.limits,
    };
    let mut watch = if handle.without_job {
        Watch::of_files(watched, Instant::now())
    } else {
        Watch::new(watched, Instant::now())
    };
    let mut ask = Vec::new();
    let mut is_cancelled = false;
    let mut is_running = false;
    let mut version = VersionLine::default();
    loop {
        // Before the look: what changes while the host takes a status wakes the run again.
        let view = updates.borrow_and_update().clone();
        let printed = *output.borrow_and_update();
        let facts = Box::pin(facts::collect(handle, &ask, view, printed)).await;
        is_cancelled |= facts.cancelled_at.is_some();
        let step = watch.step(&facts);
        if let Some(how) = step.finish {
            finish(how);
        }
        for line in step.say {
            is_running |= line == Say::Phase(Phase::Running);
            // An end that we made was not waited for.
            is_running &= line != Say::Phase(Phase::Ending);
            if line == Say::Phase(Phase::Proving) && is_running {
                note_end_seen(handle);
            }
            say(handle, host_log, line).await;
        }
        if is_running && let Some(line) = version.next(handle).await {
            say(handle, host_log, Say::Status(line)).await;
        }
        if let Some(end) = step.end {
            return end;
        }
        ask = step.ask;
        tokio::select! {
            biased;
            () = sleep_until(step.look_at) => {}
            _ = updates.changed() => {}
            _ = output.changed() => {}
            _ = handle.stop.asked(), if !is_cancelled => {}
        }
    }
}

/// How long after its end the end of the agent's container was seen, by the node's clock and this server's.
fn note_end_seen(handle: &JobHandle) {
    let mut pods = handle.pods().into_iter().chain(handle.last_known_pods());
    let ended = pods.find_map(|pod| finished_at(&pod, OPENCODE_CONTAINER));
    let after = ended.and_then(|at| handle.clock.now().duration_since(at.into()).ok());
    if let Some(after) = after {
        metrics::note(|metrics| metrics.end_seen(after));
    }
}

/// A line does not stand in the way of a cancel; after one, the host has only a moment for it.
async fn say(handle: &JobHandle, host_log: &HostLog, say: Say) {
    let reported = async {
        match say {
            Say::Status(line) => host_log.status(line).await,
            Say::Warning(line) => host_log.warn(line).await,
            Say::Phase(phase) => host_log.phase(phase),
            Say::Event(event) => host_log.event(event),
        }
    };
    if handle.stop.reason().is_some() {
        return reported.await;
    }
    tokio::select! {
        () = reported => {}
        _ = handle.stop.asked() => {}
    }
}

/// The report of what is known about the end.
async fn judge(
    run: &AttachedJob,
    end: &RunEnd,
    delivered: Delivery,
    stderr: String,
    host_log: &HostLog,
) -> Report {
    let handle = &run.handle;
    if let RunEnd::NeverStarted { why } = end {
        return never_started(handle, why, host_log).await.into();
    }
    let is_silent = delivered.bytes == 0;
    let has_record = end.evidence().is_some_and(|evidence| evidence.record.is_some());
    let facts = EndFacts {
        spec: &run.spec,
        end,
        unstarted: !has_record && handle.started().await == Some(false),
        delivered,
        stderr,
    };
    // Its texts can have some MiB, and are looked through for secrets in all their forms.
    let mut report = deliver::beside_others(usize::MAX, || conclude::judge(facts));
    if let RunEnd::Unreachable { why } = end {
        let job = &handle.job_name;
        let message = format!(
            "API server not reachable: it was away for too long ({why}). The Job {job} is kept, and the task's next \
             run takes it over"
        );
        let outage = Failure::of_input(OUTAGE, message);
        match &mut report.outcome {
            // Whatever was printed: nobody knows how the run goes on.
            Outcome::Judged(result) if !is_silent => result.fail(outage.code, outage.message),
            _ => return outage.into(),
        }
    }
    if let Outcome::Judged(result) = &report.outcome {
        for warning in &result.warnings {
            host_log.status(warning).await;
        }
    }
    report
}

/// Whether nothing of a run that was asked to stop is left, also when it had ended by itself before.
async fn is_gone(handle: &JobHandle, end: &RunEnd, host_log: &HostLog) -> bool {
    match end {
        RunEnd::Cancelled { gone, .. } | RunEnd::DeadlineExceeded { gone: Some(gone), .. } => *gone,
        _ => {
            let limit = handle.budget().at_most(STOP_ENDED_JOB);
            let since = Instant::now();
            let deleted = handle.delete_job(limit).await;
            let job = &handle.job_name;
            host_log
                .status(format!("Stopping job {job}: the run is cancelled"))
                .await;
            if let Err(error) = deleted {
                host_log
                    .warn(format!("Warning: failed to delete job {job}: {error}"))
                    .await;
                return false;
            }
            handle
                .pods_gone(None, limit.saturating_sub(since.elapsed()))
                .await
        }
    }
}

/// The pod never ran the agent: the Job goes, and the host may try again if nothing can have started.
async fn never_started(handle: &JobHandle, why: &str, host_log: &HostLog) -> Failure {
    // Asked before the Job goes, and its events with it.
    let why = with_words_of_the_cluster(handle, why).await;
    // A pod that would start in this moment finds its gate closed.
    mark_reported(handle).await;
    let limit = handle.budget().limit(CLEAN_UP);
    let gone = handle.delete_job(limit).await.is_ok() && handle.pods_gone(None, limit).await;
    let nothing_started = gone && handle.started().await == Some(false);
    host_log.warn(&why).await;
    Failure {
        code: POD_SCHEDULE_FAILED,
        message: why,
        nothing_started,
    }
}

/// The reason in a few words, with what the API server warned of when the Job was made, and what events say of the Job
/// and its pods, where listing them is granted; then what to do.
async fn with_words_of_the_cluster(handle: &JobHandle, why: &str) -> String {
    let mut uids = vec![handle.job_uid.clone()];
    let pods = handle.pods();
    uids.extend(
        pods.iter()
            .take(EVENT_PODS)
            .filter_map(|pod| pod.metadata.uid.clone()),
    );
    let asked = handle.namespace.warnings_about(&uids);
    let events = handle.budget().within(REQUEST, asked).await;
    let (events, is_granted) = match events {
        Some(Ok(events)) => (events, true),
        Some(Err(error)) => (Vec::new(), !error.is_forbidden()),
        None => (Vec::new(), true),
    };
    let mut said: Vec<String> = handle.warnings.clone();
    said.extend(events);
    said.retain(|text| !why.contains(text.as_str()));
    let told = said.join("; ");
    let text = match (told.is_empty(), pods.is_empty()) {
        (true, true) if !is_granted => {
            format!("{why}. Grant the server `list` on events, and the cluster's own words stand here")
        }
        (true, _) => why.to_owned(),
        // Without a pod the cluster's own words are the reason, and ours the symptom.
        (false, true) => format!("{told}. {why}"),
        (false, false) => format!("{why}. The cluster says: {told}"),
    };
    explained(&text, iter::once(why).chain(said.iter().map(String::as_str)))
}

fn log_event(handle: &JobHandle, report: &Report) -> Value {
    let job = &handle.job_name;
    let proof = report.log.as_ref().map_or("not read", |log| log.proof.as_str());
    json!({
        "eventType": "opencode_k8s.log",
        "stream": "system",
        "level": if matches!(proof, "proven" | "counted") { "info" } else { "warn" },
        "message": format!("Log of {job} is {proof}"),
        "payload": {"job": job, "log": report.log.as_ref().map(|log| json!({"bytes": log.bytes, "proof": log.proof}))},
    })
}
