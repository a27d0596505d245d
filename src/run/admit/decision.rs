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
    let waited_for = jobs_at_work(jobs, pods);
    let leaving = leaving_pods(jobs, pods);
    // Whoever takes a Job over opens its gate: never beside another agent that may be at work.
    let may_go_on = |job: &Job| {
        let is_other = |other: &&Job| other.metadata.uid != job.metadata.uid;
        let has_begun = pods.iter().any(|pod| is_of(pod, job) && has_begun(pod));
        has_begun || job_end(job).is_some() || (leaving.is_empty() && !waited_for.iter().any(is_other))
    };
    let own = jobs
        .iter()
        .find(|job| job.metadata.name.as_ref() == Some(&candidate.job_name));
    let own = own.filter(|job| !is_leaving(job) && may_go_on(job));
    if let Some(job_record) = own.and_then(JobRecord::of) {
        return Decision::Resume(job_record);
    }
    let unfinished = || {
        jobs.iter()
            .filter(|job| job_end(job).is_none() && !is_leaving(job))
    };
    let same_work = unfinished().filter(|job| candidate.may_adopt && is_same_work(job, candidate));
    if let Some(job_record) = same_work.filter(|job| may_go_on(job)).find_map(JobRecord::of) {
        return Decision::Adopt(job_record);
    }
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
    // No agent is at work: each of these has ended, though its Job's controller may not have said so yet.
    let ended = jobs
        .iter()
        .filter(|job| !candidate.has_harvested && !is_leaving(job));
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
    !is_suspended(job) && !of_job.any(has_begun)
}

fn has_begun(pod: &Pod) -> bool {
    let stage = stage(pod, OPENCODE_CONTAINER);
    matches!(
        stage,
        PodStage::Running | PodStage::Ended(_) | PodStage::EndUnknown { .. }
    )
}

fn name_of(job: &Job) -> Option<String> {
    job.metadata.name.clone()
}

/// Without a task nobody can tell whose work a Job does. Labels do not tell ids apart that differ in case only; what
/// the Job's command says does.
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
mod tests;
