//! What all runs of one JavaScript environment tell their hosts crosses together: one look at all files is one
//! crossing. Each run still has its own call under way and waits for its own answer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::run::host::{Host, Kind};

/// Runs that speak within this time cross together: a look at all files takes about as long to be told.
const GATHER: Duration = Duration::from_millis(2);
/// A run that was answered so lately has more to say, and others are not waited for.
const GOES_ON: Duration = Duration::from_millis(5);
/// Bytes of one crossing, roughly: taking it must not hold up the JavaScript thread.
const CROSSING_BYTES: usize = 512 << 10;

/// One thing that one run tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which run.
    pub run: u32,
    /// Names the call in its answer.
    pub call: u32,
    /// What it is.
    pub kind: Kind,
    /// Lines or JSON.
    pub payload: String,
}

/// How a call went: an error is the message of what the host's callback did.
pub type Answer = Result<(), String>;

/// The calls of all runs.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Wakes whoever waits for a crossing.
    arrived: Notify,
    deliver: Box<dyn Fn(Vec<Call>) + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// Who waits for the answer of a call.
    asked: HashMap<u32, oneshot::Sender<Answer>>,
    next_call: u32,
    next_run: u32,
    /// A crossing is on its way: the next one goes when it has arrived.
    under_way: bool,
    /// Whose calls it holds.
    crossing: Vec<u32>,
    /// OtherServers may speak in a moment.
    gathering: bool,
    /// What waits has waited long enough.
    due: bool,
    closed: bool,
}

impl State {
    /// Whether something of this run has not reached its host.
    fn tells(&self, run: u32) -> bool {
        self.crossing.contains(&run) || self.waiting.iter().any(|call| call.run == run)
    }
}

impl Calls {
    /// `deliver` must not block. It is called from any thread, and again only after [`Calls::arrived`].
    pub fn new(deliver: impl Fn(Vec<Call>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            arrived: Notify::new(),
            deliver: Box::new(deliver),
        }))
    }

    /// A host for one more run, and the run's number.
    #[must_use]
    pub fn caller(&self) -> (u32, Caller) {
        let mut state = self.lock();
        let run = state.next_run;
        state.next_run = state.next_run.wrapping_add(1);
        let caller = Caller {
            calls: self.clone(),
            run,
            answered: Mutex::new(None),
        };
        (run, caller)
    }

    /// The last crossing is taken apart: the next one may go.
    pub fn arrived(&self) {
        let mut state = self.lock();
        state.under_way = false;
        state.crossing.clear();
        drop(state);
        self.flush();
        self.0.arrived.notify_waiters();
    }

    /// The host's callback has ended.
    pub fn answer(&self, call: u32, answer: Answer) {
        let asked = self.lock().asked.remove(&call);
        // Whoever asked may have lost his patience.
        let _ = asked.map(|asked| asked.send(answer));
    }

    /// Waits until all that this run has told has reached its host, answered or not: what crosses after the run's
    /// result finds nobody.
    pub async fn told(&self, run: u32) {
        loop {
            let arrived = self.0.arrived.notified();
            if !self.lock().tells(run) {
                return;
            }
            arrived.await;
        }
    }

    /// The environment is gone: nobody answers any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        state.crossing.clear();
        state.asked.clear();
        drop(state);
        self.0.arrived.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, run: u32, kind: Kind, payload: String, at_once: bool) -> (u32, oneshot::Receiver<Answer>) {
        let (asked, answer) = oneshot::channel();
        let mut state = self.lock();
        let call = state.next_call;
        if state.closed {
            return (call, answer);
        }
        state.next_call = state.next_call.wrapping_add(1);
        state.asked.insert(call, asked);
        state.waiting.push_back(Call {
            run,
            call,
            kind,
            payload,
        });
        state.due |= at_once;
        if !state.due && !state.gathering {
            state.gathering = true;
            let calls = self.clone();
            tokio::spawn(async move {
                sleep(GATHER).await;
                let mut state = calls.lock();
                state.gathering = false;
                state.due = true;
                drop(state);
                calls.flush();
            });
        }
        drop(state);
        self.flush();
        (call, answer)
    }

    fn flush(&self) {
        let mut state = self.lock();
        if state.under_way || !state.due || state.closed {
            return;
        }
        let (mut crossing, mut bytes) = (Vec::new(), 0);
        while bytes < CROSSING_BYTES
            && let Some(call) = state.waiting.pop_front()
        {
            bytes += call.payload.len();
            crossing.push(call);
        }
        state.due = !state.waiting.is_empty();
        state.under_way = !crossing.is_empty();
        state.crossing.extend(crossing.iter().map(|call: &Call| call.run));
        drop(state);
        if !crossing.is_empty() {
            (self.0.deliver)(crossing);
        }
    }
}

/// The host of one run.
pub struct Caller {
    calls: Calls,
    run: u32,
    answered: Mutex<Option<Instant>>,
}

impl Host for Caller {
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let goes_on = self.answered().is_some_and(|at| at.elapsed() < GOES_ON);
            let (call, answer) = self.calls.post(self.run, kind, payload, goes_on);
            let _asked = Asked(&self.calls, call);
            let answer = answer.await;
            *self.answered() = Some(Instant::now());
            answer.unwrap_or_else(|_| Err("its thread has ended".to_owned()))
        })
    }
}

impl Caller {
    fn answered(&self) -> MutexGuard<'_, Option<Instant>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a call that nobody waits for any more.
struct Asked<'a>(&'a Calls, u32);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().asked.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    type Crossings = Arc<Mutex<Vec<Vec<Call>>>>;

    /// Calls whose host takes every crossing at once, and answers every call at once if it shall.
    fn calls(answers: bool) -> (Calls, Crossings) {
        let crossings = Crossings::default();
        let (kept, slot) = (crossings.clone(), Arc::new(Mutex::new(None::<Calls>)));
        let host = slot.clone();
        let calls = Calls::new(move |crossing| {
            let calls = host.lock().expect("the host").clone().expect("the calls");
            kept.lock().expect("the crossings").push(crossing.clone());
            tokio::spawn(async move {
                calls.arrived();
                if answers {
                    crossing.iter().for_each(|call| calls.answer(call.call, Ok(())));
                }
            });
        });
        *slot.lock().expect("the host") = Some(calls.clone());
        (calls, crossings)
    }

    fn callers(calls: &Calls, count: usize) -> Vec<Caller> {
        (0..count).map(|_| calls.caller().1).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_144_runs_say_within_a_look_is_one_crossing() {
        let (calls, crossings) = calls(true);
        let callers = callers(&calls, 144);
        for round in 1..=3 {
            join_all(
                callers
                    .iter()
                    .map(|run| run.say(Kind::Stdout, "line\n".to_owned())),
            )
            .await;
            assert_eq!(crossings.lock().expect("the crossings").len(), round);
            sleep(Duration::from_millis(250)).await;
        }
        let crossings = crossings.lock().expect("the crossings");
        assert!(crossings.iter().all(|crossing| crossing.len() == 144));
        assert!(calls.lock().asked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_with_much_to_say_waits_for_no_other() {
        let (calls, crossings) = calls(true);
        let run = calls.caller().1;
        let since = Instant::now();
        for number in 0..1_000 {
            run.say(Kind::Stdout, format!("{number}\n")).await.expect("said");
        }
        assert!(since.elapsed() <= GATHER * 2, "{:?}", since.elapsed());
        let crossings = crossings.lock().expect("the crossings");
        let text: Vec<&str> = crossings
            .iter()
            .flatten()
            .map(|call| call.payload.trim())
            .collect();
        assert_eq!(
            text,
            (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_holds_up_its_run_only() {
        let (calls, crossings) = calls(false);
        let [slow, quick] = [calls.caller().1, calls.caller().1];
        let stuck = tokio::time::timeout(Duration::from_secs(30), slow.say(Kind::Stdout, "a\n".to_owned()));
        let said = async {
            sleep(Duration::from_secs(1)).await;
            let saying = quick.say(Kind::Stdout, "b\n".to_owned());
            let answered = async {
                sleep(Duration::from_millis(10)).await;
                calls.answer(1, Err("refused".to_owned()));
            };
            futures::join!(saying, answered).0
        };
        let (stuck, said) = futures::join!(stuck, said);
        assert!(stuck.is_err(), "it waits as long as its run waits");
        assert_eq!(said, Err("refused".to_owned()));
        assert_eq!(crossings.lock().expect("the crossings").len(), 2);
        assert!(calls.lock().asked.is_empty(), "and is forgotten then");
        calls.answer(0, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_crosses_while_a_crossing_is_on_its_way_and_nothing_is_lost() {
        let crossings = Crossings::default();
        let kept = crossings.clone();
        let calls = Calls::new(move |crossing| kept.lock().expect("the crossings").push(crossing));
        let run = |text: &str| {
            let (caller, text) = (calls.caller().1, text.to_owned());
            tokio::spawn(async move { caller.say(Kind::Stdout, text).await })
        };
        let first = run("a\n");
        sleep(Duration::from_millis(10)).await;
        let others = [run("b\n"), run("c\n")];
        sleep(Duration::from_secs(10)).await;
        assert_eq!(crossings.lock().expect("the crossings").len(), 1);
        calls.arrived();
        assert_eq!(
            crossings.lock().expect("the crossings").get(1).map(Vec::len),
            Some(2)
        );
        calls.close();
        for said in others.into_iter().chain([first]) {
            assert!(said.await.expect("no panic").is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_told_when_its_last_words_have_arrived_answered_or_not() {
        let crossings = Crossings::default();
        let kept = crossings.clone();
        let calls = Calls::new(move |crossing| kept.lock().expect("the crossings").push(crossing));
        let (number, caller) = calls.caller();
        for word in ["a\n", "b\n"] {
            let said = tokio::time::timeout(Duration::ZERO, caller.say(Kind::Stdout, word.to_owned()));
            assert!(said.await.is_err(), "nobody waits for the answer");
            sleep(GATHER * 2).await;
        }
        let told = calls.told(number);
        futures::pin_mut!(told);
        for count in 1..=2 {
            assert!(futures::poll!(told.as_mut()).is_pending());
            assert_eq!(crossings.lock().expect("the crossings").len(), count);
            calls.arrived();
        }
        told.await;
        calls.told(99).await;
    }
}
