//! How long a pod may stay on its way. Pure: times are arguments.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::cluster::conditions::{PodStage, describe, stage, waits_because};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::job::end::Cause;
use crate::run::job::handle::Limits;
use crate::run::timing::LAST_WORDS;

/// The clocks of one pod's way. They stand still while nothing is known of pods or the Job is suspended: what cannot be
/// seen is not late, and what was cut off from the API server was not at work on it either.
#[derive(Debug)]
pub(crate) struct StartClocks {
    since: Instant,
    bound_at: Option<Instant>,
    deleted_at: Option<Instant>,
    paused_at: Option<Instant>,
    /// The last reason for which a container of the Job waited.
    waited_because: Option<String>,
}

/// A pod that is not where it should be by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lateness {
    /// Nothing else needs to be asked.
    Sure(Cause),
    /// A view can be old, and a node fall silent before it has reported that its pod runs: ask before it counts.
    Apparent(Cause),
}

impl StartClocks {
    pub(crate) fn from(since: Instant) -> Self {
        Self {
            since,
            bound_at: None,
            deleted_at: None,
            paused_at: None,
            waited_because: None,
        }
    }

    /// Since when the clocks stand still, if they do.
    pub(crate) fn pause(&mut self, paused_at: Option<Instant>, now: Instant) {
        match (self.paused_at, paused_at) {
            (None, Some(at)) => self.paused_at = Some(at),
            (Some(at), None) => {
                self.since += now - at.max(self.since).min(now);
                for start in [&mut self.bound_at, &mut self.deleted_at].into_iter().flatten() {
                    *start += now - at.max(*start).min(now);
                }
                self.paused_at = None;
            }
            _ => {}
        }
    }

    /// What is late about the Job's pod, or about its having none. `at_work`: the agent is known to have started.
    pub(crate) fn late(
        &mut self,
        pod: Option<&Pod>,
        at_work: bool,
        job: &str,
        limits: &Limits,
        now: Instant,
    ) -> Option<Lateness> {
        if self.paused_at.is_some() {
            return None;
        }
        let Some(pod) = pod else {
            return self.without_pod(job, limits, now).filter(|_| !at_work);
        };
        let never = self.never_ends(pod, limits, now);
        never.or_else(|| self.too_late(pod, limits, now).filter(|_| !at_work))
    }

    /// When the next limit passes.
    pub(crate) fn next(&self, limits: &Limits, now: Instant) -> Option<Instant> {
        let due = self
            .bound_at
            .map_or(self.since + limits.schedule, |at| at + limits.start);
        (self.paused_at.is_none() && due > now).then_some(due)
    }

    /// A pod that is being deleted on a node that is dead stays for ever.
    fn never_ends(&mut self, pod: &Pod, limits: &Limits, now: Instant) -> Option<Lateness> {
        pod.metadata.deletion_timestamp.as_ref()?;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        let since = *self.deleted_at.get_or_insert(now);
        let limit = limits.outage.max(grace.saturating_add(LAST_WORDS));
        let seconds = limit.as_secs();
        let why = format!("the pod is being deleted, and its node did not end it within {seconds} s");
        (now - since >= limit).then_some(Lateness::Sure(Cause::Lost(why)))
    }

    fn too_late(&mut self, pod: &Pod, limits: &Limits, now: Instant) -> Option<Lateness> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let (since, limit, why) = match stage(pod, OPENCODE_CONTAINER) {
            PodStage::Unscheduled { why } => {
                let why = why.unwrap_or_else(|| "the scheduler said nothing".to_owned());
                (
                    self.since,
                    limits.schedule,
                    format!(
                        "Pod was not scheduled within {} s: {why}",
                        limits.schedule.as_secs()
                    ),
                )
            }
            PodStage::Starting => {
                let since = *self.bound_at.get_or_insert(now);
                let because = waits_because(pod, OPENCODE_CONTAINER).or_else(|| self.waited_because.take());
                let state = because.clone().unwrap_or_else(|| describe(pod).join(", "));
                self.waited_because = because;
                (
                    since,
                    limits.start,
                    format!("Pod did not start within {} s: {state}", limits.start.as_secs()),
                )
            }
            _ => return None,
        };
        let late = now - since >= limit;
        late.then(|| Lateness::Apparent(Cause::NeverStarted(format!("{why} (pod {name})"))))
    }

    /// A Job whose controller makes no pod: what refuses it tells the controller, and never us.
    fn without_pod(&self, job: &str, limits: &Limits, now: Instant) -> Option<Lateness> {
        let seconds = limits.schedule.as_secs();
        (now - self.since >= limits.schedule).then(|| {
            Lateness::Apparent(Cause::NeverStarted(format!(
                "No pod was made: no pod was made for job {job} within {seconds} s. Something refuses it, such as a \
                 quota on pods, an admission webhook or a missing service account"
            )))
        })
    }
}
