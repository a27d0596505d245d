//! Tails that are delivered together: what one round of looks found in all of them is one batch.

use std::sync::Arc;

use super::consumer::{Batch, Consumer, Members, TailId};
use super::{Hub, Shared};
use crate::tail::cadence::TailOptions;
use crate::tail::follower::FinishRule;
use crate::tail::source::LogSource;

/// Bytes of one batch, roughly: taking it must not hold up the consumer's thread.
const BATCH_BYTES: usize = 512 << 10;

/// Several tails with one consumer.
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
    pub fn follow(
        &self,
        source: Box<dyn LogSource>,
        shown: String,
        options: TailOptions,
    ) -> std::io::Result<TailId> {
        let hub = Hub {
            shared: self.0.shared.clone(),
        };
        hub.add(
            source,
            shown,
            options,
            Consumer::Group(Arc::downgrade(&self.0.members)),
        )
    }

    /// The last batch has arrived at the consumer: the next one may go.
    pub fn arrived(&self) {
        self.0.members.lock().under_way = false;
        self.0.members.flush(&self.0.shared);
    }

    /// The consumer has delivered what it got of these tails: more may come.
    pub fn taken(&self, tails: &[TailId]) {
        let mut state = self.0.shared.lock();
        for id in tails {
            state.taken(*id);
        }
        self.0.shared.wake(state);
        self.0.members.flush(&self.0.shared);
    }

    /// The run of this tail is over: it finishes by this rule.
    pub fn end(&self, id: TailId, rule: FinishRule) {
        let mut state = self.0.shared.lock();
        state.end(id, rule, self.0.shared.now());
        self.0.shared.wake(state);
    }

    /// Ends all tails, without an end for the consumer, which is gone.
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
