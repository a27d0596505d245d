//! An earlier run of the task that has ended: its report is taken into this run's, and the host reads one line of it.

use std::sync::Arc;

use serde_json::json;

use crate::run::attached::AttachedJob;
use crate::run::context::RunContext;
use crate::run::host::SilentHost;
use crate::run::host::log::HostLog;
use crate::run::report::{Outcome, Report};
use crate::run::supervise::{Supervised, supervise};

/// Harvests a run that has ended, and says in one line what came of it.
pub(crate) async fn harvest_silently(
    context: &RunContext,
    run: AttachedJob,
    host_log: &HostLog,
) -> Supervised {
    let name = run.handle.job_name.clone();
    let (silent, _) = HostLog::new(Arc::new(SilentHost), context.stop.clone());
    let run_id = run.handle.run_id.clone();
    let supervised = Box::pin(supervise(&run, &silent)).await;
    drop(run);
    if supervised.is_reported {
        context.server.reported.note(&run_id);
    }
    // What another server has reported meanwhile is not said again, and its files were gone before they were read.
    if !supervised.is_reported_by_another {
        host_log.status(summary(&name, &supervised.report)).await;
    }
    supervised
}

/// A Job that another server made is followed from now on.
pub(crate) fn say_taken_over(run: &AttachedJob, host_log: &HostLog) {
    let (job, run_id) = (&run.handle.job_name, &run.handle.run_id);
    host_log.event(json!({
        "eventType": "opencode_k8s.reattached",
        "stream": "system",
        "level": "info",
        "message": format!("Job {job} was taken over"),
        "payload": {"job": job, "runId": run_id},
    }));
}

/// Bytes of what an earlier run said: the host stores each line, and shows it.
const LONGEST_SUMMARY: usize = 4 << 10;

/// One line about an earlier run whose end no result has reported.
fn summary(job: &str, report: &Report) -> String {
    let (session, mut said) = match &report.outcome {
        Outcome::Judged(result) => (
            result.session_id.as_deref(),
            match &result.error_message {
                Some(error) => format!("it failed: {error}"),
                None => format!("it said: {}", result.summary),
            },
        ),
        Outcome::Failed(failure) => (None, format!("it failed: {}", failure.message)),
    };
    if said.len() > LONGEST_SUMMARY {
        let whole = (0..=LONGEST_SUMMARY).rev().find(|at| said.is_char_boundary(*at));
        said.truncate(whole.unwrap_or_default());
        said.push('…');
    }
    let proof = report.log.as_ref().map_or("not read", |log| log.proof.as_str());
    let session = session.unwrap_or("unknown");
    format!(
        "An earlier Job of this task, {job}, ended while nobody was listening (session {session}, log {proof}): {said}"
    )
}
