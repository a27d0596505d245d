//! A cancel is answered before the host gives up waiting for it, whatever hangs from then on, or has hung before: each
//! kind of request, the volume, the host's callbacks, and any two of them, at each point of a run.

use std::sync::Arc;
use std::time::Duration;

use opencode_k8s::run::stop::stop_signal;
use opencode_k8s::run::timing::CANCEL_ANSWER;
use tokio::time::{Instant, sleep, timeout};

use super::host::{Process, report_of};
use super::plan::{HostKind, Plan, PlannedRun};
use super::world::{HOST, VOLUME, World};

/// What can hang.
pub(super) const WHAT: [&str; 13] = [
    "get namespaces",
    "get pods",
    "list pods",
    "watch pods",
    "get jobs",
    "list jobs",
    "watch jobs",
    "create jobs",
    "delete jobs",
    "create secrets",
    "delete secrets",
    VOLUME,
    HOST,
];

/// What there is before the run that is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    /// Another task's run of the agent, on the other server.
    OtherTask,
    /// A Job of the task whose server died, and whose agent works.
    AtWork,
    /// A Job of the task whose server died, and whose agent has ended.
    Ended,
    /// The files of such a Job, which a person deleted.
    Files,
}

/// A point of the run: what there is before it, how long agents work, and the words of the story's line that marks it.
pub(super) type Point = (Before, u64, &'static [&'static str]);

pub(super) const LONG: u64 = 3_000;

pub(super) const POINTS: [Point; 13] = [
    (Before::Nothing, LONG, &["the run begins"]),
    (Before::Nothing, LONG, &["POST", "/jobs"]),
    (Before::Nothing, LONG, &["Created K8s Job"]),
    (Before::Nothing, LONG, &["opencode of a0-t0-1 STARTS"]),
    (Before::Nothing, LONG, &["Pod running"]),
    (Before::Nothing, 3, &["opencode of a0-t0-1 ends"]),
    (Before::Nothing, 3, &["container ended"]),
    (Before::Nothing, 3, &["DELETE", "/jobs"]),
    (Before::OtherTask, LONG, &["Waiting for concurrent"]),
    (Before::AtWork, LONG, &["Reattaching"]),
    (Before::AtWork, LONG, &["a0-t0-1 hears", "Pod running"]),
    (Before::Ended, 3, &["the run begins"]),
    (Before::Files, 3, &["the run begins"]),
];

/// One case: where, what, and how long it hangs before the cancel.
type Case = (Point, Vec<&'static str>, Duration);

/// Each thing alone at each point. Of the pairs `npm run simulate` takes all, and `cargo test` each one at one point.
fn cases() -> Vec<Case> {
    let takes_all = std::env::var(super::SEEDS).is_ok();
    let mut cases = Vec::new();
    for (number, point) in POINTS.into_iter().enumerate() {
        for (at, first) in WHAT.into_iter().enumerate() {
            for before in [0, 40] {
                cases.push((point, vec![first], Duration::from_secs(before)));
            }
            for (after, second) in WHAT.into_iter().enumerate().skip(at + 1) {
                if takes_all || (number + 3 * at + after).is_multiple_of(POINTS.len()) {
                    cases.push((point, vec![first, second], Duration::ZERO));
                }
            }
        }
    }
    cases
}

#[test]
fn a_cancel_is_answered_in_time_whatever_hangs() {
    let cases = std::sync::Mutex::new(cases().into_iter());
    let late = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let next = || cases.lock().unwrap().next();
                while let Some(case) = next() {
                    if let Some(failure) = failure_of(&case) {
                        late.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let late = late.into_inner().unwrap();
    assert!(late.is_empty(), "{} cases:\n{}", late.len(), late.join("\n"));
}

fn failure_of(case: &Case) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (world, failure) = runtime.block_on(cancelled(case));
    let faults = world.story.faults();
    let failure = failure.or_else(|| (!faults.is_empty()).then(|| faults.join("; ")))?;
    let story = if std::env::var(super::STORY).is_ok() {
        world.story.text()
    } else {
        String::new()
    };
    Some(format!("{case:?}: {failure}\n{story}"))
}

pub(super) fn run_of(id: &str) -> PlannedRun {
    PlannedRun {
        id: id.to_owned(),
        at: Duration::ZERO,
        server: 0,
        host: HostKind::Prompt,
        cancel_after: None,
        leave_after: None,
        prompt: format!("Work, {id}."),
        timeout: None,
    }
}

async fn cancelled((point, what, hangs_before): &Case) -> (Arc<World>, Option<String>) {
    let (before, works, words) = *point;
    let world = World::new(Plan::calm(Duration::from_secs(works)));
    let server = Process::start(&world, "s0");
    let mut other = Process::start(&world, "s1");
    prepare(&world, &mut other, before).await;
    let (stopper, stop) = stop_signal();
    let (for_run, on_server) = (world.clone(), server.server.clone());
    world.story.tell("the run begins");
    let mut running =
        tokio::spawn(async move { report_of(&for_run, &on_server, &run_of("a0-t0-1"), stop).await });
    let is_there = tokio::select! {
        biased;
        line = timeout(Duration::from_secs(600), world.story.until(0, words)) => line.is_ok(),
        _ = &mut running => false,
    };
    if !is_there {
        return (world, Some("the run never got there".to_owned()));
    }
    world.hang(what);
    let early = tokio::select! {
        () = sleep(*hangs_before) => None,
        report = &mut running => Some(report),
    };
    if early.is_some() {
        // What hangs ended the run, or did not matter to it.
        return (world, None);
    }
    stopper.stop("signal");
    let since = Instant::now();
    let answered = timeout(CANCEL_ANSWER, &mut running).await;
    let failure = match answered {
        Err(_) => Some(format!("no answer within {CANCEL_ANSWER:?}")),
        Ok(Err(panic)) => Some(panic.to_string()),
        Ok(Ok(report)) => {
            let after = since.elapsed();
            world
                .story
                .tell(format!("answered after {after:?}: {}", report.result));
            world.hold_to("a0-t0-1", &report.result);
            None
        }
    };
    (world, failure)
}

/// Makes what there is before the run.
pub(super) async fn prepare(world: &Arc<World>, other: &mut Process, before: Before) {
    let (id, words): (_, &[&str]) = match before {
        Before::Nothing => return,
        Before::OtherTask => ("a0-t9-0", &["a0-t9-0 hears", "Pod running"]),
        Before::AtWork => ("a0-t0-0", &["a0-t0-0 hears", "Pod running"]),
        Before::Ended | Before::Files => ("a0-t0-0", &["a0-t0-0 STARTS"]),
    };
    other.execute(world, run_of(id));
    let from = world.story.until(0, words).await;
    if before == Before::OtherTask {
        return;
    }
    other.crash(world);
    if before == Before::AtWork {
        return;
    }
    world.story.until(from, &["Complete"]).await;
    if before == Before::Files {
        let (_, jobs) = world.api.list("jobs");
        let name = jobs[0]["metadata"]["name"].as_str().unwrap();
        world.api.remove("jobs", name, None).unwrap();
        world.story.until(from, &["is gone"]).await;
    }
}
