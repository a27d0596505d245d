//! The cluster's controllers: of Jobs (pods, conditions, deadline, TTL) and of garbage (pods and Secrets of a Job that
//! is gone).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::World;
use super::api::owner;
use super::dice::Dice;
use super::kubelet;

/// Starts a controller for each Job that is made, and a kubelet for each pod.
pub(crate) async fn run(world: Arc<World>) {
    let (mut seen, mut version, mut of_secrets) = (world.api.changed(), 0, 0);
    loop {
        for change in world.api.changes_after("jobs", version) {
            version = change.version;
            let name = change.object["metadata"]["name"].as_str().unwrap().to_owned();
            let uid = change.object["metadata"]["uid"].as_str().unwrap().to_owned();
            match change.kind {
                "ADDED" => drop(tokio::spawn(job(world.clone(), name, uid))),
                "DELETED" => drop(tokio::spawn(collect(world.clone(), uid))),
                _ => {}
            }
        }
        // A Secret that comes when its owner is gone is garbage as well.
        for change in world.api.changes_after("secrets", of_secrets) {
            of_secrets = change.version;
            let owner = owner(&change.object).filter(|_| change.kind == "ADDED");
            let (_, jobs) = world.api.list("jobs");
            if let Some(owner) =
                owner.filter(|owner| !jobs.iter().any(|job| job["metadata"]["uid"] == **owner))
            {
                tokio::spawn(collect(world.clone(), owner.to_owned()));
            }
        }
        let _ = seen.changed().await;
    }
}

/// Deletes what a Job that is gone has left.
async fn collect(world: Arc<World>, uid: String) {
    let mut dice = Dice::of(world.plan.seed, &format!("garbage of {uid}"));
    // A controller that is busy has been seen to take a minute.
    sleep(if dice.once_in(12) {
        dice.seconds(5, 60)
    } else {
        dice.millis(20, 3_000)
    })
    .await;
    loop {
        let (_, secrets) = world.api.list("secrets");
        for secret in secrets.iter().filter(|secret| owner(secret) == Some(&uid)) {
            let _ = world
                .api
                .remove("secrets", secret["metadata"]["name"].as_str().unwrap(), None);
        }
        let (_, pods) = world.api.list("pods");
        let left: Vec<&Value> = pods.iter().filter(|pod| owner(pod) == Some(&uid)).collect();
        left.iter().for_each(|pod| delete_pod(&world, pod));
        // A pod, or a Secret, that was just being made comes a little later.
        if left.is_empty() && !secrets.iter().any(|secret| owner(secret) == Some(&uid)) {
            return;
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// Asks the pod's kubelet to end it.
pub(crate) fn delete_pod(world: &World, pod: &Value) {
    let (name, uid) = (
        pod["metadata"]["name"].as_str().unwrap(),
        pod["metadata"]["uid"].as_str().unwrap(),
    );
    let stamp = world.api.stamp();
    world.api.update("pods", name, uid, |pod| {
        if pod["metadata"]["deletionTimestamp"].is_null() {
            world.story.tell(format!("pod {name} is to end"));
            pod["metadata"]["deletionTimestamp"] = json!(stamp);
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        }
    });
}

fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// How the Job ends, when it does.
enum JobEnd {
    Complete,
    Failed(&'static str),
}

async fn job(world: Arc<World>, name: String, uid: String) {
    let mut dice = Dice::of(world.plan.seed, &format!("job {uid}"));
    world.story.tell(format!("job {name} is made"));
    sleep(dice.millis(20, 2_000)).await;
    let begun = Instant::now();
    if dice.once_in(40) && !world.is_healed() {
        world.story.tell(format!("job {name}: a quota refuses its pod"));
        sleep(dice.seconds(30, 400)).await;
    }
    let mut made = 0;
    if !make_pod(&world, &name, &uid, &mut made) {
        return;
    }
    let end = until_over(&world, &name, &uid, begun, &mut made, &mut dice).await;
    let Some(end) = end else { return };
    finish(&world, &name, &uid, end, &mut dice).await;
}

fn make_pod(world: &Arc<World>, name: &str, uid: &str, made: &mut u32) -> bool {
    let Some(job) = world.api.get_uid("jobs", name, uid) else {
        return false;
    };
    *made += 1;
    let template = &job["spec"]["template"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
        "status": {"phase": "Pending"}});
    pod["metadata"]["name"] = json!(format!("{name}-{made}"));
    pod["metadata"]["labels"]["job-name"] = json!(name);
    pod["metadata"]["labels"]["controller-uid"] = json!(uid);
    pod["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true}]);
    if let Ok(pod) = world.api.create("pods", pod) {
        let pod_uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        tokio::spawn(kubelet::run(
            world.clone(),
            pod["metadata"]["name"].as_str().unwrap().to_owned(),
            pod_uid,
        ));
    }
    true
}

async fn until_over(
    world: &Arc<World>,
    name: &str,
    uid: &str,
    begun: Instant,
    made: &mut u32,
    dice: &mut Dice,
) -> Option<JobEnd> {
    let mut seen = world.api.changed();
    loop {
        let job = world.api.get_uid("jobs", name, uid)?;
        let deadline = job["spec"]["activeDeadlineSeconds"]
            .as_u64()
            .map(|seconds| begun + Duration::from_secs(seconds));
        let (_, pods) = world.api.list("pods");
        let pods: Vec<&Value> = pods.iter().filter(|pod| owner(pod) == Some(uid)).collect();
        if pods.iter().any(|pod| pod["status"]["phase"] == "Succeeded") {
            return Some(JobEnd::Complete);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            world.story.tell(format!("job {name} is out of time"));
            pods.iter()
                .filter(|pod| !is_over(pod))
                .for_each(|pod| delete_pod(world, pod));
            return Some(JobEnd::Failed("DeadlineExceeded"));
        }
        if pods
            .iter()
            .any(|pod| pod["status"]["phase"] == "Failed" && pod["metadata"]["deletionTimestamp"].is_null())
        {
            return Some(JobEnd::Failed("BackoffLimitExceeded"));
        }
        let active = pods
            .iter()
            .any(|pod| !is_over(pod) && pod["metadata"]["deletionTimestamp"].is_null());
        if !active {
            // A pod that was deleted, or is being deleted, is replaced, whatever the limit of failures says.
            if *made >= 3 || !world.plan.replaces_pods {
                return Some(JobEnd::Failed("BackoffLimitExceeded"));
            }
            sleep(dice.millis(20, 2_000)).await;
            if !make_pod(world, name, uid, made) {
                return None;
            }
            continue;
        }
        let wait = deadline.map_or(Duration::from_secs(600), |at| {
            at.saturating_duration_since(Instant::now())
        });
        world.api.change_within(wait, &mut seen).await;
    }
}

async fn finish(world: &Arc<World>, name: &str, uid: &str, end: JobEnd, dice: &mut Dice) {
    let (early, late, reason) = match end {
        JobEnd::Complete => ("SuccessCriteriaMet", "Complete", "CompletionsReached"),
        JobEnd::Failed(reason) => ("FailureTarget", "Failed", reason),
    };
    sleep(dice.millis(20, 3_000)).await;
    if world.plan.modern {
        condition(world, name, uid, early, reason);
        // The final word comes when no pod of the Job runs any more.
        loop {
            let (_, pods) = world.api.list("pods");
            if !pods.iter().any(|pod| owner(pod) == Some(uid) && !is_over(pod)) {
                break;
            }
            let mut seen = world.api.changed();
            if world.api.get_uid("jobs", name, uid).is_none() {
                return;
            }
            world.api.change_within(Duration::from_secs(60), &mut seen).await;
        }
        sleep(dice.millis(20, 2_000)).await;
    }
    condition(world, name, uid, late, reason);
    let Some(job) = world.api.get_uid("jobs", name, uid) else {
        return;
    };
    let Some(ttl) = job["spec"]["ttlSecondsAfterFinished"].as_u64() else {
        return;
    };
    sleep(Duration::from_secs(ttl)).await;
    if world.api.remove("jobs", name, Some(uid)).is_ok() {
        world.story.tell(format!("job {name}: its TTL has removed it"));
    }
}

fn condition(world: &World, name: &str, uid: &str, kind: &str, reason: &str) {
    let stamp = world.api.stamp();
    let is_set = world.api.update("jobs", name, uid, |job| {
        let condition = json!({"type": kind, "status": "True", "reason": reason, "message": "simulated",
            "lastTransitionTime": stamp});
        match job["status"]["conditions"].as_array_mut() {
            Some(conditions) => conditions.push(condition),
            None => job["status"] = json!({"conditions": [condition]}),
        }
    });
    if is_set {
        world.story.tell(format!("job {name}: {kind} ({reason})"));
    }
}
