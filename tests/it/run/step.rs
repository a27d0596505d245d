//! The step of a watched run over every combination of what a look can show: which ends it finds, which it must not,
//! and that it never asks for ever without a pause.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use opencode_k8s::cluster::subscribers::ViewStatus;
use opencode_k8s::run::job::end::RunEnd;
use opencode_k8s::run::job::handle::{Answer, Limits};
use opencode_k8s::run::supervise::facts::{Answers, Ask, Facts};
use opencode_k8s::run::supervise::watch::{Watch, Watched};
use opencode_k8s::tail::EndRecord;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::combination::Combination;
use crate::support::watched::{container, is_being_deleted, job, pod};

const JOBS: [&str; 6] = ["active", "complete", "failed", "deadline", "suspended", "gone"];
const PODS: [&str; 10] = [
    "none",
    "unscheduled",
    "starting",
    "blocked",
    "running",
    "leaving",
    "ended",
    "lost",
    "rejected",
    "deleted",
];
const VIEWS: [&str; 4] = ["fresh", "stale", "unreachable", "polling"];
const RECORDS: [&str; 3] = ["none", "own", "foreign"];
const ANSWERS: [&str; 3] = ["silent", "agrees", "nothing"];

/// What the looks of one run show, all the time.
#[derive(Debug, Clone, Copy)]
struct Row {
    job: &'static str,
    pod: &'static str,
    view: &'static str,
    record: &'static str,
    /// What the API server and the volume answer when they are asked.
    answers: &'static str,
    is_cancelled: bool,
    has_deadline: bool,
}

fn rows() -> impl Iterator<Item = Row> {
    let count = JOBS.len() * PODS.len() * VIEWS.len() * RECORDS.len() * ANSWERS.len() * 4;
    (0..count).map(|index| {
        let mut combination = Combination::numbered(index);
        Row {
            job: combination.one_of(&JOBS),
            pod: combination.one_of(&PODS),
            view: combination.one_of(&VIEWS),
            record: combination.one_of(&RECORDS),
            answers: combination.one_of(&ANSWERS),
            is_cancelled: combination.yes_or_no(),
            has_deadline: combination.yes_or_no(),
        }
    })
}

fn job_of(row: Row) -> Option<Value> {
    let failed = |reason: &str| json!([{"type": "Failed", "status": "True", "reason": reason}]);
    let mut job = job(match row.job {
        "gone" => return None,
        "complete" => json!([{"type": "Complete", "status": "True"}]),
        "failed" => failed("BackoffLimitExceeded"),
        "deadline" => failed("DeadlineExceeded"),
        _ => json!([]),
    });
    if row.job == "suspended" {
        job["spec"] = json!({"suspend": true, "template": {}});
    }
    Some(job)
}

fn pod_of(row: Row) -> Option<Value> {
    let waiting = |reason: &str| container(&json!({"waiting": {"reason": reason}}));
    let here = json!({});
    let mut pod = match row.pod {
        "none" => return None,
        "unscheduled" => pod(here, json!({"phase": "Pending"})),
        "starting" => pod(here, waiting("ContainerCreating")),
        "blocked" => pod(here, waiting("InvalidImageName")),
        "leaving" => pod(is_being_deleted(), container(&json!({"running": {}}))),
        "ended" => pod(
            here,
            container(&json!({"terminated": {"exitCode": 3, "reason": "Error"}})),
        ),
        "lost" => pod(here, json!({"phase": "Failed", "reason": "NodeLost"})),
        "rejected" => pod(here, json!({"phase": "Failed", "reason": "OutOfcpu"})),
        _ => pod(here, container(&json!({"running": {}}))),
    };
    if row.pod == "unscheduled" {
        pod["spec"] = json!({"containers": []});
    }
    Some(pod)
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("an object"))
}

fn record(pod: &str) -> Option<EndRecord> {
    EndRecord::parse(
        &json!({"v": 1, "run": "r", "pod": pod, "exit": 0, "bytes": 0}).to_string(),
        "r",
    )
}

/// The objects that the looks of one run show.
struct Objects {
    job: Option<Arc<Job>>,
    pod: Option<Arc<Pod>>,
}

/// What a look at this moment shows to a run that asked for this.
fn facts(row: Row, objects: &Objects, ask: &[Ask], since: Instant, now: Instant) -> Facts {
    let (mut pods, mut deleted_pods) = (Vec::from_iter(objects.pod.clone()), Vec::new());
    // It was there at the first look.
    if row.pod == "deleted" && now > since {
        deleted_pods.append(&mut pods);
    }
    let trouble = Some(("no answer".to_owned(), since));
    let can_answer = row.answers != "silent";
    let is_there = row.answers == "agrees";
    let wants = |wanted: &Ask| ask.contains(wanted);
    let asks_pod = ask.iter().any(|ask| matches!(ask, Ask::Pod(_)));
    let stops = ask.iter().any(|ask| matches!(ask, Ask::DeleteJob(_)));
    let waits = ask.iter().any(|ask| matches!(ask, Ask::PodsGone(..)));
    let found = pods.first().or(deleted_pods.first()).cloned();
    Facts {
        now,
        cancelled_at: row.is_cancelled.then_some(since),
        job: objects.job.clone(),
        view: ViewStatus {
            version: 0,
            unreachable_since: trouble.clone().filter(|_| row.view == "unreachable"),
            pods_stale_since: trouble.filter(|_| row.view != "fresh" && row.view != "polling"),
            polling: row.view == "polling",
        },
        record: match row.record {
            "own" if wants(&Ask::Record) => record("job-1"),
            "foreign" if wants(&Ask::Record) => record("another"),
            _ => None,
        },
        log_is_over: true,
        is_in_circle: false,
        last_output: None,
        answers: Answers {
            job_is_gone: (wants(&Ask::JobIsGone) && can_answer).then_some(row.job == "gone"),
            has_started: (wants(&Ask::HasStarted) && can_answer).then_some(is_there),
            log_can_be_read: wants(&Ask::Log).then_some(can_answer),
            pods: (wants(&Ask::Pods) && can_answer).then(|| pods.clone()),
            pod: (asks_pod && can_answer)
                .then(|| found.filter(|_| is_there).map_or(Answer::Absent, Answer::Found)),
            deleted: stops.then(|| {
                if can_answer {
                    Ok(())
                } else {
                    Err("no answer".to_owned())
                }
            }),
            pods_gone: waits.then_some(can_answer),
        },
        deleted_job: None,
        pods,
        deleted_pods,
    }
}

const OUTAGE: Duration = Duration::from_secs(600);

/// Watches an hour; the end, if one comes.
fn watch(row: Row) -> Option<(RunEnd, Duration)> {
    watch_printing(row, false, None)
}

/// With an agent that repeats itself, or prints nothing at all and may be silent for so long.
fn watch_printing(row: Row, is_in_circle: bool, silence: Option<Duration>) -> Option<(RunEnd, Duration)> {
    let since = Instant::now();
    let deadline = row.has_deadline.then(|| since + Duration::from_secs(60));
    let limits = Limits {
        schedule: Duration::from_secs(120),
        start: OUTAGE,
        outage: OUTAGE,
        silence,
        job_deadline: deadline,
        deadline: deadline.map(|at| at + Duration::from_secs(60)),
    };
    let run = Watched {
        run_id: "r".to_owned(),
        job_name: "job".to_owned(),
        limits,
    };
    let mut watch = Watch::new(run, since);
    let objects = Objects {
        job: job_of(row).map(parsed),
        pod: pod_of(row).map(parsed),
    };
    let (mut now, mut ask, mut at_once) = (since, Vec::new(), 0);
    while now < since + Duration::from_secs(3_600) {
        let step = watch.step(&Facts {
            is_in_circle,
            ..facts(row, &objects, &ask, since, now)
        });
        if let Some(end) = step.end {
            return Some((end, now - since));
        }
        at_once = if step.look_at > now { 0 } else { at_once + 1 };
        assert!(
            at_once < 5 && step.ask.len() < 6,
            "it asks without a pause: {row:?} {:?}",
            step.ask
        );
        now = now.max(step.look_at);
        ask = step.ask;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn no_combination_finds_an_end_without_evidence() {
    let mut ends = std::collections::BTreeMap::<&str, usize>::new();
    for row in rows() {
        let found = watch(row);
        let Some((end, after)) = found else {
            *ends.entry("none").or_default() += 1;
            let is_at_work = matches!(
                row.pod,
                "running" | "leaving" | "deleted" | "starting" | "unscheduled" | "none"
            );
            assert!(is_at_work && !row.is_cancelled, "nothing ends it: {row:?}");
            continue;
        };
        let says = format!("{row:?} after {after:?}: {end:?}");
        let has_ended = row.pod == "ended";
        if has_ended && row.job == "active" && !row.is_cancelled {
            // A current kubelet tells of the container first, while the pod's phase is Running.
            assert!(matches!(end, RunEnd::Exited(_)), "{says}");
        }
        let view_is_stale = matches!(row.view, "stale" | "unreachable");
        // Its pod was seen to run the agent: no other pod did.
        let has_run = matches!(row.pod, "running" | "leaving" | "deleted") && !row.is_cancelled;
        // Nobody has seen its pod, and none is to come.
        let is_all_there_is = row.pod == "none" && matches!(row.job, "complete" | "failed" | "deadline");
        let evidence = end.evidence().cloned().unwrap_or_default();
        assert!(
            evidence
                .record
                .as_ref()
                .is_none_or(|record| record.pod == "job-1" || is_all_there_is || (view_is_stale && !has_run)),
            "{says}"
        );
        assert_eq!(
            matches!(end, RunEnd::Cancelled { .. }),
            row.is_cancelled,
            "{says}"
        );
        let word = match end {
            RunEnd::Exited(_) => {
                let is_recorded = row.record != "none"
                    && (row.pod != "none" || view_is_stale)
                    && (view_is_stale || row.answers != "agrees" || row.pod == "leaving");
                assert!(has_ended || is_recorded, "nobody said that it ended: {says}");
                "exited"
            }
            RunEnd::NeverStarted { .. } => {
                let may_be = matches!(row.pod, "none" | "unscheduled" | "starting" | "blocked")
                    || (row.pod == "rejected" && row.answers == "nothing");
                assert!(may_be && row.answers != "agrees", "it has started: {says}");
                "never started"
            }
            RunEnd::DeadlineExceeded { .. } => {
                assert!(row.has_deadline || row.job == "deadline", "{says}");
                "deadline"
            }
            RunEnd::Cancelled { .. } => {
                assert!(after <= Duration::from_secs(55), "{says}");
                "cancelled"
            }
            RunEnd::Lost { .. } => {
                let has_started = row.pod == "blocked" && row.answers == "agrees";
                let is_seen = matches!(row.pod, "leaving" | "lost" | "deleted") || row.job != "active";
                let is_seen = is_seen || has_started || (row.pod == "rejected" && row.answers != "nothing");
                assert!(is_seen, "{says}");
                // Forced away, it still has its grace period.
                let is_forced = row.pod == "deleted" && row.view == "fresh" && evidence.record.is_none();
                assert!(!is_forced || after >= Duration::from_secs(33), "{says}");
                "lost"
            }
            RunEnd::InCircle { .. } => panic!("nobody said that it repeats itself: {says}"),
            RunEnd::Silent { .. } => panic!("it may be silent: {says}"),
            RunEnd::Unreachable { .. } => {
                assert!(view_is_stale && after >= OUTAGE, "{says}");
                "unreachable"
            }
        };
        *ends.entry(word).or_default() += 1;
    }
    assert!(
        ends.len() == 7 && ends.values().all(|count| *count > 10),
        "{ends:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_record_of_a_successor_ends_a_run_that_nobody_can_see() {
    let of_successor = |row: &Row| {
        row.pod == "starting" && row.view == "unreachable" && row.record == "foreign" && row.job == "active"
    };
    for row in rows().filter(of_successor).filter(|row| !row.is_cancelled) {
        let (end, after) = watch(row).expect("an end");
        assert!(
            matches!(end, RunEnd::Exited(_)) && after < Duration::from_secs(60),
            "{row:?} {end:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_repeats_itself_is_ended_where_it_is_at_work() {
    for row in rows().filter(|row| row.job == "active" && row.pod == "running" && row.record == "none") {
        let end = watch_printing(row, true, None).map(|(end, _)| end);
        let is_late = row.has_deadline && matches!(row.view, "unreachable");
        match row.view {
            _ if row.is_cancelled => assert!(matches!(end, Some(RunEnd::Cancelled { .. })), "{row:?}"),
            "fresh" | "polling" => {
                let gone = row.answers != "silent";
                assert!(
                    matches!(end, Some(RunEnd::InCircle { gone: seen, .. }) if seen == gone),
                    "{row:?} {end:?}"
                );
            }
            "unreachable" if !is_late => {
                assert!(!matches!(end, Some(RunEnd::InCircle { .. })), "{row:?} {end:?}");
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_prints_nothing_is_ended_where_api_server_and_volume_answer() {
    let limit = Duration::from_secs(1_200);
    let works = |row: &Row| row.job == "active" && row.pod == "running" && row.record == "none";
    for row in rows()
        .filter(works)
        .filter(|row| !row.is_cancelled && !row.has_deadline)
    {
        let end = watch_printing(row, false, Some(limit));
        let is_silent = matches!(end, Some((RunEnd::Silent { .. }, _)));
        // The volume answers in the rows in which something is answered at all.
        let can_tell = matches!(row.view, "fresh" | "polling") && row.answers != "silent";
        assert_eq!(is_silent, can_tell, "{row:?} {end:?}");
        let starting = Row {
            pod: "starting",
            ..row
        };
        let of_starting = watch_printing(starting, false, Some(limit));
        assert!(
            !matches!(of_starting, Some((RunEnd::Silent { .. }, _))),
            "an image is no silence: {row:?}"
        );
        if let Some((RunEnd::Silent { gone, .. }, after)) = end {
            assert!(
                gone && after >= limit + Duration::from_secs(30),
                "{row:?} {after:?}"
            );
            assert!(after < limit + Duration::from_secs(90), "{row:?} {after:?}");
        }
    }
}
