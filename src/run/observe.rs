//! Watches one Job until its run is over. Decides nothing about success: it names what was seen first.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, interval, sleep_until};

use super::live::Live;
use super::voice::Voice;
use crate::cluster::conditions::{ContainerEnd, JobEnd, PodStage, describe, first_pod, job_end, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::tail::EndRecord;

/// What ended the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The agent's container ended.
    Container(ContainerEnd),
    /// The pod's record lies on the volume, whatever the API server says.
    Record(EndRecord),
    /// The pod cannot start, or did not in time.
    NotStarted(String),
    /// The first pod is gone or over, and nobody saw how.
    PodLost(String),
    /// The Job is gone.
    JobGone,
    /// The Job's own deadline, or ours.
    Deadline,
    /// Somebody asked to stop.
    Cancelled(String),
    /// The API server was not heard for too long.
    Outage(String),
}

/// The container's status may follow the pod's phase a little later.
const STATUS_LAG: Duration = Duration::from_secs(3);
/// How often to look for the record on the volume.
const RECORD_CHECK: Duration = Duration::from_secs(5);
/// A Job that the view has never shown is asked for after this time.
const UNSEEN: Duration = Duration::from_secs(5);
/// How long the pods of a Job that hit its deadline may take to end: their grace period and a margin.
const AFTER_DEADLINE: Duration = Duration::from_secs(40);

/// What is remembered between two looks.
struct Progress {
    since: Instant,
    pod_uid: Option<String>,
    bound_at: Option<Instant>,
    job_seen: bool,
    job_asked: Instant,
    over_since: Option<Instant>,
    said: String,
    running: bool,
}

/// Waits for the end of the run.
pub async fn observe(live: &Live, voice: &Voice) -> End {
    let mut pulse = live.view.pulse();
    let mut records = interval(RECORD_CHECK);
    let now = Instant::now();
    let mut progress = Progress {
        since: now,
        pod_uid: None,
        bound_at: None,
        job_seen: false,
        job_asked: now,
        over_since: None,
        said: String::new(),
        running: false,
    };
    loop {
        if let Some(end) = progress.look(live, voice).await {
            return end;
        }
        let health = pulse.borrow_and_update().clone();
        if let Some(trouble) = health
            .trouble
            .filter(|_| health.heard.elapsed() >= live.limits.outage)
        {
            return End::Outage(trouble);
        }
        tokio::select! {
            reason = live.stop.asked() => return End::Cancelled(reason),
            changed = pulse.changed() => if changed.is_err() {
                return End::Outage("the watch of the cluster ended".to_owned());
            },
            _ = records.tick() => if let Some(record) = live.record().await {
                return End::Record(record);
            },
            () = sleep_until(progress.next_look(live)) => {}
        }
    }
}

impl Progress {
    async fn look(&mut self, live: &Live, voice: &Voice) -> Option<End> {
        if live.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Some(End::Deadline);
        }
        let job = live.view.job(&live.namespace.name, &live.job_name);
        let job = job.filter(|job| job.metadata.uid.as_deref() == Some(live.job_uid.as_str()));
        self.job_seen |= job.is_some();
        let pods = live.view.pods_of(&live.job_name);
        let pods: Vec<Arc<Pod>> = pods.into_iter().filter(|pod| live.owns(pod)).collect();
        if let Some(end) = self.look_at_pods(&pods, live, voice).await {
            return Some(end);
        }
        match job.as_deref().and_then(job_end) {
            Some(JobEnd::Failed { reason, .. }) if reason == "DeadlineExceeded" => {
                // Its pods are being ended: their record is still to come.
                self.lagged(AFTER_DEADLINE, pods.is_empty())
                    .then_some(End::Deadline)
            }
            Some(JobEnd::Failed { reason, message }) => self
                .lagged(STATUS_LAG, false)
                .then(|| End::PodLost(format!("the Job failed: {reason}: {message}"))),
            Some(JobEnd::Complete) => self.lagged(STATUS_LAG, false).then(|| {
                End::PodLost("the Job is complete, but its container's end was not reported".to_owned())
            }),
            None if job.is_none() => self.is_gone(live).await.then_some(End::JobGone),
            None => None,
        }
    }

    async fn look_at_pods(&mut self, pods: &[Arc<Pod>], live: &Live, voice: &Voice) -> Option<End> {
        let pod = match &self.pod_uid {
            Some(uid) => match pods.iter().find(|pod| pod.metadata.uid.as_ref() == Some(uid)) {
                Some(pod) => pod,
                None => return Some(End::PodLost("the pod was deleted".to_owned())),
            },
            None => first_pod(pods)?,
        };
        let name = pod.metadata.name.clone().unwrap_or_default();
        if self.pod_uid.is_none() {
            self.pod_uid.clone_from(&pod.metadata.uid);
        }
        let line = format!("Pod {name}: {}", describe(pod));
        if line != self.said {
            say(live, voice, &line).await;
            self.said = line;
        }
        let waited = |since: Instant, limit: Duration| since.elapsed() >= limit;
        match stage(pod, OPENCODE_CONTAINER) {
            PodStage::Ended(end) => Some(End::Container(end)),
            PodStage::EndUnknown { why } => self.lagged(STATUS_LAG, false).then_some(End::PodLost(why)),
            PodStage::Blocked { container, why } => Some(End::NotStarted(format!(
                "pod {name}, container {container}: {why}"
            ))),
            PodStage::Unscheduled { why } => waited(self.since, live.limits.schedule).then(|| {
                let why = why.unwrap_or_else(|| "the scheduler said nothing".to_owned());
                End::NotStarted(format!(
                    "pod {name} was not scheduled within {} s: {why}",
                    live.limits.schedule.as_secs()
                ))
            }),
            PodStage::Starting => {
                let bound_at = *self.bound_at.get_or_insert_with(Instant::now);
                waited(bound_at, live.limits.start).then(|| {
                    let seconds = live.limits.start.as_secs();
                    End::NotStarted(format!(
                        "pod {name} did not start within {seconds} s: {}",
                        describe(pod)
                    ))
                })
            }
            PodStage::Running => {
                if !std::mem::replace(&mut self.running, true) {
                    say(live, voice, &format!("Pod running: {name}")).await;
                }
                None
            }
        }
    }

    /// Whether the end is known for so long that nothing more is to be expected.
    fn lagged(&mut self, limit: Duration, at_once: bool) -> bool {
        self.over_since.get_or_insert_with(Instant::now).elapsed() >= limit || at_once
    }

    /// A Job that the view does not show: the API server itself has the last word.
    async fn is_gone(&mut self, live: &Live) -> bool {
        if !self.job_seen && self.job_asked.elapsed() < UNSEEN {
            return false;
        }
        self.job_asked = Instant::now();
        live.job_is_gone().await
    }

    fn next_look(&self, live: &Live) -> Instant {
        let mut next = Instant::now() + Duration::from_secs(5);
        if self.over_since.is_some() {
            next = Instant::now() + Duration::from_millis(250);
        }
        let start = self
            .bound_at
            .map_or(self.since + live.limits.schedule, |at| at + live.limits.start);
        if !self.running && start > Instant::now() {
            next = next.min(start);
        }
        live.deadline.map_or(next, |deadline| next.min(deadline))
    }
}

/// A status line that does not stand in the way of a cancel.
async fn say(live: &Live, voice: &Voice, line: &str) {
    tokio::select! {
        () = voice.status(line) => {}
        _ = live.stop.asked() => {}
    }
}
