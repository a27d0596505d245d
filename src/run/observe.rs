//! Watches one Job until its run is over. Decides nothing about success: it names what was seen first.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, interval, sleep_until};

use super::live::Live;
use super::news::place_of;
use super::site::unless_stopped;
use super::stages::Stages;
use super::told::{AgentsPod, End, LAST_WORDS, agents_pod, is_running, told_end};
use super::voice::Voice;
use crate::cluster::conditions::{PodStage, describe, stage};
use crate::manifest::names::OPENCODE_CONTAINER;

/// How often to look for the record on the volume.
const RECORD_CHECK: Duration = Duration::from_secs(5);
/// A Job that the view has never shown is asked for after this time.
const UNSEEN: Duration = Duration::from_secs(5);
/// When it is said that nothing is heard of pods.
const DEAF: Duration = Duration::from_secs(30);

/// What is remembered between two looks.
struct Progress {
    stages: Stages,
    pod_uid: Option<String>,
    job_seen: bool,
    job_asked: Instant,
    job_gone: bool,
    over_since: Option<Instant>,
    said: String,
    bound: bool,
    running: bool,
    polling: bool,
    told_deaf: bool,
}

/// Waits for the end of the run.
pub async fn observe(live: &Live, voice: &Voice) -> End {
    let mut pulse = live.pulse.clone();
    let mut records = interval(RECORD_CHECK);
    let now = Instant::now();
    let mut progress = Progress {
        stages: Stages::from(now),
        pod_uid: None,
        job_seen: false,
        job_asked: now,
        job_gone: false,
        over_since: None,
        said: String::new(),
        bound: false,
        running: false,
        polling: false,
        told_deaf: false,
    };
    loop {
        // Before the look: what changes while it tells the host of a state wakes it again.
        let health = pulse.borrow_and_update().clone();
        progress
            .stages
            .hear(health.deaf.as_ref().map(|(_, since)| *since));
        if let Some(end) = progress.look(live, voice).await {
            return end;
        }
        if is_out_of_time(live) {
            // What has ended by itself and was not heard yet is not late.
            return tokio::select! {
                reason = live.stop.asked() => End::Cancelled(reason),
                record = live.record() => record.map_or(End::Deadline, End::Record),
            };
        }
        if health.polling && !std::mem::replace(&mut progress.polling, true) {
            let line =
                "Warning: watching Jobs and Pods is not granted (verb `watch`): polling every 2 s instead";
            say(live, voice, line).await;
        }
        if let Some((trouble, since)) = health.trouble
            && since.elapsed() >= live.limits.outage
        {
            return End::Outage(trouble);
        }
        if let Some((trouble, since)) = health.deaf
            && let Some(end) = progress.without_ears(&trouble, since, live, voice).await
        {
            return end;
        }
        tokio::select! {
            reason = live.stop.asked() => return End::Cancelled(reason),
            changed = pulse.changed() => if changed.is_err() {
                return End::Outage("the watch of the cluster ended".to_owned());
            },
            _ = records.tick() => tokio::select! {
                reason = live.stop.asked() => return End::Cancelled(reason),
                record = live.record() => if let Some(record) = record {
                    return End::Record(record);
                },
            },
            () = sleep_until(progress.next_look(live)) => {}
        }
    }
}

impl Progress {
    async fn look(&mut self, live: &Live, voice: &Voice) -> Option<End> {
        let job = live.job();
        self.job_seen |= job.is_some();
        let pods = live.pods();
        let gone = live.parted_pods();
        let pod = match agents_pod(self.pod_uid.as_deref(), &pods, &gone) {
            AgentsPod::Unseen => None,
            AgentsPod::There(pod) => Some(pod),
            AgentsPod::Gone(end) => return Some(end),
        };
        if let Some(pod) = pod {
            self.tell(pod, live, voice).await;
        }
        let last = job.clone().or_else(|| live.parted_job());
        if let Some((end, lag)) = told_end(last.as_deref(), pod) {
            return self.after(lag, end);
        }
        if job.is_none() {
            self.job_gone = self.job_gone || self.is_gone(live).await;
            return match pod {
                _ if !self.job_gone => None,
                // Its agent works on until somebody ends the pod.
                Some(pod) if is_running(pod) && pod.metadata.deletion_timestamp.is_none() => None,
                Some(pod) if is_running(pod) => self.after(LAST_WORDS, End::JobGone),
                _ => Some(End::JobGone),
            };
        }
        if is_out_of_time(live) {
            return None;
        }
        let late = self.stages.late(pod, &live.job_name, &live.limits)?;
        if late.is_sure || self.is_late_indeed(live).await? {
            return Some(late.end);
        }
        None
    }

    /// Whether a pod that is late in the view is so on the volume and for the API server itself; `None` when nobody can say.
    async fn is_late_indeed(&mut self, live: &Live) -> Option<bool> {
        if unless_stopped(&live.stop, live.has_started()).await.ok()? {
            // Its agent is at work, whatever its node has told.
            self.stages.at_work();
            return Some(false);
        }
        let pods = unless_stopped(&live.stop, live.namespace.pods_of(&live.job_name))
            .await
            .ok()?
            .ok()?;
        let pods: Vec<Arc<Pod>> = pods
            .into_iter()
            .filter(|pod| live.owns(pod))
            .map(Arc::new)
            .collect();
        match agents_pod(self.pod_uid.as_deref(), &pods, &[]) {
            AgentsPod::There(pod) => Some(
                self.stages
                    .late(Some(pod), &live.job_name, &live.limits)
                    .is_some(),
            ),
            AgentsPod::Unseen => Some(true),
            // The view is about to hear of it.
            AgentsPod::Gone(_) => Some(false),
        }
    }

    /// Nothing is heard of pods. A Job, and the files of one whose agent works, still tell how the run goes.
    async fn without_ears(
        &mut self,
        trouble: &str,
        since: Instant,
        live: &Live,
        voice: &Voice,
    ) -> Option<End> {
        if since.elapsed() >= DEAF && !std::mem::replace(&mut self.told_deaf, true) {
            let line = format!("Warning: nothing is heard of pods: {trouble}");
            say(live, voice, &line).await;
        }
        let too_long = since.elapsed() >= live.limits.outage && !self.running && !self.stages.is_at_work();
        if !too_long {
            return None;
        }
        if unless_stopped(&live.stop, live.has_started()).await.ok()? {
            self.stages.at_work();
            return None;
        }
        Some(End::Outage(trouble.to_owned()))
    }

    /// An end that a better word may follow for so long.
    fn after(&mut self, lag: Duration, end: End) -> Option<End> {
        let known = *self.over_since.get_or_insert_with(Instant::now);
        (known.elapsed() >= lag).then_some(end)
    }

    /// Binds to the first pod, and says where it is.
    async fn tell(&mut self, pod: &Pod, live: &Live, voice: &Voice) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if self.pod_uid.is_none() {
            self.pod_uid.clone_from(&pod.metadata.uid);
        }
        if let Some(place) = place_of(pod) {
            voice.place(place);
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if let Some(node) = node.filter(|_| !std::mem::replace(&mut self.bound, node.is_some())) {
            voice.event(bound_event(&live.job_name, name, node));
        }
        let line = format!("Pod {name}: {}", describe(pod));
        if line != self.said {
            say(live, voice, &line).await;
            self.said = line;
        }
        if stage(pod, OPENCODE_CONTAINER) == PodStage::Running && !std::mem::replace(&mut self.running, true)
        {
            say(live, voice, &format!("Pod running: {name}")).await;
        }
    }

    /// A Job that the view does not show: the API server itself has the last word.
    async fn is_gone(&mut self, live: &Live) -> bool {
        if !self.job_seen && self.job_asked.elapsed() < UNSEEN {
            return false;
        }
        self.job_asked = Instant::now();
        unless_stopped(&live.stop, live.job_is_gone()).await == Ok(true)
    }

    fn next_look(&self, live: &Live) -> Instant {
        let mut next = Instant::now() + Duration::from_secs(5);
        if self.over_since.is_some() {
            next = Instant::now() + Duration::from_millis(250);
        }
        if !self.running {
            next = next.min(self.stages.next(&live.limits).unwrap_or(next));
        }
        live.deadline.map_or(next, |deadline| next.min(deadline))
    }
}

fn is_out_of_time(live: &Live) -> bool {
    live.deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

fn bound_event(job: &str, pod: &str, node: &str) -> serde_json::Value {
    serde_json::json!({
        "eventType": "opencode_k8s.pod",
        "stream": "system",
        "level": "info",
        "message": format!("Pod {pod} is on node {node}"),
        "payload": {"job": job, "pod": pod, "node": node},
    })
}

/// A status line that does not stand in the way of a cancel.
async fn say(live: &Live, voice: &Voice, line: &str) {
    tokio::select! {
        () = voice.status(line) => {}
        _ = live.stop.asked() => {}
    }
}
