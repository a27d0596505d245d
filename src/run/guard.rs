//! One run per agent: a mutex in this process, and the Jobs of the agent in the namespace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

use super::failure::{CANCELLED, Failure, GUARD_BLOCKED, GUARD_UNREACHABLE};
use super::stop::Stop;
use super::voice::Voice;
use crate::cluster::conditions::job_end;
use crate::cluster::verbs::{Namespace, patiently};

/// How often to look whether the other Job is over.
const LOOK: Duration = Duration::from_secs(3);
/// A list that fails is repeated for this time before the run is refused.
const PATIENCE: Duration = Duration::from_secs(15);

/// Held while a run of the agent is on.
pub struct Turn {
    _guard: OwnedMutexGuard<()>,
}

type Agents = Mutex<HashMap<(String, String), Weak<AsyncMutex<()>>>>;

/// The mutex of this agent; those of agents without a run are forgotten.
fn mutex_of(namespace: &str, agent: &str) -> Arc<AsyncMutex<()>> {
    static AGENTS: std::sync::OnceLock<Agents> = std::sync::OnceLock::new();
    let mut agents = AGENTS
        .get_or_init(Agents::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    agents.retain(|_, mutex| mutex.strong_count() > 0);
    let key = (namespace.to_owned(), agent.to_owned());
    if let Some(mutex) = agents.get(&key).and_then(Weak::upgrade) {
        return mutex;
    }
    let mutex = Arc::new(AsyncMutex::new(()));
    agents.insert(key, Arc::downgrade(&mutex));
    mutex
}

/// Who waits, and for how long.
pub struct Guard<'a> {
    /// Where the Jobs are.
    pub namespace: &'a Namespace,
    /// The agent's id.
    pub agent: &'a str,
    /// Labels that all Jobs of the agent have.
    pub selector: &'a str,
    /// `guardWaitSec`; zero waits without limit.
    pub limit: Duration,
    /// Asks to stop waiting.
    pub stop: &'a Stop,
}

impl Guard<'_> {
    /// Waits until no other run of the agent is on.
    ///
    /// # Errors
    /// When the wait is cancelled or over, or the Jobs cannot be listed.
    pub async fn wait(&self, voice: &Voice) -> Result<Turn, Failure> {
        tokio::select! {
            turn = self.wait_for_turn(voice) => turn,
            never = keepalive(voice) => match never {},
            reason = self.stop.asked() => Err(cancelled(&reason)),
        }
    }

    async fn wait_for_turn(&self, voice: &Voice) -> Result<Turn, Failure> {
        let until = (!self.limit.is_zero()).then(|| Instant::now() + self.limit);
        let mutex = mutex_of(&self.namespace.name, self.agent);
        let guard = match mutex.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                voice
                    .status("Waiting for another run of this agent in this server to finish before starting")
                    .await;
                let locked = mutex.lock_owned();
                match until {
                    None => locked.await,
                    Some(until) => tokio::time::timeout_at(until, locked)
                        .await
                        .map_err(|_| self.blocked("in this server"))?,
                }
            }
        };
        let mut said = String::new();
        loop {
            let names = self.running().await?;
            if names.is_empty() {
                break;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(self.blocked(&names));
            }
            if said != names {
                voice
                    .status(format!(
                        "Waiting for concurrent Job(s) to finish before starting: {names}"
                    ))
                    .await;
                said = names;
            }
            sleep(LOOK).await;
        }
        if !said.is_empty() {
            voice.status("Concurrent Job(s) done, going on").await;
        }
        Ok(Turn { _guard: guard })
    }

    async fn running(&self) -> Result<String, Failure> {
        let jobs = patiently(PATIENCE, || self.namespace.list_jobs(self.selector))
            .await
            .map_err(|error| {
                Failure::before_start(
                    GUARD_UNREACHABLE,
                    format!("cannot tell whether another run of this agent is on: {error}"),
                )
            })?;
        let names: Vec<String> = jobs
            .iter()
            .filter(|job| is_live(job))
            .filter_map(|job| job.metadata.name.clone())
            .collect();
        Ok(names.join(", "))
    }

    fn blocked(&self, what: &str) -> Failure {
        let seconds = self.limit.as_secs();
        let message =
            format!("another run of this agent is still on after {seconds} s (guardWaitSec): {what}");
        Failure::before_start(GUARD_BLOCKED, message)
    }
}

/// The host takes a run without a sign of life for lost.
async fn keepalive(voice: &Voice) -> std::convert::Infallible {
    loop {
        sleep(Duration::from_secs(15)).await;
        voice.status("keepalive — waiting for this agent's turn").await;
    }
}

/// A Job without a terminal condition, also one that is being deleted: its pods may still write.
fn is_live(job: &Job) -> bool {
    job_end(job).is_none()
}

/// The result of a run that was cancelled before its Job existed.
pub fn cancelled(reason: &str) -> Failure {
    Failure {
        code: CANCELLED,
        message: format!("cancelled ({reason}) before the Job was created"),
        nothing_started: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_has_one_mutex_while_it_is_used_and_none_afterwards() {
        let first = mutex_of("ns", "a");
        assert!(Arc::ptr_eq(&first, &mutex_of("ns", "a")));
        assert!(!Arc::ptr_eq(&first, &mutex_of("ns", "b")));
        let held = first.clone().try_lock_owned().expect("free");
        assert!(mutex_of("ns", "a").try_lock_owned().is_err());
        drop((held, first));
        assert!(mutex_of("ns", "a").try_lock_owned().is_ok());
    }
}
