//! Which Jobs of an agent are at work, and which of several comes first. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::cluster::conditions::{PodStage, is_of, is_over, job_end, stage};
use crate::manifest::names::{LOG_PATH, OPENCODE_CONTAINER, is_of_another_instance};

/// Leaves only Jobs and pods of this very agent: labels hold its id in lower case and without some characters, so that
/// the selector finds those of another, too. `log_folder`: where the logs of the agent's runs are, as pods see it.
/// Jobs that name no log stay. What another installation's label has is not ours.
pub fn retain_of_agent(jobs: &mut Vec<Job>, pods: &mut Vec<Pod>, log_folder: &str, instance: Option<&str>) {
    jobs.retain(|job| !is_of_another_instance(job.metadata.labels.as_ref(), instance));
    pods.retain(|pod| !is_of_another_instance(pod.metadata.labels.as_ref(), instance));
    let is_of_another = |job: &Job| {
        let annotations = job.metadata.annotations.as_ref();
        let log = annotations.and_then(|annotations| annotations.get(LOG_PATH));
        log.is_some_and(|log| folder(log) != log_folder)
    };
    pods.retain(|pod| !jobs.iter().any(|job| is_of_another(job) && is_of(pod, job)));
    jobs.retain(|job| !is_of_another(job));
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Jobs whose agent may be at work: without a terminal condition, and their agent's container has not ended (a
/// sidecar may keep such a Job for ever).
#[must_use]
pub fn jobs_at_work<'a>(jobs: &'a [Job], pods: &[Pod]) -> Vec<&'a Job> {
    let ended = |job: &Job| {
        let of_job = pods.iter().filter(|pod| is_of(pod, job));
        let stages: Vec<PodStage> = of_job.map(|pod| stage(pod, OPENCODE_CONTAINER)).collect();
        let has_ended = stages.iter().any(|stage| matches!(stage, PodStage::Ended(_)));
        // A successor ends at once while the first pod, which has the agent, is still being ended.
        has_ended && !stages.contains(&PodStage::Running)
    };
    let unfinished = jobs
        .iter()
        .filter(|job| job_end(job).is_none() && !is_leaving(job));
    unfinished.filter(|job| !ended(job)).collect()
}

/// Pods that have not ended and whose Job is gone or going, and agents that are still at work although their Job has
/// failed: by a deadline, or because the successor of a pod that is being ended failed at once.
#[must_use]
pub fn leaving_pods<'a>(jobs: &[Job], pods: &'a [Pod]) -> Vec<&'a Pod> {
    let stays = |pod: &Pod| {
        let mut of_pod = jobs.iter().filter(|job| !is_leaving(job) && is_of(pod, job));
        of_pod.any(|job| job_end(job).is_none() || !is_at_work(pod))
    };
    pods.iter().filter(|pod| !is_over(pod) && !stays(pod)).collect()
}

fn is_at_work(pod: &Pod) -> bool {
    stage(pod, OPENCODE_CONTAINER) == PodStage::Running
}

/// Whether the agent's container was started: the init container before it has found the gate open.
#[must_use]
pub fn has_started(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref());
    let mut of_agent = statuses
        .unwrap_or_default()
        .iter()
        .filter(|status| status.name == OPENCODE_CONTAINER);
    let state = of_agent.find_map(|status| status.state.as_ref());
    state.is_some_and(|state| {
        let ended = state.terminated.as_ref();
        state.running.is_some() || ended.is_some_and(|ended| ended.started_at.is_some())
    })
}

/// Whether somebody deletes the pod, or its agent is not at work: it takes no longer than a grace period to go.
#[must_use]
pub fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || !is_at_work(pod)
}

/// Whether of several Jobs that were made at the same time this one stays: the order is the same for all who look.
#[must_use]
pub fn is_first(own_uid: &str, jobs: &[&Job]) -> bool {
    let first = jobs.iter().min_by_key(|job| age_key(job));
    first.is_some_and(|job| job.metadata.uid.as_deref() == Some(own_uid))
}

/// By when and under which name the Job was made: a smaller key comes first.
#[must_use]
pub fn age_key(job: &Job) -> (Option<Timestamp>, Option<String>) {
    let made = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (made, job.metadata.name.clone())
}

/// Whether the Job is being deleted.
#[must_use]
pub fn is_leaving(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::names::INSTANCE;
    use k8s_openapi::Metadata;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    fn job(name: &str, made: &str) -> Job {
        serde_json::from_value(
            json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": made}}),
        )
        .expect("a job")
    }

    fn names<T: Metadata<Ty = ObjectMeta>>(objects: &[T]) -> Vec<&str> {
        let named = objects
            .iter()
            .filter_map(|object| object.metadata().name.as_deref());
        named.collect()
    }

    #[test]
    fn an_agent_whose_id_differs_only_in_case_is_another() {
        let job = |name: &str, log: Option<&str>| {
            let mut job = job(name, "2026-01-01T00:00:00Z");
            job.metadata.annotations = log.map(|log| [(LOG_PATH.to_owned(), log.to_owned())].into());
            job
        };
        let pod = |of: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": of, "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": of, "uid": format!("uid-{of}")}]}}))
            .expect("a pod")
        };
        let mut jobs = vec![
            job("own", Some("/paperclip/logs/c/Ada/r.pod.ndjson")),
            job("other", Some("/paperclip/logs/c/ada/r.pod.ndjson")),
            job("old", None),
        ];
        let mut pods = vec![pod("own"), pod("other"), pod("gone")];
        retain_of_agent(&mut jobs, &mut pods, "/paperclip/logs/c/Ada", None);
        assert_eq!(names(&jobs), ["own", "old"]);
        assert_eq!(names(&pods), ["own", "gone"], "its pod is no pod without a Job");
    }

    #[test]
    fn another_installations_jobs_and_pods_are_not_this_agents() {
        let labelled = |name: &str, instance: Option<&str>| {
            let mut job = job(name, "2026-01-01T00:00:00Z");
            job.metadata.labels = instance.map(|value| [(INSTANCE.to_owned(), value.to_owned())].into());
            job
        };
        let mut jobs = vec![
            labelled("own", Some("a")),
            labelled("other", Some("b")),
            labelled("old", None),
        ];
        let mut pods: Vec<Pod> = jobs
            .iter()
            .map(|job| Pod {
                metadata: job.metadata.clone(),
                ..Pod::default()
            })
            .collect();
        retain_of_agent(&mut jobs, &mut pods, "/logs", Some("a"));
        assert_eq!((names(&jobs), pods.len()), (vec!["own", "old"], 2));
    }

    #[test]
    fn an_agent_has_started_when_its_own_container_has() {
        let started = |statuses: serde_json::Value| {
            let pod: Pod =
                serde_json::from_value(json!({"metadata": {}, "status": statuses})).expect("a pod");
            has_started(&pod)
        };
        let status = |name: &str, state: serde_json::Value| json!([{"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
        let of_agent = |state| json!({"containerStatuses": status(OPENCODE_CONTAINER, state)});
        assert!(started(of_agent(json!({"running": {}}))));
        let ended = json!({"terminated": {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z"}});
        assert!(started(of_agent(ended.clone())));
        assert!(
            !started(of_agent(json!({"terminated": {"exitCode": 137}}))),
            "nobody knows"
        );
        assert!(!started(of_agent(
            json!({"waiting": {"reason": "PodInitializing"}})
        )));
        assert!(!started(
            json!({"initContainerStatuses": status("prompt", ended)})
        ));
        assert!(!started(json!({})));
    }

    #[test]
    fn of_two_jobs_made_at_once_all_see_the_same_first() {
        let same = "2026-01-01T00:00:00Z";
        let (a, b, older) = (job("a", same), job("b", same), job("c", "2025-12-31T23:59:59Z"));
        assert!(is_first("uid-a", &[&b, &a]) && !is_first("uid-b", &[&a, &b]));
        assert!(is_first("uid-c", &[&a, &older]) && !is_first("uid-a", &[&a, &older]));
    }
}
