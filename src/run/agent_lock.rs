//! One run per agent in this process: the agents' mutexes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Held while a run of the agent is on.
pub struct AgentLock {
    _held: OwnedMutexGuard<()>,
}

type Mutexes = HashMap<(String, String), Weak<AsyncMutex<()>>>;

/// The mutexes of the agents that have a run.
#[derive(Default)]
pub struct AgentLocks(Mutex<Mutexes>);

impl AgentLocks {
    /// Agents that have a run, or one that waits for its turn.
    #[must_use]
    pub fn held(&self) -> usize {
        self.known().len()
    }

    /// The mutex of this agent.
    pub(crate) fn of(&self, namespace: &str, agent: &str) -> Arc<AsyncMutex<()>> {
        let mut known = self.known();
        let key = (namespace.to_owned(), agent.to_owned());
        if let Some(mutex) = known.get(&key).and_then(Weak::upgrade) {
            return mutex;
        }
        let mutex = Arc::new(AsyncMutex::new(()));
        known.insert(key, Arc::downgrade(&mutex));
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
        let first = locks.of("ns", "a");
        assert!(Arc::ptr_eq(&first, &locks.of("ns", "a")));
        assert!(!Arc::ptr_eq(&first, &locks.of("ns", "b")));
        let held = first.clone().try_lock_owned().expect("free");
        assert!(locks.of("ns", "a").try_lock_owned().is_err());
        assert_eq!(locks.held(), 1);
        drop((held, first));
        assert_eq!(locks.held(), 0);
        assert!(locks.of("ns", "a").try_lock_owned().is_ok());
    }
}
