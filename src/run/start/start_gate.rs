//! Two servers may create a Job for one agent at the same moment. A new Job's pod is held at a gate (its init container
//! waits for a file), which is opened only when a list that was made after the creation shows no other Job: of two
//! Jobs the later one is always seen by its maker, so never both go on.

use tokio::time::{Instant, sleep};

use crate::cluster::ClusterError;
use crate::cluster::verbs::retry_required;
use crate::run::context::RunContext;
use crate::run::failure::{Failure, GUARD_UNREACHABLE};
use crate::run::job::agent_pods::list_agent_pods;
use crate::run::job::at_work::{is_first, jobs_at_work, leaving_pods, retain_of_agent};
use crate::run::start::submit::CreatedJob;
use crate::run::timing::{ADMISSION_POD_LOOK, GATE_LEAVING_POD, GATE_LIST, GATE_LOOK, GATE_TIE};

/// Whether the Job may go on; if not, it must go.
///
/// # Errors
/// When nobody can tell.
pub(crate) async fn may_go_on(context: &RunContext, own: &CreatedJob) -> Result<bool, Failure> {
    let asked_at = Instant::now();
    loop {
        let jobs = retry_required(GATE_LIST, "list", "jobs", || {
            context.namespace.list_jobs(&context.selector)
        });
        let mut jobs = jobs.await.map_err(unknown)?;
        let is_other = |uid: &Option<String>| uid.as_deref() != Some(own.uid.as_str());
        // A Job that is kept by a sidecar, or has ended, is in nobody's way; a pod is whose Job has come and gone since
        // the admission.
        let pods = list_agent_pods(&context.namespace, &context.selector, GATE_LIST).await;
        let mut pods = pods.map_err(unknown)?;
        let instance = context.spec.run.instance.as_deref();
        retain_of_agent(&mut jobs, &mut pods, &context.log_folder, instance);
        let on = jobs_at_work(&jobs, &pods);
        let others_are_on = on.iter().any(|job| is_other(&job.metadata.uid));
        if others_are_on {
            if !is_first(&own.uid, &on) || asked_at.elapsed() >= GATE_TIE {
                return Ok(false);
            }
            sleep(GATE_LOOK).await;
        } else if leaving_pods(&jobs, &pods).is_empty() || asked_at.elapsed() >= GATE_LEAVING_POD {
            return Ok(true);
        } else {
            sleep(ADMISSION_POD_LOOK).await;
        }
    }
}

fn unknown(error: ClusterError) -> Failure {
    let message =
        format!("{error}. So it is not known whether another run of this agent was started at the same time");
    Failure::before_start(GUARD_UNREACHABLE, message)
}
