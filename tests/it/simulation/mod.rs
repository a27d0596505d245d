//! Whole runs against a simulated cluster, volume, pods and host, on a stopped clock. One seed drives all of it: the
//! same seed gives the same story. Each seed runs in a process of its own, whose random numbers are the seed's as well.

mod api;
mod cancel;
mod controller;
mod dice;
mod host;
mod judge;
mod kubelet;
mod leave;
mod opencode;
mod plan;
mod pod;
mod requests;
mod signs_of_life;
mod story;
mod truth;
mod volume;
mod world;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use host::Process;
use plan::{ByHand, HEALED, HostKind, Plan, PlannedRun};
use truth::task_of;
use world::World;

/// Names the seed of a process that simulates.
const SEED: &str = "SIMULATION_SEED";
/// Which seeds `the_seeds` takes: numbers, and ranges such as `20000..30000`, with commas between them.
const SEEDS: &str = "SIMULATION_SEEDS";
/// Tells the story also when it is as it must be.
const STORY: &str = "SIMULATION_STORY";
/// Seeds that have found a fault of the product. Another plan gives them another story: after a change of `plan.rs`
/// they are seeds like others.
const FOUND: [u64; 24] = [
    57, 72, 79, 119, 121, 195, 326, 388, 451, 506, 534, 576, 346, 1853, 2180, 2832, 5521, 5976, 7132, 9221,
    9746, 20994, 22323, 26732,
];
/// More of the same kinds, for `npm run simulate`: it takes them with any range.
const FOUND_AS_WELL: [u64; 32] = [
    417, 900, 923, 1282, 1341, 1399, 1903, 1967, 2391, 2827, 3107, 3349, 3550, 3738, 3913, 4928, 5551, 6125,
    6760, 6782, 6899, 7802, 8066, 8287, 8478, 8743, 8893, 9015, 9480, 9487, 9887, 22403,
];

#[test]
fn the_seeds() {
    let asked = std::env::var(SEEDS).ok();
    all_pass(asked.map_or_else(|| FOUND.into_iter().chain(0..90).collect(), |asked| list(&asked)));
}

#[test]
fn more_seeds_that_found_a_fault() {
    if std::env::var(SEEDS).is_ok() {
        all_pass([FOUND.as_slice(), &FOUND_AS_WELL].concat());
    }
}

fn all_pass(seeds: Vec<u64>) {
    let seeds = std::sync::Mutex::new(seeds.into_iter());
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let next = || seeds.lock().unwrap().next();
                while let Some(seed) = next() {
                    if let Some(story) = failure_of(seed) {
                        failed.lock().unwrap().push((seed, story));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    if let Some((seed, story)) = failed.first() {
        panic!("{story}\nseeds: {seeds:?}; this is the story of {seed}");
    }
}

fn list(asked: &str) -> Vec<u64> {
    let number = |text: &str| -> u64 { text.trim().parse().expect("a number") };
    let ranges = asked.split(',').map(|part| match part.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(part)..number(part) + 1,
    });
    ranges.flatten().collect()
}

/// Runs one seed in a process of its own; its output if it fails.
fn failure_of(seed: u64) -> Option<String> {
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program)
        .args([
            "--exact",
            "simulation::one_seed",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(SEED, seed.to_string())
        // Futures of an unoptimised build, of servers, cluster and hosts, all on one thread.
        .env("RUST_MIN_STACK", (16 << 20).to_string())
        .stdin(Stdio::null())
        .output()
        .expect("a process");
    let both = [child.stdout, child.stderr].concat();
    let failed = !child.status.success();
    (failed || std::env::var(STORY).is_ok()).then(|| String::from_utf8_lossy(&both).into_owned())
}

#[test]
#[ignore = "one seed: started by the_seeds in a process of its own"]
fn one_seed() {
    let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let world = runtime.block_on(simulate(seed));
    let faults = world.story.faults();
    if !faults.is_empty() || std::env::var(STORY).is_ok() {
        let story = world.story.text();
        let written = write!(
            std::io::stdout(),
            "\n{story}\nseed {seed}: {} faults\n{}\n",
            faults.len(),
            faults.join("\n")
        );
        written.expect("stdout");
    }
    assert!(faults.is_empty(), "seed {seed}");
}

async fn simulate(seed: u64) -> Arc<World> {
    let world = World::new(Plan::of(seed));
    let mut servers = vec![Process::start(&world, "s0"), Process::start(&world, "s1")];
    act(&world, &mut servers).await;
    let all_back = |servers: &[Process]| servers.iter().all(Process::is_idle);
    let bound = HEALED + Duration::from_secs(3_600);
    while !all_back(&servers) && world.story.now() < bound {
        sleep(Duration::from_secs(1)).await;
    }
    for run in servers.iter().flat_map(Process::open_runs) {
        world.story.fault(format!("run {run} never came back"));
    }
    last_runs(&world, &mut servers[0]).await;
    judge::judge(&world);
    after_all(&world, &servers).await;
    world
}

/// What happens until nothing more is planned, in the order of time.
enum Act {
    Run(PlannedRun),
    Crash(usize, Duration),
    Return(usize),
    ByHand(ByHand),
}

async fn act(world: &Arc<World>, servers: &mut [Process]) {
    let plan = &world.plan;
    let runs = plan.runs.iter().map(|run| (run.at, Act::Run(run.clone())));
    let crashes = plan
        .crashes
        .iter()
        .map(|(at, server, back)| (*at, Act::Crash(*server, *back)));
    let by_hand = plan.by_hand.iter().map(|(at, what)| (*at, Act::ByHand(*what)));
    let mut acts: Vec<(Duration, Act)> = runs.chain(crashes).chain(by_hand).collect();
    let (mut dead, mut retries) = ([false; 2], 0);
    while let Some(next) = (0..acts.len()).min_by_key(|at| acts[*at].0) {
        let (at, act) = acts.remove(next);
        sleep(at.saturating_sub(world.story.now())).await;
        match act {
            // A server that is down takes no run: the other one does, or this one later.
            Act::Run(mut run) => match (0..2).map(|n| (run.server + n) % 2).find(|server| !dead[*server]) {
                Some(server) => {
                    run.server = server;
                    servers[server].execute(world, run);
                }
                None => acts.push((at + Duration::from_secs(10), Act::Run(run))),
            },
            Act::Crash(server, back) if !dead[server] => {
                dead[server] = true;
                for lost in servers[server].crash(world) {
                    retries += 1;
                    let after = world.draw(|dice| dice.seconds(1, 330));
                    let again = PlannedRun {
                        id: format!("{}-9{retries}", task_of(&lost.id)),
                        cancel_after: None,
                        leave_after: None,
                        ..lost
                    };
                    acts.push((at + after, Act::Run(again)));
                }
                acts.push((at + back, Act::Return(server)));
            }
            Act::Crash(..) => {}
            Act::Return(server) => {
                dead[server] = false;
                servers[server] = Process::start(world, &format!("{}'", servers[server].name));
            }
            Act::ByHand(what) => by_hand_does(world, what),
        }
    }
    // Hung agents are ended by somebody in the end.
    sleep(HEALED.saturating_sub(world.story.now())).await;
    world.story.tell("all is well from now on");
    for pod in world
        .api
        .list("pods")
        .1
        .iter()
        .filter(|pod| pod["metadata"]["labels"]["job-name"].is_string())
    {
        controller::delete_pod(world, pod);
    }
}

fn by_hand_does(world: &World, what: ByHand) {
    let resource = if matches!(what, ByHand::DeleteJob) {
        "jobs"
    } else {
        "pods"
    };
    let (_, objects) = world.api.list(resource);
    let of_run = |object: &&Value| object["metadata"]["name"] != "paperclip-0";
    let objects: Vec<&Value> = objects.iter().filter(of_run).collect();
    let Some(object) = (!objects.is_empty()).then(|| world.draw(|dice| *dice.pick(&objects))) else {
        return;
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    world.story.tell(format!("by hand: {what:?} {name}"));
    match what {
        ByHand::DeletePod => controller::delete_pod(world, object),
        ByHand::DeleteJob | ByHand::ForcePod => drop(world.api.remove(resource, name, None)),
    }
}

/// Nothing is wrong any more: a run of each task works, and clears up what others have left.
async fn last_runs(world: &Arc<World>, server: &mut Process) {
    let tasks: std::collections::BTreeSet<String> = world
        .plan
        .runs
        .iter()
        .map(|run| task_of(&run.id).to_owned())
        .collect();
    for task in tasks {
        let run = PlannedRun {
            id: format!("{task}-last"),
            at: world.story.now(),
            server: 0,
            host: HostKind::Prompt,
            cancel_after: None,
            leave_after: None,
            prompt: "The last one.".to_owned(),
            timeout: None,
        };
        server.execute(world, run.clone());
        let until = Instant::now() + Duration::from_secs(1_800);
        while !server.is_idle() && Instant::now() < until {
            sleep(Duration::from_millis(500)).await;
        }
        let reports = world.reports.lock().unwrap();
        let report = reports.iter().find(|report| report.run.id == run.id);
        let failed = report.is_none_or(|report| report.result["exitCode"] != 0);
        if failed || world.truth.of(&run.id).starts.len() != 1 {
            world.story.fault(format!("the last run {} did not work", run.id));
        }
    }
}

/// What is left when everybody had time to clear up.
async fn after_all(world: &Arc<World>, servers: &[Process]) {
    sleep(Duration::from_secs(2 * 3_600)).await;
    for (name, server) in servers.iter().map(|it| (&it.name, &it.server)) {
        let held = (server.views.count(), server.agents.held(), server.hub.tails());
        if held != (0, 0, 0) {
            world.story.fault(format!(
                "server {name} still holds (views, agents, tails) {held:?}"
            ));
        }
    }
    for resource in ["jobs", "pods", "secrets"] {
        let left = world
            .api
            .list(resource)
            .1
            .into_iter()
            .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned());
        let left: Vec<String> = left
            .filter(|name| !["paperclip-0", opencode_k8s::run::seal::SECRET].contains(&name.as_str()))
            .collect();
        if !left.is_empty() && !world.plan.retain {
            world.story.fault(format!("{resource} are left: {left:?}"));
        }
    }
    sleep(Duration::from_secs(8 * 24 * 3_600)).await;
    let left = world.volume.files();
    if !left.is_empty() && !world.plan.retain {
        world.story.fault(format!("files are left: {left:?}"));
    }
}
