//! How long a pod may stay on its way. Pure, but for tokio's clock.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::cluster::conditions::{PodStage, describe, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::job::end::{LAST_WORDS, RunEnd};
use crate::run::job::handle::Limits;

/// The clocks of one pod's stages. They stand still while nothing is heard of pods: what cannot be seen is not late, and
/// what was cut off from the API server was not at work on it either.
pub(crate) struct StartClocks {
    since: Instant,
    bound_at: Option<Instant>,
    leaving_since: Option<Instant>,
    pods_stale_since: Option<Instant>,
    at_work: bool,
}

/// A pod that is not where it should be by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// What that makes of the run.
    pub(crate) end: RunEnd,
    /// Nothing else needs to be asked. A view can be old, and a node fall silent before it has told that its pod runs.
    pub(crate) is_sure: bool,
}

impl StartClocks {
    pub(crate) fn from(since: Instant) -> Self {
        Self {
            since,
            bound_at: None,
            leaving_since: None,
            pods_stale_since: None,
            at_work: false,
        }
    }

    /// Since when nothing is heard of pods, if so.
    pub(crate) fn pause(&mut self, stale: Option<Instant>) {
        match (self.pods_stale_since, stale) {
            (None, Some(since)) => self.pods_stale_since = Some(since),
            (Some(since), None) => {
                let of_run = since.max(self.since).elapsed();
                self.since += of_run;
                for at in [&mut self.bound_at, &mut self.leaving_since] {
                    *at = at.map(|at| at + since.max(at).elapsed());
                }
                self.pods_stale_since = None;
            }
            _ => {}
        }
    }

    /// The agent works, though no pod shows it.
    pub(crate) fn at_work(&mut self) {
        self.at_work = true;
    }

    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// What is late about the Job's pod, or about its having none.
    pub(crate) fn late(&mut self, pod: Option<&Pod>, job: &str, limits: &Limits) -> Option<Lateness> {
        if self.pods_stale_since.is_some() {
            return None;
        }
        let Some(pod) = pod else {
            return self.without_pod(job, limits);
        };
        let never = self.never_ends(pod, limits);
        never.or_else(|| self.too_late(pod, limits))
    }

    /// When a look is due again.
    pub(crate) fn next(&self, limits: &Limits) -> Option<Instant> {
        let due = self
            .bound_at
            .map_or(self.since + limits.schedule, |at| at + limits.start);
        (self.pods_stale_since.is_none() && due > Instant::now()).then_some(due)
    }

    /// A pod that is being deleted on a node that is dead stays for ever.
    fn never_ends(&mut self, pod: &Pod, limits: &Limits) -> Option<Lateness> {
        pod.metadata.deletion_timestamp.as_ref()?;
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
        let since = *self.leaving_since.get_or_insert_with(Instant::now);
        let limit = limits.outage.max(grace + LAST_WORDS);
        let seconds = limit.as_secs();
        let why = format!("the pod is being deleted, and its node did not end it within {seconds} s");
        (since.elapsed() >= limit).then_some(Lateness {
            end: RunEnd::PodLost(why),
            is_sure: true,
        })
    }

    fn too_late(&mut self, pod: &Pod, limits: &Limits) -> Option<Lateness> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        match stage(pod, OPENCODE_CONTAINER) {
            PodStage::Unscheduled { why } => {
                (!self.at_work && self.since.elapsed() >= limits.schedule).then(|| {
                    let why = why.unwrap_or_else(|| "the scheduler said nothing".to_owned());
                    let seconds = limits.schedule.as_secs();
                    Lateness {
                        end: RunEnd::NotStarted(format!(
                            "pod {name} was not scheduled within {seconds} s: {why}"
                        )),
                        is_sure: false,
                    }
                })
            }
            PodStage::Starting if !self.at_work => {
                let bound_at = *self.bound_at.get_or_insert_with(Instant::now);
                (bound_at.elapsed() >= limits.start).then(|| {
                    let (seconds, state) = (limits.start.as_secs(), describe(pod));
                    Lateness {
                        end: RunEnd::NotStarted(format!(
                            "pod {name} did not start within {seconds} s: {state}"
                        )),
                        is_sure: false,
                    }
                })
            }
            _ => None,
        }
    }

    /// A Job whose controller makes no pod: what refuses it tells the controller, and never us.
    fn without_pod(&self, job: &str, limits: &Limits) -> Option<Lateness> {
        let seconds = limits.schedule.as_secs();
        (!self.at_work && self.since.elapsed() >= limits.schedule).then(|| Lateness {
            end: RunEnd::NotStarted(format!(
                "no pod was made for job {job} within {seconds} s: look at the Job's events for what refuses it (a quota \
                 on pods, an admission webhook, a missing service account)"
            )),
            is_sure: false,
        })
    }
}
