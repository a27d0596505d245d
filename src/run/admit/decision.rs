//! What the Jobs and pods of an agent mean for a run that wants to start. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::conditions::{PodStage, is_of, job_end, stage};
use crate::manifest::job_record::JobRecord;
use crate::manifest::names::{OPENCODE_CONTAINER, SESSION_ID, TASK_ID, optional_label_value};
use crate::manifest::task_word;
use crate::run::job::at_work::{age_key, is_ending, is_leaving, jobs_at_work, leaving_pods};
use crate::run::job::end::is_suspended;

/// The run that wants to start.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// Name of its Job.
    pub job_name: String,
    /// Where the logs of its agent's runs are, as pods see it.
    pub log_folder: String,
    /// The installation of its server.
    pub instance: Option<String>,
    /// Its task.
    pub task: Option<String>,
    /// The session that the host has stored.
    pub session: Option<String>,
    /// `reattachOrphanedJobs`, and this run has not harvested a Job already.
    pub may_adopt: bool,
    /// It has harvested a Job already: an ended one of its task is ignored.
    pub has_harvested: bool,
    /// Uids of ended Jobs that somebody has harvested.
    pub harvested: Vec<String>,
}

/// What to do first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A Job of this very run: its end is this run's, whether it runs or not.
    Resume(JobRecord),
    /// A running Job of the same task and session: its end comes first.
    Adopt(JobRecord),
    /// A Job of the same task has ended, and maybe nobody has harvested it.
    Harvest(JobRecord),
    /// Something else of the agent is on.
    Wait {
        /// Jobs that run.
        jobs: Vec<String>,
        /// Those of them that wait in a queue: they may, for as long as the queue wants.
        queued: Vec<String>,
        /// Pods that are being ended: they may still write.
        pods: Vec<String>,
        /// Somebody deletes each of these pods, or its agent is not at work: that takes no longer than a grace period.
        /// An agent whose Job is gone works on while nobody deletes its pod.
        pods_are_ending: bool,
        /// Those of the Jobs whose agent has not started: somebody has to give them up.
        unstarted: Vec<JobRecord>,
    },
    /// The agent of a Job has not started for longer than its server would have waited.
    Abandon(JobRecord),
    /// Nothing is on.
    Create,
}

/// Decides.
#[must_use]
pub fn decide(jobs: &[Job], pods: &[Pod], candidate: &Candidate) -> Decision {
    let own = jobs
        .iter()
        .find(|job| job.metadata.name.as_ref() == Some(&candidate.job_name));
    if let Some(job_record) = own.filter(|job| !is_leaving(job)).and_then(JobRecord::of) {
        return Decision::Resume(job_record);
    }
    let unfinished = || {
        jobs.iter()
            .filter(|job| job_end(job).is_none() && !is_leaving(job))
    };
    if candidate.may_adopt
        && let Some(job_record) = unfinished()
            .filter(|job| is_same_work(job, candidate))
            .find_map(JobRecord::of)
    {
        return Decision::Adopt(job_record);
    }
    let waited_for = jobs_at_work(jobs, pods);
    let leaving = leaving_pods(jobs, pods);
    if !waited_for.is_empty() || !leaving.is_empty() {
        let unstarted = waited_for.iter().filter(|job| is_unstarted(job, pods));
        return Decision::Wait {
            unstarted: unstarted.filter_map(|job| JobRecord::of(job)).collect(),
            queued: waited_for
                .iter()
                .filter(|job| is_suspended(job))
                .filter_map(|job| name_of(job))
                .collect(),
            jobs: waited_for.into_iter().filter_map(name_of).collect(),
            pods_are_ending: leaving.iter().all(|pod| is_ending(pod)),
            pods: leaving
                .into_iter()
                .filter_map(|pod| pod.metadata.name.clone())
                .collect(),
        };
    }
    let ended = jobs
        .iter()
        .filter(|job| !candidate.has_harvested && job_end(job).is_some() && !is_leaving(job));
    let is_harvested = |job: &Job| {
        job.metadata
            .uid
            .as_ref()
            .is_some_and(|uid| candidate.harvested.contains(uid))
    };
    let newest = ended
        .filter(|job| is_same_task(job, candidate) && !is_harvested(job))
        .max_by_key(|job| age_key(job));
    newest
        .and_then(JobRecord::of)
        .map_or(Decision::Create, Decision::Harvest)
}

/// Whether no pod of the Job shows an agent that runs, and no queue holds it back.
fn is_unstarted(job: &Job, pods: &[Pod]) -> bool {
    let mut of_job = pods.iter().filter(|pod| is_of(pod, job));
    !is_suspended(job)
        && of_job.all(|pod| {
            let stage = stage(pod, OPENCODE_CONTAINER);
            !matches!(
                stage,
                PodStage::Running | PodStage::Ended(_) | PodStage::EndUnknown { .. }
            )
        })
}

fn name_of(job: &Job) -> Option<String> {
    job.metadata.name.clone()
}

/// Without a task nobody can tell whose work a Job does. Labels do not tell ids apart that differ in case only; what the
/// Job's command says does.
fn is_same_task(job: &Job, candidate: &Candidate) -> bool {
    let task = optional_label_value(candidate.task.as_deref());
    let told = || JobRecord::of(job).and_then(|job_record| job_record.task);
    task.is_some()
        && label(job, TASK_ID) == task.as_deref()
        && told().is_none_or(|told| Some(told) == task_word(candidate.task.as_deref()))
}

fn is_same_work(job: &Job, candidate: &Candidate) -> bool {
    let session = optional_label_value(candidate.session.as_deref());
    let resumed = || JobRecord::of(job).and_then(|job_record| job_record.session);
    is_same_task(job, candidate)
        && label(job, SESSION_ID) == session.as_deref()
        && resumed().is_none_or(|id| {
            let mut stored = candidate.session.iter();
            stored.all(|stored| *stored == id || !stored.eq_ignore_ascii_case(&id))
        })
}

fn label<'a>(job: &'a Job, key: &str) -> Option<&'a str> {
    job.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(name: &str, more: Value) -> Job {
        let mut job = json!({
            "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"paperclip.io/task-id": "t-1"},
                "annotations": {"paperclip.io/pod-log-path": format!("/paperclip/{name}.pod.ndjson"),
                    "paperclip.io/pod-stderr-path": "/paperclip/e", "paperclip.io/pod-end-path": "/paperclip/r"}},
            "spec": {"template": {"spec": {"containers": []}}},
        });
        merge(&mut job, &more);
        serde_json::from_value(job).expect("a job")
    }

    fn merge(into: &mut Value, more: &Value) {
        match (into, more) {
            (Value::Object(into), Value::Object(more)) => {
                for (key, value) in more {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
            (into, more) => into.clone_from(more),
        }
    }

    fn pod(job: &str, status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": format!("{job}-pod"), "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": format!("uid-{job}")}]}, "status": status}))
        .expect("a pod")
    }

    fn candidate() -> Candidate {
        Candidate {
            job_name: "candidate".to_owned(),
            task: Some("T-1".to_owned()),
            may_adopt: true,
            ..Candidate::default()
        }
    }

    /// The decision as a word and what it is about.
    fn word(jobs: &[Job], pods: &[Pod], candidate: &Candidate) -> String {
        match decide(jobs, pods, candidate) {
            Decision::Resume(job_record) => format!("own {}", job_record.job_name),
            Decision::Adopt(job_record) => format!("reattach {}", job_record.job_name),
            Decision::Harvest(job_record) => format!("ended {}", job_record.job_name),
            Decision::Wait { jobs, pods, .. } => format!("wait {}", [jobs, pods].concat().join(",")),
            Decision::Abandon(job_record) => format!("stalled {}", job_record.job_name),
            Decision::Create => "free".to_owned(),
        }
    }

    #[test]
    fn a_task_or_a_session_whose_id_differs_only_in_case_is_another() {
        let of = |task: &str, session: Option<&str>| {
            let mut command = vec![String::new(); 13];
            command[6] = format!(r#""cluster":"c","task":"{task}","cwd":"/$$HOME""#);
            command.extend(session.iter().flat_map(|id| ["--session", id]).map(str::to_owned));
            let containers = json!([{"name": "opencode", "command": command}]);
            let mut made = job(
                "own",
                json!({"spec": {"template": {"spec": {"containers": containers}}}}),
            );
            if let (Some(id), Some(labels)) = (session, &mut made.metadata.labels) {
                labels.insert(SESSION_ID.to_owned(), id.to_lowercase());
            }
            made
        };
        let with = |session: Option<&str>| Candidate {
            session: session.map(str::to_owned),
            ..candidate()
        };
        let word = |job: Job, session| word(&[job], &[], &with(session));
        assert_eq!(word(of("T-1", None), None), "reattach own");
        assert_eq!(word(of("t-1", None), None), "wait own");
        assert_eq!(word(of("T-1", Some("ses_a")), Some("ses_a")), "reattach own");
        assert_eq!(word(of("T-1", Some("ses_A")), Some("ses_a")), "wait own");
        let mut ended = of("t-1", None);
        ended.status =
            serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).ok();
        assert_eq!(word(ended, None), "free");
    }

    #[test]
    fn the_orphan_matrix() {
        let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        let task = |task: &str| json!({"metadata": {"labels": {"paperclip.io/task-id": task}}});
        let session = json!({"metadata": {"labels": {"paperclip.io/session-id": "ses_1"}}});
        let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}});
        let foreign = json!({"metadata": {"annotations": null}});
        let off = Candidate {
            may_adopt: false,
            ..candidate()
        };
        let again = Candidate {
            may_adopt: false,
            has_harvested: true,
            ..candidate()
        };
        let no_task = Candidate {
            task: None,
            ..candidate()
        };
        let resuming = Candidate {
            session: Some("ses_1".to_owned()),
            ..candidate()
        };
        let cases: [(&str, Value, &Candidate, &str); 15] = [
            ("candidate", json!({}), &candidate(), "own candidate"),
            ("candidate", complete.clone(), &candidate(), "own candidate"),
            ("candidate", json!({}), &again, "own candidate"),
            ("a", json!({}), &candidate(), "reattach a"),
            ("a", json!({}), &off, "wait a"),
            ("a", json!({}), &again, "wait a"),
            ("a", json!({}), &no_task, "wait a"),
            ("a", task("other"), &candidate(), "wait a"),
            ("a", session.clone(), &candidate(), "wait a"),
            ("a", json!({}), &resuming, "wait a"),
            ("a", session, &resuming, "reattach a"),
            ("a", foreign, &candidate(), "wait a"),
            ("a", complete.clone(), &candidate(), "ended a"),
            ("a", complete.clone(), &again, "free"),
            ("a", leaving, &candidate(), "free"),
        ];
        for (name, more, candidate, expected) in cases {
            assert_eq!(
                word(&[job(name, more.clone())], &[], candidate),
                expected,
                "{name} {more}"
            );
        }
        let other = job("b", complete);
        assert_eq!(word(&[other], &[], &no_task), "free");
    }

    #[test]
    fn the_same_task_comes_before_waiting_for_another() {
        let other = job(
            "a",
            json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
        );
        assert_eq!(
            word(&[other, job("b", json!({}))], &[], &candidate()),
            "reattach b"
        );
    }

    #[test]
    fn pods_without_a_job_are_waited_for_until_they_have_ended() {
        let running = pod("gone", json!({"phase": "Running"}));
        assert_eq!(
            word(&[], std::slice::from_ref(&running), &candidate()),
            "wait gone-pod"
        );
        assert_eq!(
            word(&[], &[pod("gone", json!({"phase": "Failed"}))], &candidate()),
            "free"
        );
        let leaving = job(
            "gone",
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}}),
        );
        assert_eq!(word(&[leaving], &[running], &candidate()), "wait gone-pod");
    }

    #[test]
    fn an_agent_without_a_job_works_on_until_somebody_deletes_its_pod() {
        let running = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"running": {}}}]});
        let mut pod = pod("gone", running);
        let is_ending = |pod: &Pod| match decide(&[], std::slice::from_ref(pod), &candidate()) {
            Decision::Wait { pods_are_ending, .. } => pods_are_ending,
            other => panic!("{other:?}"),
        };
        assert!(!is_ending(&pod));
        pod.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:09Z")).expect("a time");
        assert!(is_ending(&pod));
        assert!(
            is_ending(&self::pod("gone", json!({"phase": "Pending"}))),
            "its gate stays shut"
        );
    }

    #[test]
    fn an_agent_that_works_on_after_its_job_has_failed_is_waited_for() {
        let failed = json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}},
            "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
        let with = |state: Value| {
            let status = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
                "ready": true, "restartCount": 0, "state": state}]});
            word(&[job("a", failed.clone())], &[pod("a", status)], &candidate())
        };
        assert_eq!(with(json!({"running": {}})), "wait a-pod");
        assert_eq!(with(json!({"terminated": {"exitCode": 143}})), "free");
    }

    #[test]
    fn a_sidecar_does_not_keep_an_agent_busy() {
        let ended = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
            "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}]});
        let other = job(
            "a",
            json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
        );
        assert_eq!(word(&[other], &[pod("a", ended)], &candidate()), "free");
    }

    #[test]
    fn a_job_without_a_running_agent_is_named_as_such() {
        let other = job(
            "a",
            json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
        );
        let mut queued = other.clone();
        queued.spec.as_mut().expect("a spec").suspend = Some(true);
        let Decision::Wait {
            unstarted, queued, ..
        } = decide(&[queued], &[], &candidate())
        else {
            panic!("it is waited for");
        };
        assert_eq!(
            (unstarted.len(), queued),
            (0, vec!["a".to_owned()]),
            "its queue holds it back"
        );
        let unstarted = |pods: &[Pod]| match decide(std::slice::from_ref(&other), pods, &candidate()) {
            Decision::Wait { unstarted, .. } => unstarted.len(),
            _ => usize::MAX,
        };
        let running = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"running": {}}}]});
        assert_eq!(unstarted(&[]), 1, "no pod was made");
        assert_eq!(unstarted(&[pod("a", json!({"phase": "Pending"}))]), 1);
        assert_eq!(unstarted(&[pod("a", running)]), 0);
    }
}
