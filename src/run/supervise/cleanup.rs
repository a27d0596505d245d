//! What a run leaves: nothing, unless it is to stay, may still work, or is another server's to clean up.

use super::usage::settle;
use crate::run::host::log::HostLog;
use crate::run::job::end::RunEnd;
use crate::run::job::handle::JobHandle;
use crate::run::report::Report;
use crate::run::timing::{CLEAN_UP, DELETE_LATER, LAST_TRY, Limit};

/// Who else follows, or followed, the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherServers {
    /// Nobody.
    None,
    /// A server before this one.
    Before,
    /// A server that took it over since, and is to clean up.
    After,
    /// A server that took it over since, and has cleaned up.
    Done,
}

pub(super) async fn other_servers(handle: &JobHandle) -> OtherServers {
    // Without a Job nobody else follows it: the name of a server that died since counts no more.
    if !handle.without_job && handle.is_taken_over().await {
        OtherServers::After
    } else if handle.is_harvested().await {
        // Asked second: who cleans up takes the log away before its name.
        OtherServers::Done
    } else if handle.without_job || handle.holder.is_some() {
        OtherServers::Before
    } else {
        OtherServers::None
    }
}

/// Job, Secret and files go; all of them stay with `retainJobs`, and the Job while its end is unknown. What the run
/// used is settled last where somebody else may report it too, so that a server which dies before that has reported
/// nothing.
pub(super) async fn clean_up(
    handle: &JobHandle,
    end: &RunEnd,
    retain: bool,
    others: OtherServers,
    report: &mut Report,
    host_log: &HostLog,
) {
    if matches!(end, RunEnd::Unreachable { .. }) {
        return settle(handle, report).await;
    }
    if others == OtherServers::After {
        let job = &handle.job_name;
        let line = format!("Another server took job {job} over: cleaning up is left to it");
        host_log.status(line).await;
        settle(handle, report).await;
        return mark_reported(handle).await;
    }
    if retain {
        host_log.status(retaining(handle, end)).await;
    } else if !remove_objects(handle, end, host_log).await {
        return settle(handle, report).await;
    }
    if others != OtherServers::None {
        settle(handle, report).await;
    }
    if retain {
        mark_reported(handle).await;
    } else {
        remove_files(handle, host_log).await;
    }
}

/// False when the Job stays, and its agent may still write: whoever takes it over, or an operator, needs its files.
async fn remove_objects(handle: &JobHandle, end: &RunEnd, host_log: &HostLog) -> bool {
    let may_still_run = end.may_still_run();
    let is_tried = matches!(end, RunEnd::Cancelled { gone: false, .. });
    let on_stop = if is_tried { LAST_TRY } else { CLEAN_UP.on_stop };
    let limit = handle.budget().limit(Limit { on_stop, ..CLEAN_UP });
    let deleted = if handle.without_job {
        Ok(())
    } else {
        handle.delete_job(limit).await
    };
    if let Err(error) = deleted {
        let stay = if may_still_run { "; its files stay" } else { "" };
        let job = &handle.job_name;
        host_log
            .warn(format!("Warning: failed to cleanup job {job}: {error}{stay}"))
            .await;
        if error.is_transient() {
            delete_later(handle);
        }
        if may_still_run {
            return false;
        }
    }
    if let Some(secret) = &handle.secret
        && let Err(error) = handle.namespace.delete_secret(secret, limit).await
    {
        let line = format!("Warning: failed to cleanup secret {secret}: {error}");
        host_log.warn(line).await;
    }
    true
}

async fn remove_files(handle: &JobHandle, host_log: &HostLog) {
    let limit = handle.budget().limit(CLEAN_UP);
    let (files, names) = (handle.files.clone(), handle.names.clone());
    let removed = handle.volume.within(limit, move || files.remove(names.all()));
    let job = &handle.job_name;
    let problem = match removed.await {
        Some(None) => return,
        Some(Some(error)) => format!("failed to remove the log files of {job}: {error}"),
        None => format!("the volume did not answer: the log files of {job} stay"),
    };
    host_log.warn(format!("Warning: {problem}")).await;
}

/// What stays with `retainJobs`: a Job whose agent had to be stopped, or could not start, does not.
fn retaining(handle: &JobHandle, end: &RunEnd) -> String {
    let job = &handle.job_name;
    let had_to_go = match end {
        RunEnd::Cancelled { .. } | RunEnd::InCircle { .. } | RunEnd::NeverStarted { .. } => true,
        RunEnd::DeadlineExceeded { .. } => !handle.job_is_over(),
        _ => handle.stop.reason().is_some(),
    };
    if had_to_go {
        format!("Job {job} could not stay, but the files of its run do (retainJobs=true)")
    } else {
        format!("Retaining job {job} for debugging (retainJobs=true)")
    }
}

/// The gate's file is what tells a run that nobody has harvested: should whoever is to clean up die, this one is not
/// reported again.
pub(super) async fn mark_reported(handle: &JobHandle) {
    let (files, gate) = (handle.files.clone(), handle.names.nonce.clone());
    let limit = handle.budget().at_most(CLEAN_UP.on_stop);
    handle
        .volume
        .within(limit, move || files.remove([gate.as_str()]))
        .await;
}

/// The API server is away: the Job goes when it is back. Its Secret goes with it.
fn delete_later(handle: &JobHandle) {
    let (namespace, name, uid) = (
        handle.namespace.clone(),
        handle.job_name.clone(),
        handle.job_uid.clone(),
    );
    tokio::spawn(async move { namespace.delete_job(&name, Some(&uid), DELETE_LATER).await });
}
