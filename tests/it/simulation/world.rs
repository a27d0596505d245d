//! The world of one simulation: everything that is not the product.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::api::Api;
use super::controller;
use super::dice::Dice;
use super::host::Report;
use super::kubelet::{self, Node};
use super::opencode::Script;
use super::plan::{ApiFaults, HEALED, Plan};
use super::story::Story;
use super::truth::{Agent, Truth, task_of};
use super::volume::{Volume, VolumeFaults};

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) story: Story,
    pub(crate) api: Api,
    pub(crate) volume: Volume,
    pub(crate) truth: Truth,
    pub(crate) node: watch::Sender<Node>,
    pub(crate) reports: Mutex<Vec<Report>>,
    /// Runs whose server died, or that their host gave up.
    pub(crate) lost: Mutex<Vec<(String, Duration)>>,
    /// Runs of which a host was told that their log could not be read to its end, also by a run that harvested them.
    pub(crate) unread: Mutex<BTreeSet<String>>,
    /// What the host was promised of runs.
    promises: Mutex<BTreeMap<String, &'static str>>,
    dice: Mutex<Dice>,
    sessions: Mutex<BTreeMap<String, Value>>,
    scripts: Mutex<(u32, BTreeMap<String, Script>)>,
    /// What does not answer any more.
    hangs: Mutex<Vec<&'static str>>,
}

/// The volume, as something that can hang.
pub(crate) const VOLUME: &str = "the volume";
/// The host's callbacks.
pub(crate) const HOST: &str = "the host";

impl World {
    pub(crate) fn new(plan: Plan) -> Arc<Self> {
        let seed = plan.seed;
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let world = Arc::new(Self {
            plan,
            story: Story::new(),
            api: Api::new(wall),
            volume: Volume::new(wall),
            truth: Truth::default(),
            node: watch::Sender::new(Node::Up),
            reports: Mutex::default(),
            lost: Mutex::default(),
            unread: Mutex::default(),
            promises: Mutex::default(),
            dice: Mutex::new(Dice::of(seed, "world")),
            sessions: Mutex::default(),
            scripts: Mutex::default(),
            hangs: Mutex::default(),
        });
        let own_pod = json!({"metadata": {"name": "paperclip-0", "labels": {}}, "spec": {
            "containers": [{"name": "paperclip", "image": "paperclip:1", "volumeMounts": [{"name": "data", "mountPath": "/paperclip"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}});
        world.api.create("pods", own_pod).unwrap();
        tokio::spawn(controller::run(world.clone()));
        tokio::spawn(kubelet::node_controller(world.clone()));
        tokio::spawn(nodes(world.clone()));
        world
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock().unwrap())
    }

    /// Whatever its server had of this run is nobody's any more.
    pub(crate) fn lose(&self, run: &str) {
        self.lost.lock().unwrap().push((run.to_owned(), self.story.now()));
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.plan.calm.is_some() || self.story.now() >= HEALED
    }

    /// From now on these do not answer: requests by verb and resource, the volume, the host.
    pub(crate) fn hang(&self, what: &[&'static str]) {
        *self.hangs.lock().unwrap() = what.to_vec();
    }

    pub(crate) fn hangs(&self, what: &str) -> bool {
        self.hangs.lock().unwrap().contains(&what)
    }

    pub(crate) fn api_faults(&self) -> ApiFaults {
        if self.is_healed() {
            return ApiFaults {
                remembers: u64::MAX,
                ..ApiFaults::default()
            };
        }
        self.plan.api
    }

    pub(crate) fn api_is_away(&self) -> bool {
        let now = self.story.now();
        !self.is_healed()
            && self
                .plan
                .outages
                .iter()
                .any(|(from, until)| (*from..*until).contains(&now))
    }

    pub(crate) fn volume_faults(&self) -> VolumeFaults {
        let now = self.story.now();
        if self.hangs(VOLUME) {
            return VolumeFaults {
                hangs: true,
                ..VolumeFaults::default()
            };
        }
        let on = self
            .plan
            .volume
            .iter()
            .find(|(from, until, _)| !self.is_healed() && (*from..*until).contains(&now));
        on.map(|(_, _, faults)| *faults).unwrap_or_default()
    }

    /// What opencode does in this run.
    pub(crate) fn script_of(&self, run: &str, _job: &str) -> Script {
        let mut scripts = self.scripts.lock().unwrap();
        let (bits, known) = &mut *scripts;
        if let Some(script) = known.get(run) {
            return script.clone();
        }
        let script = match self.plan.calm {
            Some(works) => Script::plain(bits, works),
            None if self.is_healed() => Script::plain(bits, Duration::from_secs(3)),
            None => Script::cast(&mut Dice::of(self.plan.seed, run), bits),
        };
        self.story.tell(format!(
            "script of {run}: {} steps, {:?}, ignores TERM: {}",
            script.steps.len(),
            script.exit,
            script.ignores_term
        ));
        known.insert(run.to_owned(), script.clone());
        script
    }

    pub(crate) fn known_script(&self, run: &str) -> Option<Script> {
        self.scripts.lock().unwrap().1.get(run).cloned()
    }

    /// Whether another run of the agent may start beside this one, of which nobody can know that it is at work: its Job
    /// is gone and its node silent, or its pod did not end in all the time that it had.
    pub(crate) fn may_overlap(&self, _run: &str, agent: &Agent) -> bool {
        let Some((job, pod)) = agent.starts.last() else {
            return true;
        };
        let pod = self
            .api
            .get("pods", pod)
            .filter(|pod| super::api::owner(pod) == Some(job));
        // Forced away by hand, or waited for long enough.
        pod.is_none_or(|pod| {
            let asked = pod["metadata"]["deletionTimestamp"]
                .as_str()
                .and_then(|at| at.parse::<Timestamp>().ok());
            let now = Timestamp::try_from(self.api.wall()).unwrap();
            asked.is_some_and(|at| now.duration_since(at).as_secs() >= 74)
        })
    }

    /// Whether the host has our word that the agent of this run is not at work and never will be.
    pub(crate) fn must_not_start(&self, run: &str) -> Option<&'static str> {
        self.promises.lock().unwrap().get(run).copied()
    }

    /// A status line that a host reads: it may name a run whose log was not read to its end.
    pub(crate) fn hear(&self, line: &str) {
        if !line.contains("log incomplete") && !line.contains("could not be read to its end") {
            return;
        }
        let started = self.truth.all().into_iter().map(|(run, _)| run);
        let named =
            started.filter(|run| line.contains(&format!("-{run}-")) || line.contains(&format!("{run}.pod")));
        self.unread.lock().unwrap().extend(named);
    }

    /// What the host takes our word for.
    pub(crate) fn hold_to(&self, run: &str, result: &Value) {
        let agent = self.truth.of(run);
        let is_acknowledged = result["resultJson"]["executionCancellation"]["state"] == "acknowledged";
        // Nobody knows of an agent whose pod a person forced away.
        if is_acknowledged && agent.at_work && !self.may_overlap(run, &agent) {
            self.story.fault(format!(
                "the cancel of {run} is acknowledged, and its agent is at work"
            ));
        }
        if is_acknowledged {
            self.promises
                .lock()
                .unwrap()
                .insert(run.to_owned(), "its cancel was acknowledged");
        }
        if result["executionRecovery"]["providerWorkStarted"] == false {
            if !agent.starts.is_empty() {
                self.story.fault(format!(
                    "{run} may be tried again by the host, and its agent was started"
                ));
            }
            self.promises
                .lock()
                .unwrap()
                .insert(run.to_owned(), "the host may try again");
        }
    }

    pub(crate) fn session_of(&self, run: &str) -> Value {
        self.sessions
            .lock()
            .unwrap()
            .get(task_of(run))
            .cloned()
            .unwrap_or_else(|| json!({}))
    }

    /// What the host stores of a result.
    pub(crate) fn remember_session(&self, run: &str, result: &Value) {
        let mut sessions = self.sessions.lock().unwrap();
        if result["clearSession"] == true {
            sessions.remove(task_of(run));
        } else if result["sessionParams"].is_object() {
            let session = json!({"sessionId": result["sessionId"], "sessionParams": result["sessionParams"]});
            sessions.insert(task_of(run).to_owned(), session);
        }
    }
}

/// The node's fate.
async fn nodes(world: Arc<World>) {
    let mut fates = world.plan.nodes.clone();
    fates.sort_by_key(|(from, ..)| *from);
    for (from, until, node) in fates {
        sleep(from.saturating_sub(world.story.now())).await;
        world.story.tell(format!("the node is {node:?}"));
        world.node.send_replace(node);
        sleep(until.saturating_sub(world.story.now())).await;
        world.story.tell("the node is up");
        world.node.send_replace(Node::Up);
    }
}
