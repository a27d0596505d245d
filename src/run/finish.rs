//! A running Job until its result: watch, deliver, prove, judge, clean up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::conclude::{self, Known};
use super::deliver;
use super::failure::{Failure, OUTAGE, POD_SCHEDULE_FAILED};
use super::live::Live;
use super::observe::{End, observe};
use super::start::Started;
use super::voice::{Kind, Voice};
use crate::cluster::conditions::{ContainerEnd, PodStage, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::tail::EndRecord;
use crate::tail::followed::Ending;
use crate::tail::record::split_termination_message;

/// A status line at least this often refreshes the host's `updatedAt`.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Two looks this far apart must agree before a log without a record counts as read.
const QUIET: Duration = Duration::from_secs(3);
/// How long the record of an ended pod may stay invisible.
const RECORD_PATIENCE: Duration = Duration::from_secs(3);
/// The host waits 60 s for the acknowledgement of a cancel.
const CANCEL_LIMIT: Duration = Duration::from_secs(50);
/// Patience of the last requests of a run.
const CLEANUP: Duration = Duration::from_secs(30);

/// What was seen at the end.
struct Seen {
    end: End,
    container: Option<ContainerEnd>,
    record: Option<EndRecord>,
    /// After a cancel or a deadline: whether the pod is verifiably gone.
    gone: bool,
}

/// Runs to the end. The turn of the agent is given on when all is cleaned up.
pub(super) async fn finish(run: Started, voice: &Voice) -> Value {
    let Started {
        spec,
        live,
        stdout,
        stderr,
        turn,
    } = run;
    let watching = async {
        let seen = watch(&live, voice).await;
        let ending = match &seen.record {
            Some(record) => Ending::Prove {
                bytes: record.bytes,
                sha256: record.sha256.clone(),
                limit: None,
            },
            None => Ending::Settle { quiet: QUIET },
        };
        stdout.end(ending);
        // Its size is no proof of anything: a second reader of the message is enough.
        stderr.end(match &seen.record {
            Some(record) => Ending::Prove {
                bytes: record.err_bytes,
                sha256: None,
                limit: Some(RECORD_PATIENCE),
            },
            None => Ending::Drain,
        });
        seen
    };
    let all = async {
        tokio::join!(
            watching,
            deliver::stdout(&stdout, voice),
            deliver::stderr(&stderr, voice)
        )
    };
    let (seen, delivered, stderr_end) = tokio::select! {
        all = all => all,
        never = keepalive(&live, voice) => match never {},
    };
    let mut result = match &seen.end {
        End::NotStarted(why) => not_started(&live, why, voice).await,
        End::Outage(why) if delivered.bytes == 0 => Failure::of_input(
            OUTAGE,
            format!(
                "the API server was not reachable for too long ({why}); the Job {} is kept",
                live.job_name
            ),
        )
        .into_result(),
        _ => {
            let (result, warnings) = conclude::result(Known {
                spec: &spec,
                end: &seen.end,
                container: seen.container.as_ref(),
                record: seen.record.as_ref(),
                delivered,
                stderr: stderr_end,
            });
            for warning in warnings {
                voice.status(warning).await;
            }
            result
        }
    };
    if matches!(seen.end, End::Cancelled(_)) && seen.gone {
        acknowledge(&mut result);
    }
    voice.tell(Kind::Event, log_event(&live, &result)).await;
    clean_up(&live, &seen, spec.retain_jobs, voice).await;
    drop(turn);
    result
}

/// Waits for the end, stops the Job where we end it ourselves, and gets the record.
async fn watch(live: &Live, voice: &Voice) -> Seen {
    let end = observe(live, voice).await;
    let mut seen = Seen {
        end,
        container: None,
        record: None,
        gone: false,
    };
    match &seen.end {
        End::Container(end) => {
            seen.record = split_termination_message(&end.message, &live.run_id).0;
            seen.container = Some(end.clone());
        }
        End::Record(record) => {
            seen.record = Some(record.clone());
            seen.container = container_end(live, Duration::from_secs(5)).await;
        }
        End::Cancelled(_) | End::Deadline => seen.gone = stop_job(live, &seen.end, voice).await,
        End::NotStarted(_) | End::Outage(_) | End::PodLost(_) | End::JobGone => {}
    }
    let hopeless = matches!(seen.end, End::NotStarted(_));
    if seen.record.is_none() && !hopeless {
        seen.record = live.record_within(RECORD_PATIENCE).await;
    }
    seen
}

/// Deletes the Job and waits until its pods are gone; they get TERM and write their record.
async fn stop_job(live: &Live, end: &End, voice: &Voice) -> bool {
    let why = if matches!(end, End::Deadline) {
        "its deadline has passed"
    } else {
        "the run is cancelled"
    };
    let started = Instant::now();
    // Deleted first, told afterwards: a host that is slow to take a line must not delay the agent's TERM.
    let deleted = live.delete_job(CANCEL_LIMIT).await;
    voice
        .status(format!("Stopping job {}: {why}", live.job_name))
        .await;
    if let Err(error) = deleted {
        voice
            .warn(format!(
                "Warning: failed to delete job {}: {error}",
                live.job_name
            ))
            .await;
        return false;
    }
    live.pods_gone(CANCEL_LIMIT.saturating_sub(started.elapsed()))
        .await
}

/// The container's end as the API server tells it, when it does so soon.
async fn container_end(live: &Live, patience: Duration) -> Option<ContainerEnd> {
    let mut pulse = live.view.pulse();
    let look = async {
        loop {
            let pods = live.view.pods_of(&live.job_name);
            let ended = pods.iter().filter(|pod| live.owns(pod)).find_map(|pod| {
                match stage(pod, OPENCODE_CONTAINER) {
                    PodStage::Ended(end) => Some(end),
                    _ => None,
                }
            });
            if ended.is_some() || pulse.changed().await.is_err() {
                return ended;
            }
        }
    };
    timeout(patience, look).await.ok().flatten()
}

/// The pod never ran the agent: the Job goes, and the host may try again if nothing can have started.
async fn not_started(live: &Live, why: &str, voice: &Voice) -> Value {
    let gone = live.delete_job(CLEANUP).await.is_ok() && live.pods_gone(CLEANUP).await;
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

/// Job, Secret and files go; all of them stay with `retainJobs`, and the Job while its end is unknown.
async fn clean_up(live: &Live, seen: &Seen, retain: bool, voice: &Voice) {
    if matches!(seen.end, End::Outage(_)) {
        return;
    }
    if retain {
        voice
            .status(format!(
                "Retaining job {} for debugging (retainJobs=true)",
                live.job_name
            ))
            .await;
        return;
    }
    let mut problems = Vec::new();
    if let Err(error) = live.delete_job(CLEANUP).await {
        problems.push(format!(
            "Warning: failed to cleanup job {}: {error}",
            live.job_name
        ));
    }
    if let Some(secret) = &live.secret
        && let Err(error) = live.namespace.delete_secret(secret, CLEANUP).await
    {
        problems.push(format!("Warning: failed to cleanup secret {secret}: {error}"));
    }
    let (files, names) = (live.files.clone(), live.names.clone());
    let removed = tokio::task::spawn_blocking(move || files.remove(names.all())).await;
    if let Ok(Some(error)) = removed {
        problems.push(format!(
            "Warning: failed to remove the log files of {}: {error}",
            live.job_name
        ));
    }
    for problem in problems {
        voice.warn(problem).await;
    }
}
