//! How many runs of a namespace are on in this process at once (`maxConcurrentRuns`), and who is next. Fair among
//! agents: of those that wait, the agent that got a place longest ago is first, and one that never got any before it;
//! of one agent's runs, and among equals, whoever came first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places of all namespaces. Cheap to clone.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<String, Namespace>>>);

#[derive(Default)]
struct Namespace {
    taken: u64,
    /// In the order of their coming.
    waiting: Vec<Waiting>,
    /// The number of the last place that each agent got. As long as somebody has a place or waits for one.
    served: HashMap<String, u64>,
    next_number: u64,
}

struct Waiting {
    agent: String,
    /// Its own setting: agents of a namespace may have different ones.
    limit: u64,
    grant: oneshot::Sender<Place>,
}

/// Held while a run is on that counts. Dropped, it goes to the next that waits.
pub struct Place {
    /// `None`: it was never given to anybody.
    of: Option<(Places, String)>,
}

/// A run's turn for a place. Dropped, it is nobody's.
pub enum Turn {
    /// It is there.
    Now(Place),
    /// Others have theirs. So many runs are on.
    Later(u64, oneshot::Receiver<Place>),
}

impl Places {
    /// A place among at most `limit`, 0: among any number. Nobody overtakes who waits already.
    #[must_use]
    pub fn turn(&self, namespace: &str, agent: &str, limit: u64) -> Turn {
        let mut all = self.lock();
        let here = all.entry(namespace.to_owned()).or_default();
        here.forget_those_who_left();
        let is_free = |waiting: &Waiting| here.taken < waiting.limit;
        if limit == 0 || (here.taken < limit && !here.waiting.iter().any(is_free)) {
            here.serve(agent);
            return Turn::Now(self.place(namespace));
        }
        let (grant, granted) = oneshot::channel();
        here.waiting.push(Waiting {
            agent: agent.to_owned(),
            limit,
            grant,
        });
        Turn::Later(here.taken, granted)
    }

    /// Runs that have a place, and runs that wait for one, in all namespaces.
    #[must_use]
    pub fn count(&self) -> (u64, usize) {
        let mut all = self.lock();
        all.values_mut().for_each(Namespace::forget_those_who_left);
        let both = |(taken, waiting): (u64, usize), here: &Namespace| {
            (taken + here.taken, waiting + here.waiting.len())
        };
        all.values().fold((0, 0), both)
    }

    fn place(&self, namespace: &str) -> Place {
        Place {
            of: Some((self.clone(), namespace.to_owned())),
        }
    }

    /// A place is free: it goes to the next. Whoever left while it was on its way leaves it to the one after.
    fn release(&self, namespace: &str) {
        let mut all = self.lock();
        let Some(here) = all.get_mut(namespace) else {
            return;
        };
        here.taken = here.taken.saturating_sub(1);
        while let Some(next) = here.next() {
            here.serve(&next.agent);
            if let Err(mut refused) = next.grant.send(self.place(namespace)) {
                // Its own end would ask for the lock that is held here.
                refused.of = None;
                here.taken = here.taken.saturating_sub(1);
            }
        }
        if here.taken == 0 && here.waiting.is_empty() {
            all.remove(namespace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespace {
    fn serve(&mut self, agent: &str) {
        self.taken += 1;
        self.next_number += 1;
        self.served.insert(agent.to_owned(), self.next_number);
    }

    /// Who gets the next place, if one is free for somebody.
    fn next(&mut self) -> Option<Waiting> {
        self.forget_those_who_left();
        let may = |waiting: &Waiting| self.taken < waiting.limit;
        let served = |waiting: &Waiting| self.served.get(&waiting.agent).copied().unwrap_or_default();
        let all = self.waiting.iter().enumerate();
        let (at, _) = all
            .filter(|(_, waiting)| may(waiting))
            .min_by_key(|(at, waiting)| (served(waiting), *at))?;
        Some(self.waiting.remove(at))
    }

    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|waiting| !waiting.grant.is_closed());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((places, namespace)) = self.of.take() {
            places.release(&namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(turn: Turn) -> Place {
        match turn {
            Turn::Now(place) => place,
            Turn::Later(..) => panic!("it has to wait"),
        }
    }

    fn later(turn: Turn) -> oneshot::Receiver<Place> {
        match turn {
            Turn::Later(_, granted) => granted,
            Turn::Now(_) => panic!("nobody waits"),
        }
    }

    #[test]
    fn no_more_runs_than_places_and_none_without_a_limit() {
        let places = Places::default();
        let _unlimited: Vec<Place> = (0..9).map(|_| now(places.turn("a", "x", 0))).collect();
        let first = now(places.turn("ns", "a", 2));
        let second = now(places.turn("ns", "b", 2));
        let mut third = later(places.turn("ns", "c", 2));
        let _elsewhere = now(places.turn("other", "d", 2));
        assert!(third.try_recv().is_err());
        drop(first);
        let third = third.try_recv().expect("its turn");
        let mut fourth = later(places.turn("ns", "d", 2));
        drop(second);
        drop((fourth.try_recv().expect("its turn"), third));
        assert_eq!(places.count(), (10, 0));
    }

    #[test]
    fn an_agent_with_many_runs_does_not_keep_the_others_waiting() {
        let places = Places::default();
        let mut held = now(places.turn("ns", "busy", 1));
        let mut turns: Vec<(&str, oneshot::Receiver<Place>)> = ["busy", "busy", "busy", "a", "b", "a"]
            .map(|agent| (agent, later(places.turn("ns", agent, 1))))
            .into();
        let mut order = Vec::new();
        while !turns.is_empty() {
            drop(held);
            let at = turns.iter_mut().enumerate();
            let (at, place) = at
                .filter_map(|(at, (_, turn))| Some((at, turn.try_recv().ok()?)))
                .next()
                .expect("somebody's turn");
            held = place;
            order.push(turns.remove(at).0);
        }
        assert_eq!(order, ["a", "b", "busy", "a", "busy", "busy"]);
        drop(held);
        assert!(places.lock().is_empty(), "nothing is kept");
    }

    #[test]
    fn whoever_leaves_takes_no_place_along() {
        let places = Places::default();
        let first = now(places.turn("ns", "a", 1));
        let second = later(places.turn("ns", "b", 1));
        let mut third = later(places.turn("ns", "c", 1));
        drop(second);
        drop(first);
        let place = third.try_recv().expect("its turn");
        let fourth = later(places.turn("ns", "d", 1));
        drop(place);
        // It is on its way, and nobody takes it any more.
        drop(fourth);
        drop(now(places.turn("ns", "e", 1)));
        assert_eq!(places.count(), (0, 0));
        assert!(places.lock().is_empty());
    }

    #[test]
    fn nobody_overtakes_but_whose_own_limit_is_larger() {
        let places = Places::default();
        let _first = now(places.turn("ns", "a", 1));
        let _waits = later(places.turn("ns", "b", 1));
        let _larger = now(places.turn("ns", "c", 3));
    }
}
