//! One run per agent in this process: the agents' mutexes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Held while a run of the agent is on.
pub struct AgentLock {
    _held: OwnedMutexGuard<()>,
}

/// A run's place among those of its agent. Whoever drops it gives it up.
pub struct Arrival(Either<AgentLock, BoxFuture<'static, AgentLock>>);

impl Arrival {
    /// The lock, if no run of the agent is before it any more.
    ///
    /// # Errors
    /// Its place, which it keeps.
    pub fn lock_now(self) -> Result<AgentLock, Self> {
        match self.0 {
            Either::Left(lock) => Ok(lock),
            Either::Right(mut waiting) => match (&mut waiting).now_or_never() {
                Some(lock) => Ok(lock),
                None => Err(Self(Either::Right(waiting))),
            },
        }
    }

    /// Waits for all runs of the agent that came before.
    pub async fn lock(self) -> AgentLock {
        match self.0 {
            Either::Left(lock) => lock,
            Either::Right(waiting) => waiting.await,
        }
    }
}

type Mutexes = HashMap<String, Weak<AsyncMutex<()>>>;

/// The mutexes of the agents that have a run.
#[derive(Default)]
pub struct AgentLocks(Mutex<Mutexes>);

impl AgentLocks {
    /// Agents that have a run, or one that waits for its turn.
    #[must_use]
    pub fn held(&self) -> usize {
        self.known().len()
    }

    /// A run of this agent is here, behind those that are here already. Asked for before anything of the run takes
    /// time: what the API server answers first must not decide whose turn it is.
    #[must_use]
    pub fn arrive(&self, agent: &str) -> Arrival {
        let mut waiting = self.of(agent).lock_owned().map(AgentLock::from).boxed();
        // The first poll puts it into the mutex' queue, which is one in the order of arrival.
        Arrival(match (&mut waiting).now_or_never() {
            Some(lock) => Either::Left(lock),
            None => Either::Right(waiting),
        })
    }

    /// The mutex of this agent.
    fn of(&self, agent: &str) -> Arc<AsyncMutex<()>> {
        let mut known = self.known();
        if let Some(mutex) = known.get(agent).and_then(Weak::upgrade) {
            return mutex;
        }
        let mutex = Arc::new(AsyncMutex::new(()));
        known.insert(agent.to_owned(), Arc::downgrade(&mutex));
        mutex
    }

    /// Those that somebody holds or waits for; the others are forgotten.
    fn known(&self) -> MutexGuard<'_, Mutexes> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, mutex| mutex.strong_count() > 0);
        known
    }
}

impl From<OwnedMutexGuard<()>> for AgentLock {
    fn from(held: OwnedMutexGuard<()>) -> Self {
        Self { _held: held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_has_one_mutex_while_it_is_used_and_none_afterwards() {
        let locks = AgentLocks::default();
        let (first, second) = (locks.arrive("a").lock_now(), locks.arrive("a").lock_now());
        let (Ok(first), Err(second)) = (first, second) else {
            panic!("one of the two has to wait");
        };
        assert!(
            locks.arrive("b").lock_now().is_ok(),
            "another agent is not in the way"
        );
        assert_eq!(locks.held(), 1);
        drop(first);
        assert!(second.lock_now().is_ok(), "nobody is before it any more");
        assert_eq!(locks.held(), 0);
    }

    #[tokio::test]
    async fn runs_of_an_agent_have_their_turn_in_the_order_in_which_they_came() {
        let locks = AgentLocks::default();
        let (first, given_up) = (locks.arrive("a"), locks.arrive("a"));
        let (third, fourth) = (locks.arrive("a"), locks.arrive("a"));
        drop(given_up);
        // The last one asks first.
        let mut fourth = fourth.lock().boxed();
        assert!((&mut fourth).now_or_never().is_none());
        drop(first.lock().await);
        assert!((&mut fourth).now_or_never().is_none(), "the third is before it");
        drop(third.lock().await);
        fourth.await;
    }
}
