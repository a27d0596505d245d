//! What a run leaves: nothing, unless it is to stay, may still work, or is another server's to clean up.

use super::usage::settle;
use crate::cluster::ClusterError;
use crate::run::host::log::HostLog;
use crate::run::job::end::RunEnd;
use crate::run::job::handle::JobHandle;
use crate::run::job::removal;
use crate::run::report::Report;
use crate::run::timing::{CLEAN_UP, LAST_TRY, Limit};

/// Who else follows, or followed, the Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherServers {
    /// Nobody.
    None,
    /// Nobody: the log is missing and its Job is there, so it was no server that removed the log.
    NoneAndNoLog,
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
        return OtherServers::After;
    }
    // Asked second: who cleans up takes the log away before its name.
    if handle.log_is_missing().await {
        return if handle.job_is_there().await {
            OtherServers::NoneAndNoLog
        } else {
            OtherServers::Done
        };
    }
    if handle.without_job || handle.holder.is_some() {
        OtherServers::Before
    } else {
        OtherServers::None
    }
}

/// Job, Secret and files go, the log never before its Job: a log that is missing while its Job is there was not
/// harvested. All of them stay with `retainJobs`, the Job while its end is unknown, and a log that could not be read to
/// its end. What the run used is settled last where somebody else may report it too, so that a server which dies before
/// that has reported nothing. False when it could not be: then the files stay, and whoever follows the Job as well, or
/// the next run of the task, reports it.
pub(super) async fn clean_up(
    handle: &JobHandle,
    end: &RunEnd,
    retain: bool,
    mut others: OtherServers,
    report: &mut Report,
    host_log: &HostLog,
) -> bool {
    if matches!(end, RunEnd::Unreachable { .. }) {
        return settle(handle, report).await;
    }
    if others == OtherServers::After {
        let job = &handle.job_name;
        let line = format!("Another server took job {job} over: cleaning up is left to it");
        host_log.status(line).await;
        if !settle(handle, report).await {
            return false;
        }
        mark_reported(handle).await;
        return true;
    }
    let removed = if retain {
        host_log.status(retaining(handle, end)).await;
        Ok(())
    } else {
        remove_objects(handle, end, host_log).await
    };
    let is_later = removed.as_ref().is_err_and(|error| may_pass(error, end));
    if removed.is_err() && end.may_still_run() {
        // Its agent may still write: whoever takes it over, or an operator, needs its files.
        if is_later {
            delete_later(handle, Vec::new());
        }
        return settle(handle, report).await;
    }
    if others == OtherServers::None {
        // A server may have come while the Job was being deleted.
        others = other_servers(handle).await;
    }
    // Since the Job is gone its run looks unreported to others, until its nonce is gone as well.
    if others != OtherServers::NoneAndNoLog && !settle(handle, report).await {
        let line =
            "The volume did not answer: the next run of this task reports what this one used. Its files stay";
        host_log.warn(format!("Warning: {line}")).await;
        if is_later {
            delete_later(handle, Vec::new());
        }
        return false;
    }
    let is_for_a_person = !retain && others != OtherServers::Done && report.log_is_incomplete();
    if is_for_a_person {
        let log = &handle.names.log;
        let line = format!("The log could not be read to its end, so {log} stays on the volume");
        host_log.status(line).await;
    }
    let files = if retain || is_for_a_person {
        Vec::new()
    } else {
        handle.names.all().map(str::to_owned).to_vec()
    };
    if files.is_empty() || is_later {
        mark_reported(handle).await;
    } else {
        remove_files(handle, host_log).await;
    }
    if is_later {
        delete_later(handle, files);
    }
    true
}

/// Whether the Job may be deleted later. Of an agent that works on nothing is left untried: somebody may grant the
/// right.
fn may_pass(error: &ClusterError, end: &RunEnd) -> bool {
    error.is_transient() || error.is_unauthorized() || end.may_still_run() && error.may_be_unready()
}

/// Whether the Job is gone. Its Secret goes with it, at the latest.
async fn remove_objects(handle: &JobHandle, end: &RunEnd, host_log: &HostLog) -> Result<(), ClusterError> {
    let is_tried = matches!(end, RunEnd::Cancelled { gone: false, .. });
    let on_stop = if is_tried { LAST_TRY } else { CLEAN_UP.on_stop };
    let limit = handle.budget().limit(Limit { on_stop, ..CLEAN_UP });
    let deleted = if handle.without_job {
        Ok(())
    } else {
        handle.delete_job(limit).await
    };
    if let Err(error) = &deleted {
        let is_kept = end.may_still_run() || may_pass(error, end);
        let stay = if is_kept { "; its files stay" } else { "" };
        let job = &handle.job_name;
        host_log
            .warn(format!("Warning: failed to cleanup job {job}: {error}{stay}"))
            .await;
        if is_kept {
            return deleted;
        }
    }
    if let Some(secret) = &handle.secret
        && let Err(error) = handle.namespace.delete_secret(secret, limit).await
    {
        let line = format!("Warning: failed to cleanup secret {secret}: {error}");
        host_log.warn(line).await;
    }
    deleted
}

async fn remove_files(handle: &JobHandle, host_log: &HostLog) {
    let limit = handle.budget().limit(CLEAN_UP);
    let removed = handle.volume.remove(limit, &handle.files, handle.names.all());
    let job = &handle.job_name;
    let problem = match removed.await {
        Some(Ok(())) => return,
        Some(Err(error)) => format!("failed to remove the log files of {job}: {error}"),
        None => format!("the volume did not answer: the log files of {job} stay"),
    };
    host_log.warn(format!("Warning: {problem}")).await;
}

/// What stays with `retainJobs`: a Job whose agent had to be stopped, or could not start, does not.
fn retaining(handle: &JobHandle, end: &RunEnd) -> String {
    let job = &handle.job_name;
    let had_to_go = match end {
        RunEnd::Cancelled { .. }
        | RunEnd::InCircle { .. }
        | RunEnd::Silent { .. }
        | RunEnd::NeverStarted { .. } => true,
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
    let limit = handle.budget().at_most(CLEAN_UP.on_stop);
    let gate = [&handle.names.nonce];
    handle.volume.remove(limit, &handle.files, gate).await;
}

/// The API server is away: the Job goes when it is back, and then these files. Its Secret goes with it.
fn delete_later(handle: &JobHandle, files_after: Vec<String>) {
    let (files, volume) = (handle.files.clone(), handle.volume.clone());
    let then = async move {
        volume.remove(CLEAN_UP.calm, &files, files_after).await;
    };
    let (name, uid) = (handle.job_name.clone(), handle.job_uid.clone());
    removal::delete_later(handle.namespace.clone(), name, Some(uid), then);
}
