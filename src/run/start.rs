//! Everything before there is output to follow: the agent's turn, then a Job to take over or one of our own.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::adopt::{adopt, is_same_prompt};
use super::claim::{Claim, Mine};
use super::failure::Failure;
use super::guard::{Guard, Turn};
use super::launch::launch;
use super::live::Live;
use super::papers::Papers;
use super::site::{Site, unless_stopped};
use super::voice::Voice;
use crate::config::RunSpec;
use crate::manifest::names;
use crate::tail::{Hub, Tail};

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

/// From the place to a Job that is followed.
pub(super) async fn start(site: &Site, voice: &Voice, hub: &Hub) -> Result<(Begun, Role, Turn), Failure> {
    let spec = &site.spec;
    let guard = Guard {
        namespace: &site.namespace,
        view: &site.view,
        agent: &spec.agent_id,
        selector: &site.selector,
        until: (spec.guard_wait_sec > 0).then(|| Instant::now() + Duration::from_secs(spec.guard_wait_sec)),
        mine: mine(site),
    };
    let begin = async {
        let turn = unless_stopped(&site.stop, guard.turn(voice)).await??;
        let mut known = guard.mine.clone();
        loop {
            let claim = unless_stopped(&site.stop, guard.claim(&known, voice)).await??;
            match take(site, claim, voice, hub).await? {
                Some((begun, role)) => return Ok((begun, role, turn)),
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
async fn take(site: &Site, claim: Claim, voice: &Voice, hub: &Hub) -> Result<Option<(Begun, Role)>, Failure> {
    match claim {
        Claim::Own(papers) => {
            say_reattached(&papers, voice);
            voice
                .status(format!("Reattaching to the Job {} of this run", papers.job_name))
                .await;
            let begun = adopt(site, &papers, false, hub).await?;
            Ok(begun.map(|begun| (begun, Role::Own)))
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
            Ok(begun.map(|begun| (begun, if same { Role::Own } else { Role::Earlier })))
        }
        Claim::Ended(papers) => Ok(adopt(site, &papers, true, hub)
            .await?
            .map(|begun| (begun, Role::Ended))),
        Claim::Wait { .. } | Claim::Free => {
            Ok(launch(site, voice, hub).await?.map(|begun| (begun, Role::Own)))
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
