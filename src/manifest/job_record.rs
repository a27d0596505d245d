//! Reads from a Job what it says about its run. A server that did not make the Job needs nothing else to follow it.
//! Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::names::{END_PATH, LOG_PATH, OPENCODE_CONTAINER, PROMPT_CONTAINER, PROMPT_HASH, STDERR_PATH};
use super::paths::file_name;
use super::{FileNames, LOG_END, PROMPT_SECRET_VOLUME, nonce_argument, session_argument, task_argument};

/// What a Job says about its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Name of the Job.
    pub job_name: String,
    /// Uid of the Job.
    pub job_uid: String,
    /// Id of the run that it was made for.
    pub run_id: String,
    /// Its log, as the pod sees it.
    pub log: String,
    /// Its stderr, as the pod sees it.
    pub stderr: String,
    /// Names of its files.
    pub names: FileNames,
    /// Hash of its prompt.
    pub prompt_hash: Option<String>,
    /// The Secret that holds its prompt.
    pub secret: Option<String>,
    /// The nonce that its init container waits for.
    pub nonce: Option<String>,
    /// The task that it was made for.
    pub task: Option<String>,
    /// The session that it resumes.
    pub session: Option<String>,
    /// Its working directory.
    pub working_dir: Option<String>,
    /// Its own deadline in seconds.
    pub deadline: Option<u64>,
    /// It was made to stay (`retainJobs`).
    pub retained: bool,
}

impl JobRecord {
    /// Reads a Job; `None` when this adapter did not make it (the TypeScript adapter writes no paths).
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let spec = job.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let annotation = |key: &str| job.metadata.annotations.as_ref()?.get(key).cloned();
        let log = annotation(LOG_PATH)?;
        let run_id = file_name(&log).strip_suffix(LOG_END)?.to_owned();
        let stderr = annotation(STDERR_PATH)?;
        annotation(END_PATH)?;
        let names = FileNames::of_run(&run_id);
        let agent = container(&pod.containers, OPENCODE_CONTAINER);
        let command =
            |container: Option<&Container>| container.and_then(|it| it.command.clone()).unwrap_or_default();
        let init = container(
            pod.init_containers.as_deref().unwrap_or_default(),
            PROMPT_CONTAINER,
        );
        Some(Self {
            job_name: job.metadata.name.clone()?,
            job_uid: job.metadata.uid.clone()?,
            run_id,
            log,
            stderr,
            names,
            prompt_hash: annotation(PROMPT_HASH),
            secret: prompt_secret(pod),
            nonce: nonce_argument(&command(init)).map(str::to_owned),
            task: task_argument(&command(agent)),
            session: session_argument(&command(agent)).map(str::to_owned),
            working_dir: agent.and_then(|agent| agent.working_dir.clone()),
            deadline: spec
                .active_deadline_seconds
                .and_then(|seconds| u64::try_from(seconds).ok()),
            retained: spec.ttl_seconds_after_finished.is_none(),
        })
    }
}

fn container<'a>(containers: &'a [Container], name: &str) -> Option<&'a Container> {
    containers.iter().find(|container| container.name == name)
}

fn prompt_secret(pod: &PodSpec) -> Option<String> {
    let volumes = pod.volumes.as_deref().unwrap_or_default();
    let volume = volumes
        .iter()
        .find(|volume| volume.name == PROMPT_SECRET_VOLUME)?;
    volume.secret.as_ref()?.secret_name.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RenderRequest, RunSpec};
    use crate::manifest;
    use serde_json::json;

    #[test]
    fn a_rendered_job_can_be_read_back() {
        let request = json!({
            "runId": "R-1", "agent": {"id": "a-1", "companyId": "c-1"}, "prompt": "x".repeat(200_000), "nonce": "n-1",
            "runtime": {"sessionId": "ses_1"}, "config": {"timeoutSec": 5, "cwd": "/paperclip/w"},
            "selfPod": {"namespace": "ns", "image": "i", "pvcClaimName": "data"},
        });
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let spec = RunSpec::from_request(request).expect("a spec");
        let mut job = manifest::render(&spec).expect("a manifest").job;
        assert_eq!(
            JobRecord::of(&job),
            None,
            "a Job that was never created has no uid"
        );
        job.metadata.uid = Some("u-1".to_owned());
        let job_record = JobRecord::of(&job).expect("job_record");
        assert_eq!(
            (job_record.run_id.as_str(), job_record.job_uid.as_str()),
            ("R-1", "u-1")
        );
        assert_eq!(
            job_record.log,
            "/paperclip/instances/default/run-logs/c-1/a-1/R-1.pod.ndjson"
        );
        assert_eq!(
            job_record.names.all(),
            [
                "R-1.pod.nonce",
                "R-1.pod.ndjson",
                "R-1.pod.stderr.log",
                "R-1.pod.started",
                "R-1.pod.end.json",
                ".R-1.pod.end",
                "R-1.pod.holder",
                "R-1.pod.usage",
                ".R-1.pod.usage",
            ]
        );
        assert_eq!(job_record.nonce.as_deref(), Some("n-1"));
        assert_eq!(job_record.session.as_deref(), Some("ses_1"));
        assert_eq!(job_record.working_dir.as_deref(), Some("/paperclip/w"));
        assert_eq!(job_record.secret, Some(format!("{}-prompt", job_record.job_name)));
        assert_eq!((job_record.deadline, job_record.retained), (Some(5), false));
        assert_eq!(
            job_record.prompt_hash,
            Some(manifest::names::prompt_hash(&spec.run.prompt().text, "R-1"))
        );
    }
}
