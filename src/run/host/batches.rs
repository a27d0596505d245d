//! Sends the calls of all runs of one JavaScript environment in batches, because a batch into JavaScript costs much
//! and a call in it little. Each run still has its own calls, and waits for its own answers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::run::host::{Host, Kind};
use crate::run::timing::{GATHER_TIME, RECENT_ANSWER};

/// Bytes of one batch, roughly: taking it must not hold up the JavaScript thread.
const BATCH_BYTES: usize = 512 << 10;

/// One call of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Number of the run.
    pub run: u32,
    /// Number of the call, by which it is answered.
    pub call: u32,
    /// What it is about.
    pub kind: Kind,
    /// Lines or JSON.
    pub payload: String,
}

/// How a call went: an error is the message of what the host's callback threw.
pub type Answer = Result<(), String>;

/// The calls of all runs.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Notified when a batch has arrived.
    arrived: Notify,
    deliver: Box<dyn Fn(Vec<Call>) + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// Where the answers go, by the number of the call.
    unanswered: HashMap<u32, oneshot::Sender<Answer>>,
    next_call: u32,
    next_run: u32,
    /// A batch is on its way: the next one goes when it has arrived.
    under_way: bool,
    /// The runs with calls in that batch.
    in_batch: Vec<u32>,
    /// A batch waits for calls of other runs.
    gathering: bool,
    /// What waits goes with the next batch, which need not wait longer.
    due: bool,
    closed: bool,
}

impl State {
    /// Whether a call of this run has not arrived.
    fn has_undelivered(&self, run: u32) -> bool {
        self.in_batch.contains(&run) || self.waiting.iter().any(|call| call.run == run)
    }
}

impl Calls {
    /// `deliver` takes a batch and must not block. It is called from any thread, and again only after
    /// [`Calls::arrived`].
    pub fn new(deliver: impl Fn(Vec<Call>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            arrived: Notify::new(),
            deliver: Box::new(deliver),
        }))
    }

    /// The number of a new run, and its host.
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

    /// The last batch has arrived: the next one may go.
    pub fn arrived(&self) {
        let mut state = self.lock();
        state.under_way = false;
        state.in_batch.clear();
        drop(state);
        self.flush();
        self.0.arrived.notify_waiters();
    }

    /// The host's callback has ended.
    pub fn answer(&self, call: u32, answer: Answer) {
        let unanswered = self.lock().unanswered.remove(&call);
        // The run may not wait for it any more.
        let _ = unanswered.map(|sender| sender.send(answer));
    }

    /// Waits until all calls of this run have arrived, answered or not. After the run's result its host takes no call.
    pub async fn until_delivered(&self, run: u32) {
        loop {
            let arrived = self.0.arrived.notified();
            if !self.lock().has_undelivered(run) {
                return;
            }
            arrived.await;
        }
    }

    /// The JavaScript environment is gone: nobody answers any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        state.in_batch.clear();
        state.unanswered.clear();
        drop(state);
        self.0.arrived.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, run: u32, kind: Kind, payload: String, at_once: bool) -> (u32, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        let call = state.next_call;
        if state.closed {
            return (call, answer);
        }
        state.next_call = state.next_call.wrapping_add(1);
        state.unanswered.insert(call, sender);
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
                sleep(GATHER_TIME).await;
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
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(call) = state.waiting.pop_front()
        {
            bytes += call.payload.len();
            batch.push(call);
        }
        state.due = !state.waiting.is_empty();
        state.under_way = !batch.is_empty();
        state.in_batch.extend(batch.iter().map(|call: &Call| call.run));
        drop(state);
        if !batch.is_empty() {
            (self.0.deliver)(batch);
        }
    }
}

/// The host of one run.
pub struct Caller {
    calls: Calls,
    run: u32,
    /// When the host answered last.
    answered: Mutex<Option<Instant>>,
}

impl Host for Caller {
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let at_once = self.answered().is_some_and(|at| at.elapsed() < RECENT_ANSWER);
            let (call, answer) = self.calls.post(self.run, kind, payload, at_once);
            let _pending = PendingCall(&self.calls, call);
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

/// A call whose answer is waited for; dropped, its answer is of no interest.
struct PendingCall<'a>(&'a Calls, u32);

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.0.lock().unanswered.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use futures::future::join_all;

    type Batches = Arc<Mutex<Vec<Vec<Call>>>>;

    /// Calls whose host takes every batch at once, and answers every call at once if `answers`.
    fn calls(answers: bool) -> (Calls, Batches) {
        let batches = Batches::default();
        let (kept, slot) = (batches.clone(), Arc::new(Mutex::new(None::<Calls>)));
        let host = slot.clone();
        let calls = Calls::new(move |batch| {
            let calls = host.lock().expect("the host").clone().expect("the calls");
            kept.lock().expect("the batches").push(batch.clone());
            tokio::spawn(async move {
                calls.arrived();
                if answers {
                    batch.iter().for_each(|call| calls.answer(call.call, Ok(())));
                }
            });
        });
        *slot.lock().expect("the host") = Some(calls.clone());
        (calls, batches)
    }

    fn callers(calls: &Calls, count: usize) -> Vec<Caller> {
        (0..count).map(|_| calls.caller().1).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_calls_of_144_runs_within_one_look_are_one_batch() {
        let (calls, batches) = calls(true);
        let callers = callers(&calls, 144);
        for round in 1..=3 {
            join_all(
                callers
                    .iter()
                    .map(|run| run.say(Kind::Stdout, "line\n".to_owned())),
            )
            .await;
            assert_eq!(batches.lock().expect("the batches").len(), round);
            sleep(Duration::from_millis(250)).await;
        }
        let batches = batches.lock().expect("the batches");
        assert!(batches.iter().all(|batch| batch.len() == 144));
        assert!(calls.lock().unanswered.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_with_a_long_text_waits_for_no_other() {
        let (calls, batches) = calls(true);
        let run = calls.caller().1;
        let since = Instant::now();
        for number in 0..1_000 {
            run.say(Kind::Stdout, format!("{number}\n")).await.expect("said");
        }
        assert!(since.elapsed() <= GATHER_TIME * 2, "{:?}", since.elapsed());
        let batches = batches.lock().expect("the batches");
        let text: Vec<&str> = batches.iter().flatten().map(|call| call.payload.trim()).collect();
        assert_eq!(
            text,
            (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_holds_up_its_run_only() {
        let (calls, batches) = calls(false);
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
        assert_eq!(batches.lock().expect("the batches").len(), 2);
        assert!(calls.lock().unanswered.is_empty(), "and is forgotten then");
        calls.answer(0, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_batch_goes_while_one_is_on_its_way_and_nothing_is_lost() {
        let batches = Batches::default();
        let kept = batches.clone();
        let calls = Calls::new(move |batch| kept.lock().expect("the batches").push(batch));
        let run = |text: &str| {
            let (caller, text) = (calls.caller().1, text.to_owned());
            tokio::spawn(async move { caller.say(Kind::Stdout, text).await })
        };
        let first = run("a\n");
        sleep(Duration::from_millis(10)).await;
        let others = [run("b\n"), run("c\n")];
        sleep(Duration::from_secs(10)).await;
        assert_eq!(batches.lock().expect("the batches").len(), 1);
        calls.arrived();
        assert_eq!(batches.lock().expect("the batches").get(1).map(Vec::len), Some(2));
        calls.close();
        for said in others.into_iter().chain([first]) {
            assert!(said.await.expect("no panic").is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_can_wait_until_its_calls_have_arrived_answered_or_not() {
        let batches = Batches::default();
        let kept = batches.clone();
        let calls = Calls::new(move |batch| kept.lock().expect("the batches").push(batch));
        let (number, caller) = calls.caller();
        for word in ["a\n", "b\n"] {
            let said = tokio::time::timeout(Duration::ZERO, caller.say(Kind::Stdout, word.to_owned()));
            assert!(said.await.is_err(), "nobody waits for the answer");
            sleep(GATHER_TIME * 2).await;
        }
        let delivered = calls.until_delivered(number);
        futures::pin_mut!(delivered);
        for count in 1..=2 {
            assert!(futures::poll!(delivered.as_mut()).is_pending());
            assert_eq!(batches.lock().expect("the batches").len(), count);
            calls.arrived();
        }
        delivered.await;
        calls.until_delivered(99).await;
    }
}
