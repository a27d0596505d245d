//! Tails that are delivered together: what one tick found in all of them goes out as one batch.

use std::sync::Arc;

use super::consumer::{Batch, Consumer, Members, TailId};
use super::{Hub, Shared};
use crate::tail::cadence::Pace;
use crate::tail::followed::Ending;
use crate::tail::source::LogSource;

/// Bytes of one batch, roughly: taking it must not hold up the consumer's thread.
const BATCH_BYTES: usize = 512 << 10;

/// A consumer of many tails.
#[derive(Clone)]
pub struct Group(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    members: Arc<Members>,
}

impl Group {
    /// `deliver` must not block. It is called from any thread with the next batch, and again only after
    /// [`Group::arrived`].
    pub fn new(hub: &Hub, deliver: impl Fn(Batch) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            shared: hub.shared.clone(),
            members: Arc::new(Members::new(deliver)),
        }))
    }

    /// Starts to follow a file.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn follow(&self, source: Box<dyn LogSource>, shown: String, pace: Pace) -> std::io::Result<TailId> {
        let hub = Hub {
            shared: self.0.shared.clone(),
        };
        hub.add(
            source,
            shown,
            pace,
            Consumer::Group(Arc::downgrade(&self.0.members)),
        )
    }

    /// The last batch has reached its consumer: the next one may go.
    pub fn arrived(&self) {
        self.0.members.lock().under_way = false;
        self.0.members.flush(&self.0.shared);
    }

    /// The consumer is done with what it got of these tails: the next may come.
    pub fn taken(&self, tails: &[TailId]) {
        let mut state = self.0.shared.lock();
        for id in tails {
            state.taken(*id);
        }
        self.0.shared.wake(state);
        self.0.members.flush(&self.0.shared);
    }

    /// Tells a tail that its run is over, and how to finish.
    pub fn end(&self, id: TailId, ending: Ending) {
        let mut state = self.0.shared.lock();
        state.end(id, ending, self.0.shared.now());
        self.0.shared.wake(state);
    }

    /// Ends all tails without a word: their consumer is gone.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn close(&self) {
        self.members.lock().closed = true;
        let mut state = self.shared.lock();
        state.remove_group(&Arc::downgrade(&self.members));
        self.shared.wake(state);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Members {
    /// Sends what waits, unless a batch is on its way.
    pub(super) fn flush(&self, shared: &Shared) {
        let Some(batch) = self.next_batch(shared) else {
            return;
        };
        (self.deliver)(batch);
    }

    fn next_batch(&self, shared: &Shared) -> Option<Batch> {
        let mut state = shared.lock();
        let mut outbox = self.lock();
        if outbox.under_way || outbox.closed || outbox.waiting.is_empty() {
            return None;
        }
        let (mut batch, mut bytes, mut used) = (Batch::new(), 0, 0);
        for id in &outbox.waiting {
            used += 1;
            let Some(look) = state.take_ready(*id, shared.now()) else {
                continue;
            };
            bytes += look.text.len();
            batch.push((*id, look));
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        outbox.waiting.drain(..used);
        outbox.under_way = !batch.is_empty();
        drop(outbox);
        shared.wake(state);
        (!batch.is_empty()).then_some(batch)
    }
}
