//! What a start has made so far. Whatever ends the start (a failure, a stop, another server that was first) undoes all
//! of it in reverse, in one place.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use crate::cluster::verbs::{Namespace, call, retry_transient};
use crate::run::context::RunContext;
use crate::run::failure::{CANCELLED, Failure};
use crate::run::job::removal::delete_later;
use crate::run::timing::{Budget, GATE_LOOK, WITHDRAW};
use crate::run::volume::folder::{Gate, RunFolder};

/// See the module.
#[derive(Default)]
pub struct Ledger(Mutex<Made>);

/// Written down before it is made: the start may be dropped while it waits for the answer.
#[derive(Default)]
struct Made {
    folder: Option<RunFolder>,
    job: Option<MadeJob>,
    /// What this server has made of the gate.
    gate: Option<Gate>,
}

#[derive(Debug, Clone)]
struct MadeJob {
    name: String,
    /// Known once the API server has answered. Its name is this run's own, so it may be removed by it.
    uid: Option<String>,
    /// Its pod waits at a gate.
    is_gated: bool,
}

impl Ledger {
    pub(crate) fn folder(&self, folder: &RunFolder) {
        self.made().folder = Some(folder.clone());
    }

    pub(super) fn job(&self, name: &str, is_gated: bool) {
        self.made().job = Some(MadeJob {
            name: name.to_owned(),
            uid: None,
            is_gated,
        });
    }

    /// The API server has made the Job.
    pub(super) fn job_has_uid(&self, uid: &str) {
        if let Some(job) = &mut self.made().job {
            job.uid = Some(uid.to_owned());
        }
    }

    /// The API server has refused it.
    pub(super) fn job_was_refused(&self) {
        self.made().job = None;
    }

    /// What this server makes of the pod's gate.
    pub(super) fn gate_is(&self, gate: Gate) {
        self.made().gate = Some(gate);
    }

    /// Whether the agent may have started: then the start is over, and a stop is the matter of whoever follows the Job.
    pub(crate) fn gate_is_open(&self) -> bool {
        self.made().gate == Some(Gate::Open)
    }

    /// Undoes all of it. Behind a closed gate no agent starts, whatever became of the pod; a cancel promises that the
    /// pod is gone. What another server has adopted meanwhile is its own, and only a cancel ends it.
    pub(crate) async fn undo(&self, context: &RunContext, failure: Failure) -> Failure {
        let made = std::mem::take(&mut *self.made());
        let mut nothing_started = true;
        let mut gate = made.gate;
        let mut left_behind = None;
        if let Some(job) = &made.job {
            if let (None, true, Some(folder)) = (gate, job.is_gated, &made.folder) {
                let closed = folder.close_gate().await;
                gate = closed
                    .ok()
                    .map(|closed| if closed { Gate::Closed } else { Gate::Open });
            }
            let is_cancel = failure.code == CANCELLED;
            let is_adopted = made.gate.is_none() && gate == Some(Gate::Open);
            if is_adopted && !is_cancel {
                return Failure {
                    nothing_started: false,
                    ..failure
                };
            }
            let withdrawn = withdraw(&context.namespace, job, &Budget::of(&context.stop)).await;
            let is_gone = withdrawn == Some(true);
            nothing_started = match gate {
                Some(Gate::Closed) => is_gone || !is_cancel,
                _ => is_gone && was_not_started(made.folder.as_ref()).await,
            };
            if is_adopted {
                return Failure {
                    nothing_started,
                    ..failure
                };
            }
            // Its name is enough after a cancel, since the run is not repeated then.
            let is_known = job.uid.is_some() || is_cancel;
            if withdrawn.is_none() && gate == Some(Gate::Closed) && is_known {
                left_behind = Some((job.name.clone(), job.uid.clone()));
            }
        }
        if let Some(folder) = &made.folder {
            // A Job that is still there must find its gate closed.
            match left_behind {
                Some((name, uid)) => {
                    let folder = folder.clone();
                    let then = async move { folder.remove().await };
                    delete_later(context.namespace.clone(), name, uid, then);
                }
                None => folder.remove().await,
            }
        }
        Failure {
            nothing_started: failure.nothing_started && nothing_started,
            ..failure
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the volume says that no pod took the start record, and that nobody has taken the files away since.
async fn was_not_started(folder: Option<&RunFolder>) -> bool {
    match folder {
        Some(folder) => folder.was_let_start().await.is_ok_and(|started| !started),
        None => true,
    }
}

/// Deletes the Job and waits until its pods are gone; true when they verifiably are, and nothing where the Job could
/// not be deleted. It is waited for as well, for one of its name may be made again.
async fn withdraw(namespace: &Namespace, job: &MadeJob, budget: &Budget) -> Option<bool> {
    let until = Instant::now() + budget.at_most(WITHDRAW);
    let left = || until.saturating_duration_since(Instant::now());
    let deleted = namespace.delete_job(&job.name, job.uid.as_deref(), left());
    deleted.await.ok()?;
    let mut pods_are_gone = false;
    loop {
        if !pods_are_gone {
            let pods = retry_transient(left(), "list", "pods", || namespace.pods_of(&job.name)).await;
            pods_are_gone = pods.is_ok_and(|pods| pods.is_empty());
        }
        if (pods_are_gone && !is_there(namespace, job).await) || Instant::now() >= until {
            return Some(pods_are_gone);
        }
        sleep(GATE_LOOK).await;
    }
}

/// Whether the API server still has this very Job; what it may not be asked for is not waited for.
async fn is_there(namespace: &Namespace, job: &MadeJob) -> bool {
    let on = format!("job/{}", job.name);
    match call("get", &on, namespace.jobs.get(&job.name)).await {
        Ok(found) => job.uid.is_none() || found.metadata.uid == job.uid,
        Err(error) => !error.is_not_found() && !error.is_forbidden(),
    }
}
