//! Runs that ended unreported: their Job was deleted (by its TTL, or by a person) before a server saw how it ended.
//! What their pod left on the shared volume tells what they did. A new run of the task reports it first, so that no
//! work is repeated silently.

use std::time::UNIX_EPOCH;

use tokio::time::sleep;

use crate::cluster::ClusterError;
use crate::cluster::verbs::{find, retry_transient};
use crate::manifest::names::job_name;
use crate::manifest::task_word;
use crate::run::attached::AttachedJob;
use crate::run::context::{JobIdentity, RunContext};
use crate::run::failure::{Failure, GUARD_UNREACHABLE};
use crate::run::seal::Start;
use crate::run::timing::{CLEANUP_LAG, EARLIER_JOB};
use crate::run::volume::folder::RunFolder;
use crate::tail::StartRecord;

/// Most runs that one run reports; the next run of the task reports the others.
const MAX_RUNS: usize = 8;

/// This very run, when its agent was started before and its Job is gone: its files are its result.
///
/// # Errors
/// When the volume or the API server cannot tell whether the Job is gone.
pub(crate) async fn own(context: &RunContext) -> Result<Option<AttachedJob>, Failure> {
    let run = context.spec.run.id.clone();
    let folder = RunFolder::of_run(&context.volume, &context.spec, &run)?;
    folder.clear_way().await?;
    if !folder.has_any().await? {
        return Ok(None);
    }
    let record = folder.start_record(&context.spec, &run).await?;
    if let Some(record) = &record
        && is_ours(context, &folder, record).await?
    {
        if !is_unreported(context, &folder, &run).await? {
            return Ok(None);
        }
        return attach(context, folder, record).map(Some);
    }
    // Another agent can lay files, links or folders under the name of a run that is to come: they are not its result,
    // and the run must not fail by them. A server that died before its Job started anything has left empty files.
    let is_foreign = record.is_none() && folder.is_of_another_place(&run).await?;
    if !is_foreign && job_is_gone(context, &run).await? {
        folder.remove().await;
    }
    Ok(None)
}

/// Earlier runs of this task whose Job is gone and that nobody has harvested, the latest at the end.
///
/// # Errors
/// When the volume or the API server cannot tell whether a Job is gone.
pub(crate) async fn earlier(context: &RunContext) -> Result<Vec<AttachedJob>, Failure> {
    let Some(task) = task_word(context.spec.run.task_id.as_deref()) else {
        return Ok(Vec::new());
    };
    let own = RunFolder::of_run(&context.volume, &context.spec, &context.spec.run.id)?;
    let runs = own.unreported_runs().await?;
    let mut unreported = Vec::new();
    for run in runs.iter().rev().filter(|run| **run != context.spec.run.id) {
        if unreported.len() == MAX_RUNS {
            break;
        }
        // No server made a file whose name has no valid run id.
        let Ok(folder) = RunFolder::of_run(&context.volume, &context.spec, run) else {
            continue;
        };
        // The server's word first: what an agent has laid has none, and is not asked for anything else.
        if folder.nonce().await?.is_none() {
            continue;
        }
        let record = folder.start_record(&context.spec, run).await?;
        let Some(record) = record.filter(|record| record.task.as_ref() == Some(&task)) else {
            continue;
        };
        if is_ours(context, &folder, &record).await? && is_unreported(context, &folder, run).await? {
            unreported.push(attach(context, folder, &record)?);
        }
    }
    unreported.reverse();
    Ok(unreported)
}

/// Whether a server of this namespace let the run start, and no result of this process has told its end: the nonce
/// says so, and only servers can make one. An old one is no longer believed: an agent may have kept a copy.
async fn is_ours(context: &RunContext, folder: &RunFolder, record: &StartRecord) -> Result<bool, Failure> {
    let Some(nonce) = folder.nonce().await? else {
        return Ok(false);
    };
    let start = Start {
        company: &context.spec.run.company_id,
        agent: &context.spec.run.agent_id,
        run: &record.run,
        task: record.task.as_deref().unwrap_or_default(),
        cwd: record.cwd.as_deref().unwrap_or_default(),
    };
    let now = context.server.clock.now().duration_since(UNIX_EPOCH);
    let oldest = now
        .unwrap_or_default()
        .as_secs()
        .saturating_sub(context.spec.settings.log_retention_sec);
    let made = context.seal.made(&nonce, &start);
    Ok(made.is_some_and(|made| made >= oldest) && !context.server.reported.has(&record.run))
}

/// Whether the run's Job is gone, and no other server is cleaning up after it.
async fn is_unreported(context: &RunContext, folder: &RunFolder, run: &str) -> Result<bool, Failure> {
    // Where the cluster's uid may not be read, the run may be at work in another cluster, unless it has an end record.
    let may_run = context.spec.run.cluster.is_empty() && !folder.has_ended().await?;
    if may_run || !job_is_gone(context, run).await? {
        return Ok(false);
    }
    sleep(CLEANUP_LAG).await;
    folder.was_started().await
}

async fn job_is_gone(context: &RunContext, run: &str) -> Result<bool, Failure> {
    let name = job_name(&context.spec.run.agent_id, run);
    let on = format!("job/{name}");
    let unknown = |error: ClusterError| {
        let message = format!("{error}. So it is not known what became of the earlier run {run}");
        Failure::before_start(GUARD_UNREACHABLE, message)
    };
    // The list of the agent's Jobs was made before its files were looked at: it does not answer this.
    let found = retry_transient(EARLIER_JOB, "get", &on, || find(&context.namespace.jobs, &name)).await;
    Ok(found.map_err(unknown)?.is_none())
}

fn attach(context: &RunContext, mut folder: RunFolder, record: &StartRecord) -> Result<AttachedJob, Failure> {
    let mut spec = context.spec.clone();
    spec.run.forget_texts();
    spec.run.id.clone_from(&record.run);
    spec.settings.timeout_sec = None;
    spec.run.resume.session_id = None;
    if let Some(cwd) = &record.cwd {
        spec.run.working_dir.clone_from(cwd);
    }
    folder.by_server = true;
    let (stdout, stderr) = folder.follow(&context.server.hub)?;
    let job = JobIdentity {
        name: job_name(&spec.run.agent_id, &record.run),
        uid: String::new(),
        warnings: Vec::new(),
        secret: None,
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: None,
        holder: None,
        log_by_server: true,
        without_job: true,
    };
    Ok(AttachedJob {
        handle: context.handle(job, &spec),
        spec: Box::new(spec),
        stdout,
        stderr,
    })
}
