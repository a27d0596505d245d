//! The host's side: servers that live and die, runs that are executed on them as the shim does it, and what came back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use opencode_k8s::cluster::client::Connect;
use opencode_k8s::run::clock::Clock;
use opencode_k8s::run::host::{Host, Kind};
use opencode_k8s::run::server::Server;
use opencode_k8s::run::stop::{Stop, Stopper, stop_signal};
use opencode_k8s::run::timing::KEEPALIVE;
use opencode_k8s::run::volume::blocking::Volume;
use opencode_k8s::tail::Hub;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::World;
use super::plan::{HostKind, PlannedRun};
use super::requests;
use super::truth::task_of;
use super::volume::Hands;
use super::world::HOST;

/// A server process.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) server: Arc<Server>,
    alive: Arc<AtomicBool>,
    running: Vec<(PlannedRun, JoinHandle<()>)>,
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, name: &str) -> Self {
        world.story.tell(format!("server {name} starts"));
        let alive = Arc::new(AtomicBool::new(true));
        let cluster = requests::cluster(world, name, alive.clone());
        let clock = world.clone();
        let server = Server::new(
            Hub::on_runtime(),
            Connect::new(move |_| std::future::ready(Ok(cluster.clone()))),
            Volume::new(Hands {
                world: Arc::downgrade(world),
                alive: alive.clone(),
            }),
            Clock::new(move || clock.api.wall()),
        );
        Self {
            name: name.to_owned(),
            server: Arc::new(server),
            alive,
            running: Vec::new(),
        }
    }

    pub(crate) fn execute(&mut self, world: &Arc<World>, run: PlannedRun) {
        world
            .story
            .tell(format!("host starts run {} on {}", run.id, self.name));
        let (world, server, name, planned) =
            (world.clone(), self.server.clone(), self.name.clone(), run.clone());
        let task = tokio::spawn(async move { execute(world, server, name, planned).await });
        self.running.push((run, task));
    }

    /// Ends at whatever await its tasks are. Gives the runs that are lost.
    pub(crate) fn crash(&mut self, world: &World) -> Vec<PlannedRun> {
        world.story.tell(format!("server {} CRASHES", self.name));
        self.alive.store(false, Ordering::SeqCst);
        let lost = self.running.drain(..).filter(|(_, task)| !task.is_finished());
        let lost: Vec<PlannedRun> = lost
            .map(|(run, task)| {
                task.abort();
                run
            })
            .collect();
        for run in &lost {
            world
                .story
                .tell(format!("run {} is lost with its server", run.id));
            world.lose(&run.id);
        }
        lost
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.iter().all(|(_, task)| task.is_finished())
    }

    /// The runs that have not come back.
    pub(crate) fn open_runs(&self) -> Vec<String> {
        self.running
            .iter()
            .filter(|(_, task)| !task.is_finished())
            .map(|(run, _)| run.id.clone())
            .collect()
    }
}

/// What came back to the host of one run.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) run: PlannedRun,
    pub(crate) result: Value,
    pub(crate) heard: Vec<String>,
    pub(crate) cancelled: bool,
}

/// The stopped clock moves in whole milliseconds.
const TICK: Duration = Duration::from_millis(2);

struct Ear {
    world: Arc<World>,
    kind: HostKind,
    run: String,
    lines: Mutex<Vec<String>>,
    calls: Mutex<u64>,
    /// When it last heard of the run.
    heard_at: Mutex<Instant>,
}

impl Ear {
    /// The host takes a run for lost of which it hears nothing.
    fn must_have_heard(&self) {
        let silent = std::mem::replace(&mut *self.heard_at.lock().unwrap(), Instant::now()).elapsed();
        if self.kind == HostKind::Prompt && silent > KEEPALIVE + TICK && !self.world.hangs(HOST) {
            let run = &self.run;
            let line = format!("{run}: the host heard nothing for {silent:?}");
            self.world.story.fault(line);
        }
    }
}

impl Host for Ear {
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
        if matches!(kind, Kind::Stdout | Kind::Stderr) {
            self.must_have_heard();
        }
        for line in payload
            .split_inclusive('\n')
            .filter(|_| matches!(kind, Kind::Stdout | Kind::Stderr))
        {
            if line.starts_with("[paperclip]") {
                self.world.hear(line);
                self.world
                    .story
                    .tell(format!("{} hears: {}", self.run, line.trim_end()));
            } else if kind == Kind::Stdout {
                self.lines.lock().unwrap().push(line.to_owned());
            }
        }
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let kind = self.kind;
        let hangs = self.world.hangs(HOST);
        Box::pin(async move {
            match kind {
                _ if hangs => std::future::pending().await,
                HostKind::Prompt => Ok(()),
                HostKind::Slow => {
                    sleep(Duration::from_millis(900)).await;
                    Ok(())
                }
                HostKind::Dead if call > 2 => std::future::pending().await,
                HostKind::Failing if call.is_multiple_of(3) => Err("no".to_owned()),
                HostKind::Dead | HostKind::Failing => Ok(()),
            }
        })
    }
}

/// The shim, and a host that cancels when it is planned.
async fn execute(world: Arc<World>, server: Arc<Server>, name: String, run: PlannedRun) {
    let (stopper, stop) = stop_signal();
    let asked = Arc::new(Mutex::new(None));
    let cancelling = tokio::spawn(cancel(world.clone(), run.clone(), stopper, asked.clone()));
    let mut report = report_of(&world, &server, &run, stop).await;
    cancelling.abort();
    let asked: Option<Instant> = *asked.lock().unwrap();
    if let Some(since) = asked
        && since.elapsed() > Duration::from_secs(60)
    {
        world.story.fault(format!(
            "the cancel of {} was answered after {:?}",
            run.id,
            since.elapsed()
        ));
    }
    report.cancelled = asked.is_some();
    world
        .story
        .tell(format!("{name} reports {}: {}", run.id, report.result));
    if report.result["errorCode"] == "k8s_lease_lost" {
        // The host has written its own end of it, and takes no other.
        world.lose(&run.id);
        return;
    }
    world.hold_to(&run.id, &report.result);
    world.remember_session(&run.id, &report.result);
    world.reports.lock().unwrap().push(report);
}

/// Executes a run on a server, as the shim does it.
pub(crate) async fn report_of(
    world: &Arc<World>,
    server: &Arc<Server>,
    run: &PlannedRun,
    stop: Stop,
) -> Report {
    let ear = Arc::new(Ear {
        world: world.clone(),
        kind: run.host,
        run: run.id.clone(),
        lines: Mutex::default(),
        calls: Mutex::default(),
        heard_at: Mutex::new(Instant::now()),
    });
    let request = request(world, run).to_string();
    let arrival = server.agents.arrive(super::truth::agent_of(&run.id));
    let report = opencode_k8s::run::execute(server, arrival, request, ear.clone(), stop).await;
    ear.must_have_heard();
    let mut result = report.to_value();
    if result["resultJson"]["stdout"].is_string() {
        result["resultJson"]["stdout"] = json!("...");
    }
    Report {
        heard: std::mem::take(&mut ear.lines.lock().unwrap()),
        cancelled: false,
        run: run.clone(),
        result,
    }
}

async fn cancel(world: Arc<World>, run: PlannedRun, stopper: Stopper, asked: Arc<Mutex<Option<Instant>>>) {
    if let Some(after) = run.leave_after {
        sleep(after).await;
        world.story.tell(format!("host gives {} up", run.id));
        stopper.leave();
    }
    let Some(after) = run.cancel_after else {
        // Who can ask must live: otherwise nobody can.
        return std::future::pending().await;
    };
    sleep(after).await;
    world.story.tell(format!("host cancels {}", run.id));
    *asked.lock().unwrap() = Some(Instant::now());
    stopper.stop("signal");
    std::future::pending::<()>().await;
}

fn request(world: &World, run: &PlannedRun) -> Value {
    let task = task_of(&run.id);
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let mut config = json!({"ttlSecondsAfterFinished": world.plan.ttl, "retainJobs": world.plan.retain});
    if !world.is_healed() {
        config["reattachOrphanedJobs"] = json!(world.plan.reattach);
        config["guardWaitSec"] = json!(world.plan.guard_wait);
    }
    if let Some(timeout) = run.timeout {
        config["timeoutSec"] = json!(timeout);
    }
    json!({
        "runId": run.id, "agent": {"id": super::truth::agent_of(&run.id), "companyId": "c1", "name": "Agent"},
        "prompt": run.prompt, "config": config, "context": {"taskId": task}, "runtime": world.session_of(&run.id),
        "environment": {"podName": "paperclip-0", "namespace": "paperclip", "dataRoot": world.volume.root(),
            "volumeOwner": format!("{uid}:{gid}")},
    })
}
