//! A Job that could not be deleted while its run was on: it is tried again beside all others.

use tokio::time::{Instant, sleep};

use crate::cluster::verbs::Namespace;
use crate::run::timing::{DELETE_LATER, DELETE_PAUSE};

/// Deletes the Job of this name, and of this uid where it is known, within [`DELETE_LATER`], and does then what has to
/// wait for that. Where it cannot be deleted, nothing is done: its TTL and the sweep remain.
pub(crate) fn delete_later(
    namespace: Namespace,
    name: String,
    uid: Option<String>,
    then: impl Future<Output = ()> + Send + 'static,
) {
    tokio::spawn(async move {
        if delete_in_time(&namespace, &name, uid.as_deref()).await {
            then.await;
        }
    });
}

async fn delete_in_time(namespace: &Namespace, name: &str, uid: Option<&str>) -> bool {
    let until = Instant::now() + DELETE_LATER;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match namespace.delete_job(name, uid, left).await {
            Ok(()) => return true,
            Err(error) if error.may_be_unready() && Instant::now() + DELETE_PAUSE < until => {
                sleep(DELETE_PAUSE).await;
            }
            Err(_) => return false,
        }
    }
}
