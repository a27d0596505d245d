//! Runs whose Job is gone (its TTL, or somebody, removed it) before any server heard how it ended. What their pod left
//! on the shared volume still tells: nothing of it is repeated without a word.

use serde::Deserialize;
use tokio::time::sleep;

use crate::cluster::ClusterError;
use crate::cluster::verbs::{call, retry_transient};
use crate::manifest::names::{job_name, sanitize_label_value};
use crate::run::attached::AttachedJob;
use crate::run::context::{JobIdentity, RunContext};
use crate::run::failure::{Failure, GUARD_UNREACHABLE};
use crate::run::timing::{CLEANING_UP, EARLIER_JOB, VOLUME};
use crate::run::volume::folder::RunFolder;

/// More of them are left for the next run of the task.
const MOST: usize = 8;

/// What a pod's start record says about its run.
#[derive(Deserialize)]
struct StartRecord {
    run: String,
    namespace: String,
    cluster: String,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    cwd: Option<String>,
}

/// This very run, when its agent was started before and its Job is gone: its files are its result.
///
/// # Errors
/// When nobody can tell.
pub(crate) async fn own(context: &RunContext) -> Result<Option<AttachedJob>, Failure> {
    let run = context.spec.run.id.clone();
    let folder = RunFolder::of_run(&context.volume, &context.spec, &run)?;
    let Some(started) = started(context, &folder, &run).await? else {
        // A server that died before its Job could start anything leaves files without a word in them.
        if folder.started().await?.is_none() && folder.has_log().await? {
            folder.remove().await;
        }
        return Ok(None);
    };
    if !is_left(context, &folder, &run).await? {
        return Ok(None);
    }
    begin(context, folder, &started).map(Some)
}

/// Earlier runs of this task that nobody has harvested and whose Job is gone, the latest at the end.
///
/// # Errors
/// When nobody can tell.
pub(crate) async fn earlier(context: &RunContext) -> Result<Vec<AttachedJob>, Failure> {
    let task = context
        .spec
        .run
        .task_id
        .as_deref()
        .map(|task| sanitize_label_value(task).0);
    let Some(task) = task.filter(|task| !task.is_empty()) else {
        return Ok(Vec::new());
    };
    let own = RunFolder::of_run(&context.volume, &context.spec, &context.spec.run.id)?;
    let files = own.files.clone();
    // Whoever harvests a run removes its nonce, also where all else is kept.
    let limit = context.volume.budget.limit(VOLUME);
    let root = &context.volume.root;
    let listed = root
        .volume
        .within(limit, move || files.runs_with([".pod.started", ".pod.nonce"]));
    let runs = listed.await.unwrap_or_default();
    let mut left = Vec::new();
    for run in runs.iter().rev().filter(|run| **run != context.spec.run.id) {
        if left.len() == MOST {
            break;
        }
        // A name that is no run's is nothing that a server made.
        let Ok(folder) = RunFolder::of_run(&context.volume, &context.spec, run) else {
            continue;
        };
        let started = started(context, &folder, run).await?;
        let Some(started) = started.filter(|started| started.task.as_ref() == Some(&task)) else {
            continue;
        };
        if is_left(context, &folder, run).await? {
            left.push(begin(context, folder, &started)?);
        }
    }
    left.reverse();
    Ok(left)
}

/// The start record of the run, if a pod of this cluster and namespace wrote it.
async fn started(
    context: &RunContext,
    folder: &RunFolder,
    run: &str,
) -> Result<Option<StartRecord>, Failure> {
    let content = folder.started().await?.unwrap_or_default();
    let spec = &context.spec;
    let is_ours = |started: &StartRecord| {
        started.run == run && started.namespace == spec.namespace() && started.cluster == spec.run.cluster
    };
    Ok(serde_json::from_slice(&content).ok().filter(is_ours))
}

/// Whether the run's Job is gone, and nobody is cleaning up behind it.
async fn is_left(context: &RunContext, folder: &RunFolder, run: &str) -> Result<bool, Failure> {
    // A cluster without a name may be another one, where the agent is at work: its own word that it ended is needed.
    let may_run = context.spec.run.cluster.is_empty() && !folder.has_ended().await?;
    if may_run || !is_gone(context, run).await? {
        return Ok(false);
    }
    sleep(CLEANING_UP).await;
    Ok(folder.started().await?.is_some())
}

async fn is_gone(context: &RunContext, run: &str) -> Result<bool, Failure> {
    let name = job_name(&context.spec.run.agent_id, run);
    let on = format!("job/{name}");
    let unknown = |error: ClusterError| {
        let message = format!("cannot tell what became of the earlier run {run}: {error}");
        Failure::before_start(GUARD_UNREACHABLE, message)
    };
    match retry_transient(EARLIER_JOB, "get", &on, || {
        call("get", &on, context.namespace.jobs.get(&name))
    })
    .await
    {
        Ok(_) => Ok(false),
        Err(error) if error.is_not_found() => Ok(true),
        // The Job was not in the guard's list, which is what can be known without this verb.
        Err(error) if error.is_forbidden() => Ok(true),
        Err(error) => Err(unknown(error)),
    }
}

fn begin(context: &RunContext, mut folder: RunFolder, started: &StartRecord) -> Result<AttachedJob, Failure> {
    let mut spec = context.spec.clone();
    spec.run.id.clone_from(&started.run);
    spec.settings.timeout_sec = None;
    spec.run.resume.session_id = None;
    if let Some(cwd) = &started.cwd {
        spec.run.working_dir.clone_from(cwd);
    }
    folder.by_server = true;
    let (stdout, stderr) = folder.follow(&context.server.hub)?;
    let job = JobIdentity {
        name: job_name(&spec.run.agent_id, &started.run),
        uid: String::new(),
        secret: None,
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: None,
        holder: None,
        without_job: true,
    };
    Ok(AttachedJob {
        handle: context.handle(job, &spec),
        spec,
        stdout,
        stderr,
    })
}
