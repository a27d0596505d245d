//! The scheduler and the node's kubelet, for one pod at a time: from pending to the end of its containers and of the
//! object.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::World;
use super::dice::Dice;
use super::pod::{Ended, Pod, unless_killed, within};

/// How the node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Node {
    Up,
    /// Its containers run, and nobody hears of it.
    Silent,
    /// Without power.
    Dead,
}

/// Why a container was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Killed {
    Oom,
    Evicted,
    Grace,
    PowerLoss,
}

struct Kubelet {
    world: Arc<World>,
    name: String,
    uid: String,
    dice: Dice,
    node: watch::Receiver<Node>,
}

pub(crate) async fn run(world: Arc<World>, name: String, uid: String) {
    let dice = Dice::of(world.plan.seed, &format!("pod {uid}"));
    let node = world.node.subscribe();
    let mut kubelet = Kubelet {
        world,
        name,
        uid,
        dice,
        node,
    };
    if kubelet.start().await {
        kubelet.work().await;
    }
    kubelet.until_deleted().await;
    kubelet.until_up().await;
    sleep(kubelet.dice.millis(10, 2_000)).await;
    if kubelet
        .world
        .api
        .remove("pods", &kubelet.name, Some(&kubelet.uid))
        .is_ok()
    {
        kubelet.tell("is gone");
    }
}

fn statuses(name: &str, state: &Value) -> Value {
    json!([{"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
}

fn terminated(code: i32, reason: &str, message: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message}})
}

impl Kubelet {
    fn tell(&self, what: &str) {
        self.world.story.tell(format!("pod {} {what}", self.name));
    }

    fn object(&self) -> Option<Value> {
        self.world.api.get_uid("pods", &self.name, &self.uid)
    }

    fn is_deleted(&self) -> bool {
        self.object()
            .is_none_or(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
    }

    async fn until_deleted(&self) {
        let mut seen = self.world.api.changed();
        while !self.is_deleted() {
            let _ = seen.changed().await;
        }
    }

    /// Something that goes wrong once in `n` pods, while things go wrong.
    fn ails(&mut self, n: u64) -> bool {
        self.dice.once_in(n) && !self.world.is_healed()
    }

    async fn until_up(&mut self) {
        let _ = self.node.wait_for(|node| *node == Node::Up).await;
    }

    /// Tells the API server, when the node can.
    async fn report(&mut self, change: impl FnOnce(&mut Value)) {
        self.until_up().await;
        sleep(self.dice.millis(1, 800)).await;
        self.world.api.update("pods", &self.name, &self.uid, change);
    }

    /// A wait that ends early when the pod is deleted; then false.
    async fn pause(&mut self, wait: Duration) -> bool {
        within(wait, self.until_deleted()).await;
        !self.is_deleted()
    }

    /// From pending to the end of the init container; false when the main container does not start.
    async fn start(&mut self) -> bool {
        if self.ails(25) {
            let why = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]);
            self.world.api.update("pods", &self.name, &self.uid, |pod| {
                pod["status"]["conditions"] = why
            });
            self.tell("is unschedulable");
            let wait = self.dice.seconds(30, 300);
            if !self.pause(wait).await {
                return false;
            }
        }
        let wait = self.dice.millis(20, 5_000);
        if !self.pause(wait).await {
            return false;
        }
        self.world.api.update("pods", &self.name, &self.uid, |pod| {
            pod["spec"]["nodeName"] = json!("node-1")
        });
        let wait = if self.ails(40) {
            self.dice.seconds(30, 800)
        } else {
            self.dice.millis(50, 9_000)
        };
        if !self.pause(wait).await {
            return false;
        }
        if self.ails(50) {
            self.tell("cannot pull its image");
            let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
            self.report(|pod| pod["status"]["initContainerStatuses"] = statuses("write-prompt", &waiting))
                .await;
            return false;
        }
        self.init().await
    }

    async fn init(&mut self) -> bool {
        let Some(object) = self.object() else { return false };
        self.until_up().await;
        if self.is_deleted() {
            return false;
        }
        self.report(|pod| {
            pod["status"]["initContainerStatuses"] = statuses("write-prompt", &json!({"running": {}}))
        })
        .await;
        let pod = Pod::of(&self.world, &object);
        let ended = tokio::select! {
            ended = pod.init() => ended,
            () = self.until_deleted() => Ended { code: 143, message: String::new() },
        };
        let code = ended.code;
        if code != 0 {
            self.tell(&format!("init container ended with {code}"));
            let state = terminated(code, "Error", &ended.message);
            self.report(|pod| {
                pod["status"]["initContainerStatuses"] = statuses("write-prompt", &state);
                pod["status"]["phase"] = json!("Failed");
            })
            .await;
        }
        code == 0
    }

    async fn work(&mut self) {
        let Some(object) = self.object() else { return };
        let pod = Pod::of(&self.world, &object);
        let (term, asked) = watch::channel(false);
        let (kill, mut killed) = watch::channel(None);
        let (world, uid) = (self.world.clone(), self.uid.clone());
        let script = world.script_of(pod.run_id(), &pod.job_uid);
        self.tell("starts its container");
        let status = self.world.draw(|dice| dice.once_in(6));
        // The container runs before, or after, the API server knows.
        let late = if status {
            self.dice.seconds(1, 8)
        } else {
            self.dice.millis(0, 500)
        };
        let shown = async {
            sleep(late).await;
            let mut node = world.node.subscribe();
            let _ = node.wait_for(|node| *node == Node::Up).await;
            world.api.update("pods", &object_name(&object), &uid, |pod| {
                pod["status"] = json!({"phase": "Running", "initContainerStatuses": statuses("write-prompt", &terminated(0, "Completed", "")),
                    "containerStatuses": statuses("opencode", &json!({"running": {}}))});
            });
            std::future::pending::<()>().await
        };
        let (mut kill_flag, main) = (killed.clone(), pod.main(script, asked));
        let (killing, flagged) = watch::channel(false);
        let mut flagged = flagged;
        let flag = async {
            let _ = kill_flag.wait_for(Option::is_some).await;
            killing.send_replace(true);
            std::future::pending::<()>().await
        };
        let ended = tokio::select! {
            biased;
            ended = unless_killed(&mut flagged, main) => ended,
            () = flag => None,
            () = shown => None,
            () = self.ends(&term, &kill) => None,
        };
        let why: Option<Killed> = *killed.borrow_and_update();
        self.over(ended, why).await;
    }

    /// What ends the container from outside: a deletion, the node's memory, its disk, its power.
    async fn ends(&self, term: &watch::Sender<bool>, kill: &watch::Sender<Option<Killed>>) {
        let mut dice = self.dice.clone();
        let begun = tokio::time::Instant::now();
        let mut node = self.node.clone();
        let oom = async {
            match dice.once_in(14) && !self.world.is_healed() {
                true => sleep_until(begun + dice.seconds(1, 90)).await,
                false => std::future::pending().await,
            }
        };
        let mut dice = self.dice.clone();
        dice.next();
        let eviction = async {
            match dice.once_in(14) && !self.world.is_healed() {
                true => sleep_until(begun + dice.seconds(1, 90)).await,
                false => std::future::pending().await,
            }
        };
        let deletion = async {
            loop {
                self.until_deleted().await;
                let mut node = self.node.clone();
                let _ = node.wait_for(|node| *node == Node::Up).await;
                if self.is_deleted() {
                    return;
                }
            }
        };
        let power_loss = async {
            let _ = node.wait_for(|node| *node == Node::Dead).await;
        };
        let why = tokio::select! {
            biased;
            () = power_loss => Killed::PowerLoss,
            () = oom => Killed::Oom,
            () = eviction => {
                self.tell("is evicted");
                term.send_replace(true);
                sleep(Duration::from_secs(30)).await;
                Killed::Evicted
            }
            () = deletion => {
                self.tell("gets TERM");
                term.send_replace(true);
                sleep(Duration::from_secs(30)).await;
                Killed::Grace
            }
        };
        self.tell(&format!("is killed: {why:?}"));
        self.world.truth.killed(&self.world, &self.name);
        kill.send_replace(Some(why));
        std::future::pending().await
    }

    /// Tells how the container ended.
    async fn over(&mut self, ended: Option<Ended>, why: Option<Killed>) {
        let (code, reason, message) = match (&ended, why) {
            (Some(ended), _) if ended.code == 0 => (0, "Completed", ended.message.as_str()),
            (Some(ended), _) => (ended.code, "Error", ended.message.as_str()),
            (None, Some(Killed::Oom)) => (137, "OOMKilled", ""),
            (None, Some(Killed::PowerLoss)) => (255, "Unknown", ""),
            (None, _) => (137, "Error", ""),
        };
        self.tell(&format!("container ended with {code} ({reason})"));
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let evicted = why == Some(Killed::Evicted);
        let state = terminated(code, reason, message);
        if self.is_deleted() && self.dice.once_in(4) {
            // The object goes before it had its last status.
            return;
        }
        let unknown = evicted && self.dice.once_in(2);
        if self.world.plan.modern && !unknown {
            self.report(|pod| pod["status"]["containerStatuses"] = statuses("opencode", &state))
                .await;
            sleep(self.dice.millis(10, 2_000)).await;
        }
        self.report(|pod| {
            pod["status"]["phase"] = json!(phase);
            if evicted {
                pod["status"]["reason"] = json!("Evicted");
                pod["status"]["message"] = json!("The node was low on resource");
            }
            if unknown {
                pod["status"]["containerStatuses"] = Value::Null;
            } else {
                pod["status"]["containerStatuses"] = statuses("opencode", &state);
            }
        })
        .await;
    }
}

fn object_name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// The node controller: what runs on a node that is silent for too long is to be deleted.
pub(crate) async fn node_controller(world: Arc<World>) {
    let mut node = world.node.subscribe();
    loop {
        let _ = node.wait_for(|node| *node != Node::Up).await;
        let back = async {
            let _ = node.wait_for(|node| *node == Node::Up).await;
        };
        tokio::select! {
            () = back => continue,
            () = sleep(Duration::from_secs(340)) => {}
        }
        for pod in world
            .api
            .list("pods")
            .1
            .iter()
            .filter(|pod| pod["spec"]["nodeName"] == "node-1")
        {
            super::controller::delete_pod(&world, pod);
        }
        let _ = node.wait_for(|node| *node == Node::Up).await;
    }
}
