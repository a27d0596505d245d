//! The consumers of tails: a task that waits for one, or a group of many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::tail::follower::Look;

/// Names a tail of this process.
pub type TailId = u32;
/// What a group delivers at once: each tail at most once.
pub type Batch = Vec<(TailId, Look)>;

/// Gets what was found in a file.
pub(super) enum Consumer {
    /// A task that waits for this tail.
    Task(Arc<Notify>),
    /// The group that the tail belongs to.
    Group(Weak<Members>),
}

/// A consumer that is to be told that there is something for it.
pub(super) enum Posted {
    Task(Arc<Notify>),
    Group(Weak<Members>),
}

impl Posted {
    /// Whether it is this group.
    pub(super) fn is_of(&self, group: &Weak<Members>) -> bool {
        matches!(self, Self::Group(members) if same(members, group))
    }
}

/// The part of a group that the hub refers to.
pub(super) struct Members {
    outbox: Mutex<Outbox>,
    pub(super) deliver: Box<dyn Fn(Batch) + Send + Sync>,
}

#[derive(Default)]
pub(super) struct Outbox {
    /// Tails with something to deliver, in the order in which it was found.
    pub(super) waiting: Vec<TailId>,
    /// A batch is on its way: the next one goes when it has arrived.
    pub(super) under_way: bool,
    pub(super) closed: bool,
}

impl Members {
    pub(super) fn new(deliver: impl Fn(Batch) + Send + Sync + 'static) -> Self {
        Self {
            outbox: Mutex::default(),
            deliver: Box::new(deliver),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something of this tail to deliver.
    pub(super) fn post(&self, id: TailId) {
        self.lock().waiting.push(id);
    }
}

/// Whether two handles are of one group.
pub(super) fn same(a: &Weak<Members>, b: &Weak<Members>) -> bool {
    Weak::ptr_eq(a, b)
}
