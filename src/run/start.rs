//! Everything before there is output to follow: the agent's turn, then a Job to take over or one of our own.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::adopt::{adopt, is_same_prompt};
use super::claim::{Claim, Mine};
use super::failure::Failure;
use super::folder::RunFolder;
use super::guard::{Guard, Turn};
use super::launch::launch;
use super::live::Live;
use super::papers::Papers;
use super::site::{Site, unless_stopped};
use super::unheard;
use super::voice::Voice;
use crate::config::RunSpec;
use crate::manifest::names;
use crate::tail::{Hub, Tail};

/// How much longer than a Job's own server would have waited for its agent to start.
const STALLED: Duration = Duration::from_secs(30);
/// Patience of a request in passing.
const DELETE: Duration = Duration::from_secs(30);

/// A Job whose files are followed.
pub(super) struct Begun {
    /// The run as configured.
    pub(super) spec: RunSpec,
    /// The Job and its files.
    pub(super) live: Live,
    /// opencode's stdout.
    pub(super) stdout: Tail,
    /// opencode's stderr.
    pub(super) stderr: Tail,
}

/// What the followed Job is to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The run itself, or one that answers the same prompt: its result is the run's.
    Own,
    /// An earlier run of the task that is still on: it is delivered, and then this run starts.
    Earlier,
    /// An earlier run of the task that nobody harvested: it is reported, and then this run starts.
    Ended,
}

/// Jobs and runs that are followed to their end, in this order: all but the last are only reported.
pub(super) struct Started {
    /// Ended runs of the task before the one that counts.
    pub(super) before: Vec<Begun>,
    /// What this round is about.
    pub(super) begun: Begun,
    /// What that is to this run.
    pub(super) role: Role,
}

/// From the place to a Job that is followed.
pub(super) async fn start(site: &Site, voice: &Voice, hub: &Hub) -> Result<(Started, Turn), Failure> {
    let spec = &site.spec;
    let guard = Guard {
        namespace: &site.namespace,
        view: &site.view,
        agent: &spec.agent_id,
        selector: &site.selector,
        until: (spec.guard_wait_sec > 0).then(|| Instant::now() + Duration::from_secs(spec.guard_wait_sec)),
        mine: mine(site),
        outage: Duration::from_secs(spec.outage_timeout_sec),
        stalled: Duration::from_secs(spec.schedule_timeout_sec + spec.start_timeout_sec) + STALLED,
    };
    let begin = async {
        let turn = unless_stopped(&site.stop, guard.turn(voice)).await??;
        let mut known = guard.mine.clone();
        loop {
            let claim = unless_stopped(&site.stop, guard.claim(&known, voice)).await??;
            if let Claim::Stalled(papers) = claim {
                unless_stopped(&site.stop, give_up(site, &papers, voice)).await??;
                continue;
            }
            match take(site, claim, known.continues, voice, hub).await? {
                Some(started) => return Ok((started, turn)),
                // Somebody else has harvested it, or another server was first and is at work: look again.
                None => {
                    known.continues = true;
                    known.reattach = false;
                }
            }
        }
    };
    tokio::select! {
        begun = begin => begun,
        never = keepalive(voice) => match never {},
    }
}

/// Acts on a claim; `None` when there is to be another look.
async fn take(
    site: &Site,
    claim: Claim,
    continues: bool,
    voice: &Voice,
    hub: &Hub,
) -> Result<Option<Started>, Failure> {
    match claim {
        Claim::Own(papers) => {
            say_reattached(&papers, voice);
            voice
                .status(format!("Reattaching to the Job {} of this run", papers.job_name))
                .await;
            let begun = adopt(site, &papers, false, hub).await?;
            Ok(begun.map(|begun| Role::Own.of(begun)))
        }
        Claim::Reattach(papers) => {
            let task = site.spec.task_id.as_deref().unwrap_or_default();
            say_reattached(&papers, voice);
            voice
                .status(format!(
                    "Reattaching to orphaned Job {} from prior server instance (task: {task})...",
                    papers.job_name
                ))
                .await;
            let same = is_same_prompt(site, &papers);
            let begun = adopt(site, &papers, false, hub).await?;
            let role = if same { Role::Own } else { Role::Earlier };
            Ok(begun.map(|begun| role.of(begun)))
        }
        Claim::Ended(papers) => {
            let begun = adopt(site, &papers, true, hub).await?;
            Ok(begun.map(|begun| Role::Ended.of(begun)))
        }
        Claim::Wait { .. } | Claim::Stalled(_) | Claim::Free => {
            if let Some(left) = unless_stopped(&site.stop, left(site, continues, hub)).await?? {
                return Ok(Some(left));
            }
            let begun = launch(site, voice, hub).await?;
            Ok(begun.map(|begun| Role::Own.of(begun)))
        }
    }
}

/// A Job of a dead server that never started its agent would keep all others of the agent waiting for ever.
async fn give_up(site: &Site, papers: &Papers, voice: &Voice) -> Result<(), Failure> {
    let folder = RunFolder::of_papers(&site.root, site.owner, papers)?;
    if folder.started().await.is_some() {
        // It works, and its node is not heard.
        return Ok(());
    }
    let name = &papers.job_name;
    voice
        .warn(format!(
            "Warning: the agent of job {name} has not started, and no server gives it up: deleting it"
        ))
        .await;
    let deleted = site
        .namespace
        .delete_job(name, Some(&papers.job_uid), DELETE)
        .await;
    if let Err(error) = deleted {
        voice
            .warn(format!("Warning: failed to delete job {name}: {error}"))
            .await;
        return Ok(());
    }
    folder.remove().await;
    Ok(())
}

/// What runs without a Job left behind that must be told before this one starts.
async fn left(site: &Site, continues: bool, hub: &Hub) -> Result<Option<Started>, Failure> {
    if let Some(begun) = unheard::own(site, hub).await? {
        return Ok(Some(Role::Own.of(begun)));
    }
    if continues {
        return Ok(None);
    }
    let mut before = unheard::earlier(site, hub).await?;
    let last = before.pop();
    Ok(last.map(|begun| Started {
        before,
        ..Role::Ended.of(begun)
    }))
}

impl Role {
    fn of(self, begun: Begun) -> Started {
        Started {
            before: Vec::new(),
            begun,
            role: self,
        }
    }
}

fn say_reattached(papers: &Papers, voice: &Voice) {
    voice.event(json!({
        "eventType": "opencode_k8s.reattached",
        "stream": "system",
        "level": "info",
        "message": format!("Job {} was taken over", papers.job_name),
        "payload": {"job": papers.job_name, "runId": papers.run_id},
    }));
}

fn mine(site: &Site) -> Mine {
    Mine {
        job_name: names::job_name(&site.spec.agent_id, &site.spec.run_id),
        task: site.spec.task_id.clone(),
        session: site.spec.stored_session.clone(),
        reattach: site.spec.reattach_orphaned_jobs && !site.request.continues,
        continues: site.request.continues,
    }
}

/// The host takes a run without a sign of life for lost.
async fn keepalive(voice: &Voice) -> std::convert::Infallible {
    loop {
        sleep(Duration::from_secs(15)).await;
        voice.status("keepalive — waiting for this agent's turn").await;
    }
}
