//! A host that gives a run up without a cancel: the run ends at once at each point, whatever hangs, and holds nothing of
//! its server. The task's next run, on the same server, clears up; the agent was started once, and its usage is told once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use opencode_k8s::run::stop::stop_signal;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::cancel::{Before, POINTS, Point, WHAT, prepare, run_of};
use super::host::{Process, report_of};
use super::judge;
use super::plan::Plan;
use super::world::World;

const WORKS: u64 = 300;

/// What the host waits for at its own end.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_run_that_is_given_up_is_left_at_once_and_its_job_to_the_next_run() {
    let mut failures = Vec::new();
    for (number, point) in POINTS.into_iter().enumerate() {
        let hanging = WHAT.into_iter().enumerate();
        let hanging = hanging.filter(|(at, _)| (number + at).is_multiple_of(4));
        for what in std::iter::once(None).chain(hanging.map(|(_, what)| Some(what))) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let (world, failure) = runtime.block_on(left(point, what));
            let mut faults = world.story.faults();
            faults.extend(failure);
            if !faults.is_empty() {
                failures.push(format!("{point:?}, {what:?}: {}", faults.join("; ")));
                if std::env::var(super::STORY).is_ok() {
                    failures.push(world.story.text());
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn left((before, works, words): Point, what: Option<&'static str>) -> (Arc<World>, Option<String>) {
    let world = World::new(Plan::calm(Duration::from_secs(works.min(WORKS))));
    let mut server = Process::start(&world, "s0");
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
    world.hang(what.as_slice());
    stopper.leave();
    let Ok(Ok(report)) = timeout(AT_ONCE, running).await else {
        return (world, Some("it was not left at once".to_owned()));
    };
    if report.result["errorCode"] != "k8s_lease_lost" || report.result["resultJson"] != Value::Null {
        return (world, Some(format!("it says {}", report.result)));
    }
    let held = (server.server.agents.held(), server.server.hub.tails());
    if held != (0, 0) {
        return (world, Some(format!("(agents, tails) are held: {held:?}")));
    }
    world.lose("a0-t0-1");
    world.hang(&[]);
    server.execute(&world, run_of("a0-t0-2"));
    for _ in 0..3_600 {
        if server.is_idle() && other.is_idle() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let failure = failure_of_next(&world, before);
    judge::judge(&world);
    (world, failure)
}

fn failure_of_next(world: &World, before: Before) -> Option<String> {
    let reports = world.reports.lock().unwrap();
    let Some(next) = reports.iter().find(|report| report.run.id == "a0-t0-2") else {
        return Some("the next run never came back".to_owned());
    };
    if next.result["exitCode"] != 0 {
        return Some(format!("the next run failed: {}", next.result));
    }
    let (_, jobs) = world.api.list("jobs");
    let left: BTreeSet<&str> = jobs
        .iter()
        .filter_map(|job| job["metadata"]["name"].as_str())
        .collect();
    (!left.is_empty()).then(|| format!("after {before:?} Jobs are left: {left:?}"))
}
