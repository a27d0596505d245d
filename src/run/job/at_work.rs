//! Which Jobs of an agent are at work, and which of several comes first. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::cluster::conditions::{PodStage, is_of, job_end, stage};
use crate::manifest::names::OPENCODE_CONTAINER;

/// Jobs whose agent may be at work: without a terminal condition, and their agent's container has not ended (a
/// sidecar may keep such a Job for ever).
#[must_use]
pub fn jobs_at_work<'a>(jobs: &'a [Job], pods: &[Pod]) -> Vec<&'a Job> {
    let ended = |job: &Job| {
        let mut of_job = pods.iter().filter(|pod| is_of(pod, job));
        of_job.any(|pod| matches!(stage(pod, OPENCODE_CONTAINER), PodStage::Ended(_)))
    };
    let unfinished = jobs
        .iter()
        .filter(|job| job_end(job).is_none() && !is_leaving(job));
    unfinished.filter(|job| !ended(job)).collect()
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
    use serde_json::json;

    fn job(name: &str, made: &str) -> Job {
        serde_json::from_value(
            json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": made}}),
        )
        .expect("a job")
    }

    #[test]
    fn of_two_jobs_made_at_once_all_see_the_same_first() {
        let same = "2026-01-01T00:00:00Z";
        let (a, b, older) = (job("a", same), job("b", same), job("c", "2025-12-31T23:59:59Z"));
        assert!(is_first("uid-a", &[&b, &a]) && !is_first("uid-b", &[&a, &b]));
        assert!(is_first("uid-c", &[&a, &older]) && !is_first("uid-a", &[&a, &older]));
    }
}
