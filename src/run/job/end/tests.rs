use super::*;
use serde_json::{Value, json};

fn pod(uid: &str, made: &str, state: Value) -> Arc<Pod> {
    let pod = json!({"metadata": {"name": uid, "uid": uid, "creationTimestamp": made},
        "spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Running", "containerStatuses": [
        {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}});
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn early(state: Value) -> Arc<Pod> {
    pod("early", "2026-01-01T00:00:00Z", state)
}

fn late() -> Arc<Pod> {
    pod("late", "2026-01-01T00:00:09Z", json!({"running": {}}))
}

fn is_late(found: &AgentsPod) -> bool {
    matches!(found, AgentsPod::There(pod) if pod.metadata.uid.as_deref() == Some("late"))
}

#[test]
fn the_successor_of_a_pod_that_worked_is_not_the_agents() {
    let there = [late()];
    let ended = agents_pod(None, &there, &[early(json!({"terminated": {"exitCode": 3}}))]);
    assert!(matches!(ended, AgentsPod::Gone(Cause::Exited(end)) if end.exit_code == 3));
    let at_work = agents_pod(None, &there, &[early(json!({"running": {}}))]);
    assert!(matches!(at_work, AgentsPod::Gone(Cause::Lost(_))));
}

#[test]
fn the_successor_of_a_pod_that_never_started_is() {
    let gone = [early(json!({"waiting": {"reason": "ContainerCreating"}}))];
    let there = [late()];
    assert!(is_late(&agents_pod(None, &there, &gone)));
    assert!(matches!(agents_pod(None, &[], &gone), AgentsPod::Unseen));
}

#[test]
fn a_known_pod_stays_the_agents() {
    let there = [early(json!({"running": {}})), late()];
    assert!(is_late(&agents_pod(Some("late"), &there, &[])));
    assert!(matches!(
        agents_pod(Some("other"), &there, &[]),
        AgentsPod::Gone(Cause::Lost(_))
    ));
}

#[test]
fn a_job_whose_pods_are_still_being_ended_says_already_why() {
    let job = |conditions: Value| -> Job {
        serde_json::from_value(json!({"status": {"conditions": conditions}})).expect("a job")
    };
    let is_late = |conditions: Value| hit_its_deadline(Some(&job(conditions)), None, &[]);
    let failing = |reason: &str| json!([{"type": "FailureTarget", "status": "True", "reason": reason}]);
    assert_eq!(is_late(failing("DeadlineExceeded")), Some(true));
    assert_eq!(is_late(failing("BackoffLimitExceeded")), Some(false));
    assert_eq!(is_late(json!([])), None);
    assert_eq!(
        is_late(json!([{"type": "Complete", "status": "True"}])),
        Some(false)
    );
    assert_eq!(
        hit_its_deadline(None, None, &[]),
        Some(false),
        "nobody can say any more"
    );
}

#[test]
fn a_job_that_failed_for_a_pod_that_is_being_ended_waits_for_the_pod() {
    let job: Job = serde_json::from_value(json!({"status": {"conditions": [
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}))
    .expect("a job");
    let lag = |phase: &str, state: Value| {
        let mut pod = Pod::clone(&early(state));
        pod.status.as_mut().expect("a status").phase = Some(phase.to_owned());
        let (cause, lag) = end_of(Some(&job), Some(&pod)).expect("an end");
        (matches!(cause, Cause::Lost(_)), lag)
    };
    let creating = || json!({"waiting": {"reason": "ContainerCreating"}});
    assert_eq!(lag("Pending", creating()), (true, LAST_WORDS));
    assert_eq!(lag("Running", json!({"running": {}})), (true, LAST_WORDS));
    assert_eq!(lag("Failed", creating()), (true, STATUS_LAG));
}

#[test]
fn an_init_container_that_the_deadline_ended_did_not_fail() {
    let ended = json!({"name": "istio-init", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 143, "reason": "Error"}}});
    let mut pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"},
        "status": {"phase": "Failed", "initContainerStatuses": [ended]}}))
    .expect("a pod");
    let job: Job = serde_json::from_value(json!({"status": {"conditions": [
        {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}))
    .expect("a job");
    let seen = |job: Option<&Job>, pod: &Pod| end_of(job, Some(pod)).expect("an end");
    assert!(
        matches!(seen(Some(&job), &pod), (Cause::NeverStarted(_), Duration::ZERO)),
        "it failed by itself"
    );
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
    assert!(
        matches!(seen(None, &pod), (Cause::NeverStarted(_), lag) if lag > Duration::ZERO),
        "its Job has yet to say why"
    );
    assert_eq!(seen(Some(&job), &pod).0, Cause::Deadline);
}
