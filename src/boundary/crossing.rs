//! The one way from the engine into JavaScript: what runs and tails have to tell crosses as one string, for all of
//! them, and the next one only when the last was taken apart. `script/` is the other end.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{External, Function};
use napi_derive::napi;

use super::code::invalid;
use super::tail::{self, CollectedParts};
use super::text::{CopiedString, OutgoingText, StringFactory, sink_of, units};
use super::{Result, run, server};
use crate::run::host::batches::Calls;
use crate::run::stop::Stopper;
use crate::tail::hub::{Group, TailId};

/// Runs and tails of one JavaScript environment.
pub struct Crossing {
    pub(super) outbox: Arc<Outbox>,
    pub(super) tails: Group,
    pub(super) calls: Calls,
    pub(super) strings: StringFactory,
    pub(super) collected: CollectedParts,
    /// How the runs that are on are asked to stop, by number.
    pub(super) stoppers: Arc<Mutex<HashMap<u32, Stopper>>>,
}

/// Who has to be told that a batch has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Tails,
    Calls,
    /// A result waits for nothing.
    Result,
}

/// Whom a text is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Tail(TailId),
    Run(u32),
}

/// One text for one owner.
pub(super) struct Item {
    pub(super) owner: Owner,
    /// By which it is answered; 0 of a tail: it is not, another one of this tail follows.
    pub(super) number: u32,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// Sends what waits, unless a batch is on its way. Each source waits for its last batch by itself, so that no more than
/// one batch of each is here.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    sink: Box<dyn Fn(OutgoingText) + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Source, Vec<Item>)>,
    under_way: Vec<Source>,
    /// JavaScript is here, and takes along what comes meanwhile: another turn of its event loop costs as much as all
    /// else that is done for a batch.
    is_here: bool,
    to_take_along: Option<OutgoingText>,
}

impl Outbox {
    pub(super) fn post(&self, source: Source, items: Vec<Item>) {
        self.lock().waiting.push((source, items));
        self.send();
    }

    fn send(&self) {
        let mut queue = self.lock();
        if !queue.under_way.is_empty() || queue.waiting.is_empty() {
            return;
        }
        let (sources, items): (Vec<Source>, Vec<Vec<Item>>) = queue.waiting.drain(..).unzip();
        queue.under_way = sources;
        drop(queue);
        let text = as_text(items);
        let mut queue = self.lock();
        if queue.is_here {
            queue.to_take_along = Some(text);
        } else {
            drop(queue);
            (self.sink)(text);
        }
    }

    /// JavaScript does something by which the next batch may come; gives that batch to it.
    fn while_here(&self, work: impl FnOnce()) -> Option<OutgoingText> {
        self.lock().is_here = true;
        let stay = Stay(self);
        work();
        let batch = self.lock().to_take_along.take();
        drop(stay);
        batch
    }

    /// Whose batches have arrived.
    fn arrived(&self) -> Vec<Source> {
        let arrived = std::mem::take(&mut self.lock().under_way);
        self.send();
        arrived
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// JavaScript's stay in [`Outbox::while_here`], however it ends.
struct Stay<'a>(&'a Outbox);

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.is_here = false;
        if let Some(text) = queue.to_take_along.take() {
            drop(queue);
            (self.0.sink)(text);
        }
    }
}

/// The texts in a row, and after the last newline four words for each: whose it is (`t7` a tail, `r7` a run), the
/// number by which it is answered, its kind, and its length in UTF-16 units.
fn as_text(items: Vec<Vec<Item>>) -> OutgoingText {
    let mut is_ascii = true;
    let mut all = String::new();
    let mut words = String::from("\n");
    for item in items.into_iter().flatten() {
        let (letter, owner) = match item.owner {
            Owner::Tail(number) => ('t', number),
            Owner::Run(number) => ('r', number),
        };
        let units = units(&item.text, &mut is_ascii);
        // Writing to a String cannot fail.
        let _ = write!(words, "{letter}{owner} {} {} {units} ", item.number, item.kind);
        // The usual batch is one text: it is not copied.
        if all.is_empty() {
            all = item.text;
        } else {
            all.push_str(&item.text);
        }
    }
    all.push_str(words.trim_end_matches(' '));
    OutgoingText::new(all, is_ascii)
}

/// Opens the crossing of this environment. `sink` must not throw; it must answer a batch with `arrived()`. It does not
/// keep the process alive.
#[napi(catch_unwind, skip_typescript)]
pub fn open_crossing(env: Env, sink: Function<'_, CopiedString, ()>) -> Result<External<Crossing>> {
    let strings = StringFactory::of(env);
    let outbox = Arc::new(Outbox {
        queue: Mutex::default(),
        sink: Box::new(sink_of(strings, sink).map_err(invalid)?),
    });
    let collected = CollectedParts::default();
    let (kept, out) = (collected.clone(), outbox.clone());
    let tails = Group::new(&server().hub, move |batch| {
        out.post(Source::Tails, tail::items_of(batch, &kept));
    });
    let out = outbox.clone();
    let calls = Calls::new(move |batch| out.post(Source::Calls, run::items_of(batch)));
    // When a worker thread ends, its tails end, too.
    env.add_env_cleanup_hook((tails.clone(), calls.clone()), |(tails, calls)| {
        tails.close();
        calls.close();
    })
    .map_err(invalid)?;
    Ok(External::new(Crossing {
        outbox,
        tails,
        calls,
        strings,
        collected,
        stoppers: Arc::default(),
    }))
}

/// The last batch is taken apart: the next one may come.
#[napi(catch_unwind, skip_typescript)]
pub fn arrived(crossing: &External<Crossing>) {
    for source in crossing.outbox.arrived() {
        match source {
            Source::Tails => crossing.tails.arrived(),
            Source::Calls => crossing.calls.arrived(),
            Source::Result => {}
        }
    }
}

/// What was given of these tails is delivered, and these calls of runs have ended well: more may come. Gives the next
/// batch, where there is one.
#[napi(catch_unwind, skip_typescript)]
pub fn answered(crossing: &External<Crossing>, tails: Vec<u32>, calls: Vec<u32>) -> Option<CopiedString> {
    let batch = crossing.outbox.while_here(|| {
        if !tails.is_empty() {
            crossing.tails.taken(&tails);
        }
        for call in calls {
            crossing.calls.answer(call, Ok(()));
        }
    });
    batch.map(|text| crossing.strings.short_lived(text))
}

/// This call of a run has failed.
#[napi(catch_unwind, skip_typescript)]
pub fn failed(crossing: &External<Crossing>, call: u32, message: String) {
    crossing.calls.answer(call, Err(message));
}
