//! Ties every task to the JavaScript environment that started it: when a worker thread ends, its runs are aborted
//! (their Jobs go on in the cluster).

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use tokio::task::AbortHandle;

#[derive(Default)]
struct Tasks {
    running: Mutex<(u64, HashMap<u64, AbortHandle>)>,
}

thread_local! {
    // A JavaScript environment lives on one thread.
    static OF_THIS_ENV: RefCell<Option<Arc<Tasks>>> = const { RefCell::new(None) };
}

impl Tasks {
    fn of(env: Env) -> napi::Result<Arc<Self>> {
        OF_THIS_ENV.with_borrow_mut(|slot| {
            if let Some(tasks) = slot {
                return Ok(tasks.clone());
            }
            let tasks = Arc::new(Self::default());
            env.add_env_cleanup_hook(tasks.clone(), |tasks| {
                OF_THIS_ENV.with_borrow_mut(|slot| *slot = None);
                tasks.abort_all();
            })?;
            *slot = Some(tasks.clone());
            Ok(tasks)
        })
    }

    fn abort_all(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for task in running.1.values() {
            task.abort();
        }
    }
}

/// Removes a task from the list when it ends, however it ends.
struct TaskEntry(Arc<Tasks>, u64);

impl Drop for TaskEntry {
    fn drop(&mut self) {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .remove(&self.1);
    }
}

/// Runs `work` until it is done or its environment is gone.
pub fn spawn(env: Env, work: impl Future<Output = ()> + Send + 'static) -> napi::Result<()> {
    let tasks = Tasks::of(env)?;
    let mut running = tasks.running.lock().unwrap_or_else(PoisonError::into_inner);
    let id = running.0;
    running.0 += 1;
    let entry = TaskEntry(tasks.clone(), id);
    // The lock is held until the task is in the list, so that it cannot be removed before it was added.
    let task = napi::bindgen_prelude::spawn(async move {
        let _entry = entry;
        work.await;
    });
    running.1.insert(id, task.abort_handle());
    Ok(())
}
