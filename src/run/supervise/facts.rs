//! What one look at a run shows. All input and output of a look is here; what it means is `watch`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::cluster::subscribers::ViewStatus;
use crate::run::job::handle::{Answer, JobHandle};
use crate::run::supervise::deliver::OutputState;
use crate::tail::EndRecord;

/// What the next look is to do beside reading the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Look for the end record on the volume.
    Record,
    /// Ask the API server whether the Job is gone.
    JobIsGone,
    /// Look for the start record on the volume.
    HasStarted,
    /// Whether the log can be read.
    Log,
    /// Ask the API server for the Job's pods.
    Pods,
    /// Ask the API server for the pod of this name.
    Pod(String),
    /// Delete the Job, within this time.
    DeleteJob(Duration),
    /// Wait until no pod of the Job, and not the one of this name, runs the agent, for at most this time.
    PodsGone(Option<String>, Duration),
}

/// What was answered to the questions of this look; `None` where nothing was asked or nobody could say.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Whether the Job is gone.
    pub job_is_gone: Option<bool>,
    /// Whether a pod took the start record.
    pub has_started: Option<bool>,
    /// Whether the log is there, and a server can open it.
    pub log_can_be_read: Option<bool>,
    /// The Job's pods.
    pub pods: Option<Vec<Arc<Pod>>>,
    /// The pod that was asked for by name.
    pub pod: Option<Answer<Arc<Pod>>>,
    /// Whether the Job was deleted, or why not.
    pub deleted: Option<Result<(), String>>,
    /// Whether the Job's pods are verifiably gone.
    pub pods_gone: Option<bool>,
}

/// Everything that one look shows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it was looked.
    pub now: Instant,
    /// When the run was asked to stop, if it was.
    pub cancelled_at: Option<Instant>,
    /// The run's Job in the view.
    pub job: Option<Arc<Job>>,
    /// Its pods in the view.
    pub pods: Vec<Arc<Pod>>,
    /// The Job as it last was, when it was deleted.
    pub deleted_job: Option<Arc<Job>>,
    /// Pods as they last were, when they were deleted.
    pub deleted_pods: Vec<Arc<Pod>>,
    /// How the view is doing.
    pub view: ViewStatus,
    /// The end record on the volume, when it was looked for and is there.
    pub record: Option<EndRecord>,
    /// The log and stderr were read to their end.
    pub log_is_over: bool,
    /// opencode repeats itself without getting on.
    pub is_in_circle: bool,
    /// When opencode printed last, while this server listened.
    pub last_output: Option<Instant>,
    /// Answers to what was asked.
    pub answers: Answers,
}

/// Looks at the run once. Each question takes no longer than its limit in `timing`, and less after a cancel.
pub(crate) async fn collect(handle: &JobHandle, ask: &[Ask], view: ViewStatus, output: OutputState) -> Facts {
    let mut answers = Answers::default();
    let mut record = None;
    for ask in ask {
        match ask {
            Ask::Record => record = handle.record().await,
            Ask::JobIsGone => answers.job_is_gone = handle.job_gone().await,
            Ask::Log => answers.log_can_be_read = Some(handle.log_can_be_read().await),
            Ask::HasStarted => answers.has_started = handle.started().await,
            Ask::Pods => answers.pods = handle.list_pods().await,
            Ask::Pod(name) => answers.pod = handle.pod(name).await,
            Ask::DeleteJob(limit) => {
                let deleted = handle.delete_job(handle.budget().at_most(*limit)).await;
                answers.deleted = Some(deleted.map_err(|error| error.to_string()));
            }
            Ask::PodsGone(bound, limit) => {
                let limit = handle.budget().at_most(*limit);
                answers.pods_gone = Some(handle.pods_gone(bound.as_deref(), limit).await);
            }
        }
    }
    Facts {
        now: Instant::now(),
        cancelled_at: handle.stop.asked_at(),
        job: handle.job(),
        pods: handle.pods(),
        deleted_job: handle.last_known_job(),
        deleted_pods: handle.last_known_pods(),
        view,
        record,
        log_is_over: output.is_over,
        is_in_circle: output.is_in_circle,
        last_output: output.last_output,
        answers,
    }
}
