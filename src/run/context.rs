//! Where a run happens: the cluster, the namespace, the shared volume, and what the server's own pod says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::verbs::Namespace;
use crate::cluster::{Cluster, ClusterError, View, host_pod};
use crate::config::session::Resume;
use crate::config::{AgentDbMode, Run, RunSpec, Runtime};
use crate::manifest::names;
use crate::manifest::names::instance;
use crate::manifest::{FileNames, LogPaths, task_word};
use crate::run::failure::{
    Failure, GUARD_UNREACHABLE, INVALID_ID, SELF_POD_FAILED, SHARED_VOLUME_MISSING, cancelled,
};
use crate::run::job::handle::{JobHandle, Limits};
use crate::run::report::{Harvest, HarvestedSession};
use crate::run::request::{RunRequest, of_config};
use crate::run::seal::Seal;
use crate::run::server::Server;
use crate::run::stop::Stop;
use crate::run::timing::{Budget, CONNECT};
use crate::run::volume::blocking::{DataRoot, SingleFlight};
use crate::run::volume::folder::SharedVolume;
use crate::tail::source::RunFiles;

/// Where a run happens, known before it has a Job.
pub(crate) struct RunContext {
    pub(crate) server: Arc<Server>,
    pub(crate) spec: RunSpec,
    pub(crate) cluster: Cluster,
    pub(crate) namespace: Namespace,
    pub(crate) view: Arc<View>,
    pub(crate) selector: String,
    /// Where the logs of the agent's runs are, as pods see it.
    pub(crate) log_folder: String,
    pub(crate) volume: SharedVolume,
    /// This run harvested a Job already: an ended one of its task is ignored.
    pub(crate) has_harvested: bool,
    /// When `guardWaitSec` is over; `None` waits without limit.
    pub(crate) admit_by: Option<Instant>,
    pub(crate) stop: Stop,
    /// Seals what this server leaves on the volume for others.
    pub(crate) seal: Seal,
    /// What is done in a plainer way than it could be.
    pub(crate) plainer: Option<&'static str>,
}

impl RunContext {
    /// A client, what the server's own pod says, and the checks that need both.
    pub(crate) async fn reach(
        server: Arc<Server>,
        mut request: RunRequest,
        stop: Stop,
    ) -> Result<Self, Failure> {
        let connected = tokio::time::timeout(CONNECT, connect(&server, &mut request));
        let connected = tokio::select! {
            connected = connected => connected,
            reason = stop.asked() => return Err(cancelled(&reason)),
        };
        let (cluster, namespace, seal, plainer) = connected.unwrap_or_else(|_| {
            let message = format!(
                "Cluster not reached: it did not answer within {} s. Look at the credential plugin, DNS and the \
                 network",
                CONNECT.as_secs()
            );
            Err(Failure::before_start(GUARD_UNREACHABLE, message))
        })?;
        let (data_root, owner, mut spec) = (request.data_root(), request.owner()?, request.spec);
        drop_lost_session(&mut spec);
        if spec.own_pod.pvc_claim_name.is_none() {
            return Err(Failure::before_start(
                SHARED_VOLUME_MISSING,
                "No shared volume: the server's pod mounts no PersistentVolumeClaim at /paperclip, so that a Job could \
                 not share its log with it. Mount a ReadWriteMany claim at /paperclip in the container `paperclip`",
            ));
        }
        let selector = names::agent_selector(&spec.run.agent_id).ok_or_else(|| {
            let message = format!("Invalid agentId for a label: {}", spec.run.agent_id);
            Failure::of_input(INVALID_ID, message)
        })?;
        let run = &spec.run;
        let paths = LogPaths::new(&run.company_id, &run.agent_id, &run.id)
            .map_err(|error| Failure::of_input(INVALID_ID, error.to_string()))?;
        let view = server.views.of(&cluster, &namespace, &names::adapter_selector());
        Ok(Self {
            volume: SharedVolume {
                root: DataRoot {
                    path: data_root,
                    volume: server.volume.clone(),
                },
                owner,
                budget: Budget::of(&stop),
                held: Arc::default(),
            },
            admit_by: (spec.settings.guard_wait_sec > 0)
                .then(|| Instant::now() + Duration::from_secs(spec.settings.guard_wait_sec)),
            has_harvested: false,
            spec,
            cluster,
            namespace,
            view,
            selector,
            log_folder: paths.dir,
            stop,
            seal,
            plainer,
            server,
        })
    }

    /// Goes on from the session of the earlier runs that were harvested.
    pub(crate) fn resume_from(&mut self, harvest: &Harvest) {
        self.has_harvested = true;
        let (session_id, session_params) = match harvest.session() {
            Some(HarvestedSession::Known { id, params }) => (Some(id), Value::Object(params)),
            Some(HarvestedSession::Cleared) => (None, Value::Null),
            None => return,
        };
        let runtime = Runtime {
            session_id,
            session_params,
        };
        self.spec.run.resume_from(&runtime, &self.spec.settings);
        drop_lost_session(&mut self.spec);
    }

    /// The handle to a Job of this run.
    pub(crate) fn handle(&self, job: JobIdentity, spec: &RunSpec) -> JobHandle {
        let now = Instant::now();
        let after = |start: Instant, seconds: Option<u64>| {
            seconds.map(|seconds| start + Duration::from_secs(seconds))
        };
        JobHandle {
            namespace: self.namespace.clone(),
            clock: self.server.clock.clone(),
            view: self.view.clone(),
            status: self.view.subscribe(&job.name),
            run_id: spec.run.id.clone(),
            job_name: job.name,
            job_uid: job.uid,
            secret: job.secret,
            warnings: job.warnings,
            files: job.files,
            names: job.names,
            owner: self.volume.owner,
            limits: Limits {
                job_deadline: match job.asked_for {
                    Some(asked_for) => after(asked_for, spec.settings.timeout_sec),
                    // Its condition is asked for whenever it may have one.
                    None => spec.settings.timeout_sec.map(|_| now),
                },
                deadline: after(
                    now,
                    spec.settings
                        .timeout_sec
                        .map(|limit| limit + spec.settings.grace_sec),
                ),
                schedule: Duration::from_secs(spec.settings.schedule_timeout_sec),
                start: Duration::from_secs(spec.settings.start_timeout_sec),
                outage: Duration::from_secs(spec.settings.outage_timeout_sec),
                silence: Some(spec.settings.silence_timeout_sec)
                    .filter(|limit| *limit > 0)
                    .map(Duration::from_secs),
            },
            stop: self.stop.clone(),
            seal: self.seal.clone(),
            volume: self.server.volume.clone(),
            single_flight: SingleFlight::default(),
            holder: job.holder,
            log_by_server: job.log_by_server,
            without_job: job.without_job,
            has_task: task_word(spec.run.task_id.as_deref()).is_some(),
        }
    }
}

/// The task whose runs share a database on the shared volume; none where no later run would find it.
pub(crate) fn database_task(run: &Run) -> Option<String> {
    names::optional_label_value(run.task_id.as_deref())
}

/// opencode does not know a session whose database ended with its pod, and a run that resumes it fails.
fn drop_lost_session(spec: &mut RunSpec) {
    let Some(id) = &spec.run.resume.session_id else {
        return;
    };
    let reason = match spec.settings.agent_db_mode {
        AgentDbMode::Ephemeral => "agentDbMode is ephemeral",
        AgentDbMode::WorkspaceSubpath if database_task(&spec.run).is_none() => "its run had no task",
        AgentDbMode::WorkspaceSubpath | AgentDbMode::DedicatedPvc => return,
    };
    let note = format!("Session {id} was not kept ({reason}): starting a fresh session.");
    spec.run.resume = Resume {
        session_id: None,
        note: Some(note),
    };
}

/// What makes a Job a run.
pub(crate) struct JobIdentity {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) secret: Option<String>,
    /// What the API server warned of when this server made the Job.
    pub(crate) warnings: Vec<String>,
    pub(crate) files: RunFiles,
    pub(crate) names: FileNames,
    /// When this server asked for the Job; unknown of an adopted one.
    pub(crate) asked_for: Option<Instant>,
    pub(crate) holder: Option<String>,
    /// A server made the log, before the Job.
    pub(crate) log_by_server: bool,
    pub(crate) without_job: bool,
}

/// An API server that is away is one matter, and an account, a kubeconfig or a pod's name that is wrong another: only
/// the second is a person's to set right.
fn not_connected(error: &ClusterError) -> Failure {
    let is_away = error.is_transient() && !matches!(error, ClusterError::Credentials { .. });
    let code = if is_away {
        GUARD_UNREACHABLE
    } else {
        SELF_POD_FAILED
    };
    Failure::before_start(code, error.to_string())
}

type Connected = (Cluster, Namespace, Seal, Option<&'static str>);

async fn connect(server: &Server, request: &mut RunRequest) -> Result<Connected, Failure> {
    let cluster = server
        .connect
        .to(request.access())
        .await
        .map_err(|error| not_connected(&error))?;
    let own_namespace = request
        .environment
        .namespace
        .clone()
        .filter(|name| !name.is_empty());
    let own_namespace = own_namespace.unwrap_or_else(|| cluster.default_namespace.clone());
    let own_pod = request.environment.own_pod()?;
    let (self_pod, plainer) = Box::pin(host_pod::introspect(&cluster, &own_namespace, own_pod))
        .await
        .map_err(|error| not_connected(&error))?;
    let spec = &mut request.spec;
    *spec = spec.clone().in_pod(self_pod).map_err(of_config)?;
    spec.run.instance = Some(instance(
        &spec.own_pod,
        request.environment.instance_id.as_deref(),
    ));
    spec.run.cluster = server.identities.of_namespace(&cluster, spec.namespace()).await;
    let namespace = Namespace::new(&cluster, spec.namespace());
    let seal = Box::pin(server.seals.of_namespace(&cluster, &namespace))
        .await
        .map_err(|error| not_connected(&error))?;
    Ok((cluster, namespace, seal, plainer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::RenderRequest;

    #[test]
    fn a_session_is_resumed_only_where_its_database_outlives_the_pod() {
        let resume = |config: Value, context: Value| {
            let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "config": config,
                "context": context, "runtime": {"sessionId": "ses_1"}});
            let request = RenderRequest::from_json(&request.to_string()).expect("valid JSON");
            let mut spec = RunSpec::from_request(request).expect("valid");
            drop_lost_session(&mut spec);
            spec.run.resume
        };
        let (task, none) = (json!({"issueId": "task-1"}), json!({}));
        let (class, ephemeral) = (
            json!({"agentDbStorageClass": "s"}),
            json!({"agentDbMode": "ephemeral"}),
        );
        for (config, context) in [(&none, &task), (&class, &task), (&class, &none)] {
            let kept = resume(config.clone(), context.clone());
            assert_eq!(
                (kept.session_id.as_deref(), kept.note),
                (Some("ses_1"), None),
                "{config} {context}"
            );
        }
        let blank = json!({"issueId": " - "});
        for (config, context) in [
            (&none, &none),
            (&none, &blank),
            (&ephemeral, &task),
            (&ephemeral, &none),
        ] {
            let lost = resume(config.clone(), context.clone());
            assert_eq!(lost.session_id, None, "{config} {context}");
            assert!(
                lost.note.is_some_and(|note| note.contains("ses_1")),
                "{config} {context}"
            );
        }
        let off = resume(
            json!({"agentDbMode": "ephemeral", "resumeLastSession": false}),
            none,
        );
        assert_eq!(off, Resume::default(), "nothing was to be resumed");
    }

    #[test]
    fn an_api_server_that_is_away_is_not_a_wrong_account() {
        let api = |code: u16| ClusterError::Api {
            verb: "get",
            on: "pod/p".to_owned(),
            code,
            reason: String::new(),
            message: String::new(),
        };
        let code = |error: ClusterError| not_connected(&error).code;
        for error in [api(429), api(500), api(503)] {
            assert_eq!(code(error), GUARD_UNREACHABLE);
        }
        for error in [
            api(401),
            api(403),
            ClusterError::Config("no kubeconfig".to_owned()),
        ] {
            assert_eq!(code(error), SELF_POD_FAILED);
        }
    }
}
