//! A host hears of a run every 15 s, wherever the run is and whatever does not answer it meanwhile: each kind of
//! request and the volume, for two minutes, at each point of a run. What the host hears is judged in `host`.

use std::time::Duration;

use opencode_k8s::run::stop::stop_signal;
use tokio::time::{sleep, timeout};

use super::cancel::{POINTS, Point, WHAT, prepare, run_of};
use super::host::{Process, report_of};
use super::plan::Plan;
use super::world::{HOST, World};

/// Longer than any wait of a run for one answer.
const HANGS: Duration = Duration::from_secs(120);
/// An agent that works for so long is past everything that hung.
const WORKS: u64 = 300;

#[test]
fn a_host_hears_of_a_run_whatever_it_waits_for() {
    let takes_all = std::env::var(super::SEEDS).is_ok();
    let mut silent = Vec::new();
    for (number, point) in POINTS.into_iter().enumerate() {
        let hanging = WHAT.into_iter().filter(|what| *what != HOST).enumerate();
        // `npm run simulate` takes all of them.
        let taken = hanging.filter(|(at, _)| takes_all || (number + at).is_multiple_of(3));
        for (_, what) in taken {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            silent.extend(runtime.block_on(faults(point, what)));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

async fn faults((before, works, words): Point, what: &'static str) -> Vec<String> {
    let world = World::new(Plan::calm(Duration::from_secs(works.min(WORKS))));
    let server = Process::start(&world, "s0");
    let mut other = Process::start(&world, "s1");
    prepare(&world, &mut other, before).await;
    let (_stopper, stop) = stop_signal();
    world.story.tell("the run begins");
    let (for_run, on_server) = (world.clone(), server.server.clone());
    let run = tokio::spawn(async move { report_of(&for_run, &on_server, &run_of("a0-t0-1"), stop).await });
    let hang = async {
        world.story.until(0, words).await;
        world.hang(&[what]);
        sleep(HANGS).await;
        world.hang(&[]);
    };
    let (ended, ()) = tokio::join!(timeout(HANGS * 20, run), async {
        let _ = timeout(HANGS * 3, hang).await;
    });
    let mut faults = world.story.faults();
    if ended.is_err() {
        faults.push("the run never came back".to_owned());
    }
    let case = |fault| format!("{words:?}, {what}: {fault}");
    faults.into_iter().map(case).collect()
}
