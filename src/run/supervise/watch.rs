//! Watches one Job until its run is over. Decides nothing about success: it names what was seen first.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, interval, sleep_until};

use crate::cluster::conditions::{PodStage, describe, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::context::unless_stopped;
use crate::run::host::log::HostLog;
use crate::run::host::progress::phase_of;
use crate::run::job::end::{AgentsPod, LAST_WORDS, RunEnd, agents_pod, end_of, is_running};
use crate::run::job::handle::JobHandle;
use crate::run::supervise::start_limits::StartClocks;

/// How often to look for the record on the volume.
const RECORD_CHECK: Duration = Duration::from_secs(5);
/// A Job that the view has never shown is asked for after this time.
const UNSEEN: Duration = Duration::from_secs(5);
/// When it is said that nothing is heard of pods.
const PODS_STALE: Duration = Duration::from_secs(30);

/// What is remembered between two looks.
struct Progress {
    stages: StartClocks,
    pod_uid: Option<String>,
    job_seen: bool,
    job_asked: Instant,
    job_gone: bool,
    over_since: Option<Instant>,
    said: String,
    bound: bool,
    running: bool,
    polling: bool,
    said_stale: bool,
}

/// Waits for the end of the run.
pub async fn watch_job(handle: &JobHandle, host_log: &HostLog) -> RunEnd {
    let mut updates = handle.status.clone();
    let mut records = interval(RECORD_CHECK);
    let now = Instant::now();
    let mut progress = Progress {
        stages: StartClocks::from(now),
        pod_uid: None,
        job_seen: false,
        job_asked: now,
        job_gone: false,
        over_since: None,
        said: String::new(),
        bound: false,
        running: false,
        polling: false,
        said_stale: false,
    };
    loop {
        // Before the look: what changes while it tells the host of a state wakes it again.
        let status = updates.borrow_and_update().clone();
        progress
            .stages
            .pause(status.pods_stale_since.as_ref().map(|(_, since)| *since));
        if let Some(end) = progress.look(handle, host_log).await {
            return end;
        }
        if is_out_of_time(handle) {
            // What has ended by itself and was not heard yet is not late.
            return tokio::select! {
                reason = handle.stop.asked() => RunEnd::Cancelled(reason),
                record = handle.record() => record.map_or(RunEnd::Deadline, RunEnd::Record),
            };
        }
        if status.polling && !std::mem::replace(&mut progress.polling, true) {
            let line =
                "Warning: watching Jobs and Pods is not granted (verb `watch`): polling every 2 s instead";
            say(handle, host_log, line).await;
        }
        if let Some((trouble, since)) = status.unreachable_since
            && since.elapsed() >= handle.limits.outage
        {
            return RunEnd::Outage(trouble);
        }
        if let Some((trouble, since)) = status.pods_stale_since
            && let Some(end) = progress
                .while_pods_are_stale(&trouble, since, handle, host_log)
                .await
        {
            return end;
        }
        tokio::select! {
            reason = handle.stop.asked() => return RunEnd::Cancelled(reason),
            changed = updates.changed() => if changed.is_err() {
                return RunEnd::Outage("the watch of the cluster ended".to_owned());
            },
            _ = records.tick() => tokio::select! {
                reason = handle.stop.asked() => return RunEnd::Cancelled(reason),
                record = handle.record() => if let Some(record) = record {
                    return RunEnd::Record(record);
                },
            },
            () = sleep_until(progress.next_look(handle)) => {}
        }
    }
}

impl Progress {
    async fn look(&mut self, handle: &JobHandle, host_log: &HostLog) -> Option<RunEnd> {
        let job = handle.job();
        self.job_seen |= job.is_some();
        let pods = handle.pods();
        let gone = handle.last_known_pods();
        let pod = match agents_pod(self.pod_uid.as_deref(), &pods, &gone) {
            AgentsPod::Unseen => None,
            AgentsPod::There(pod) => Some(pod),
            AgentsPod::Gone(end) => return Some(end),
        };
        if let Some(pod) = pod {
            self.tell(pod, handle, host_log).await;
        }
        let last = job.clone().or_else(|| handle.last_known_job());
        if let Some((end, lag)) = end_of(last.as_deref(), pod) {
            return self.after(lag, end);
        }
        if job.is_none() {
            self.job_gone = self.job_gone || self.is_gone(handle).await;
            return match pod {
                _ if !self.job_gone => None,
                // Its agent works on until somebody ends the pod.
                Some(pod) if is_running(pod) && pod.metadata.deletion_timestamp.is_none() => None,
                Some(pod) if is_running(pod) => self.after(LAST_WORDS, RunEnd::JobGone),
                _ => Some(RunEnd::JobGone),
            };
        }
        if is_out_of_time(handle) {
            return None;
        }
        let late = self.stages.late(pod, &handle.job_name, &handle.limits)?;
        if late.is_sure || self.is_late_indeed(handle).await? {
            return Some(late.end);
        }
        None
    }

    /// Whether a pod that is late in the view is so on the volume and for the API server itself; `None` when nobody can say.
    async fn is_late_indeed(&mut self, handle: &JobHandle) -> Option<bool> {
        if unless_stopped(&handle.stop, handle.has_started()).await.ok()? {
            // Its agent is at work, whatever its node has told.
            self.stages.at_work();
            return Some(false);
        }
        let pods = unless_stopped(&handle.stop, handle.namespace.pods_of(&handle.job_name))
            .await
            .ok()?
            .ok()?;
        let pods: Vec<Arc<Pod>> = pods
            .into_iter()
            .filter(|pod| handle.owns(pod))
            .map(Arc::new)
            .collect();
        match agents_pod(self.pod_uid.as_deref(), &pods, &[]) {
            AgentsPod::There(pod) => Some(
                self.stages
                    .late(Some(pod), &handle.job_name, &handle.limits)
                    .is_some(),
            ),
            AgentsPod::Unseen => Some(true),
            // The view is about to hear of it.
            AgentsPod::Gone(_) => Some(false),
        }
    }

    /// Nothing is heard of pods. A Job, and the files of one whose agent works, still tell how the run goes.
    async fn while_pods_are_stale(
        &mut self,
        trouble: &str,
        since: Instant,
        handle: &JobHandle,
        host_log: &HostLog,
    ) -> Option<RunEnd> {
        if since.elapsed() >= PODS_STALE && !std::mem::replace(&mut self.said_stale, true) {
            let line = format!("Warning: nothing is heard of pods: {trouble}");
            say(handle, host_log, &line).await;
        }
        let too_long = since.elapsed() >= handle.limits.outage && !self.running && !self.stages.is_at_work();
        if !too_long {
            return None;
        }
        if unless_stopped(&handle.stop, handle.has_started()).await.ok()? {
            self.stages.at_work();
            return None;
        }
        Some(RunEnd::Outage(trouble.to_owned()))
    }

    /// An end that a better word may follow for so long.
    fn after(&mut self, lag: Duration, end: RunEnd) -> Option<RunEnd> {
        let known = *self.over_since.get_or_insert_with(Instant::now);
        (known.elapsed() >= lag).then_some(end)
    }

    /// Binds to the first pod, and says where it is.
    async fn tell(&mut self, pod: &Pod, handle: &JobHandle, host_log: &HostLog) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if self.pod_uid.is_none() {
            self.pod_uid.clone_from(&pod.metadata.uid);
        }
        if let Some(phase) = phase_of(pod) {
            host_log.phase(phase);
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if let Some(node) = node.filter(|_| !std::mem::replace(&mut self.bound, node.is_some())) {
            host_log.event(bound_event(&handle.job_name, name, node));
        }
        let line = format!("Pod {name}: {}", describe(pod));
        if line != self.said {
            say(handle, host_log, &line).await;
            self.said = line;
        }
        if stage(pod, OPENCODE_CONTAINER) == PodStage::Running && !std::mem::replace(&mut self.running, true)
        {
            say(handle, host_log, &format!("Pod running: {name}")).await;
        }
    }

    /// A Job that the view does not show: the API server itself has the last word.
    async fn is_gone(&mut self, handle: &JobHandle) -> bool {
        if !self.job_seen && self.job_asked.elapsed() < UNSEEN {
            return false;
        }
        self.job_asked = Instant::now();
        unless_stopped(&handle.stop, handle.job_is_gone()).await == Ok(true)
    }

    fn next_look(&self, handle: &JobHandle) -> Instant {
        let mut next = Instant::now() + Duration::from_secs(5);
        if self.over_since.is_some() {
            next = Instant::now() + Duration::from_millis(250);
        }
        if !self.running {
            next = next.min(self.stages.next(&handle.limits).unwrap_or(next));
        }
        handle.deadline.map_or(next, |deadline| next.min(deadline))
    }
}

fn is_out_of_time(handle: &JobHandle) -> bool {
    handle.deadline.is_some_and(|deadline| Instant::now() >= deadline)
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
async fn say(handle: &JobHandle, host_log: &HostLog, line: &str) {
    tokio::select! {
        () = host_log.status(line) => {}
        _ = handle.stop.asked() => {}
    }
}
