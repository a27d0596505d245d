//! The signal that asks a run to stop. Set once: the first reason wins.

use tokio::sync::watch;
use tokio::time::Instant;

/// The host's half: asks a run to stop.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Option<Request>>);

/// The run's half: learns that it should stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Request>>);

#[derive(Debug, Clone)]
struct Request {
    reason: String,
    at: Instant,
}

/// A connected pair.
#[must_use]
pub fn stop_signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop, with a reason for a person. Later reasons are ignored.
    pub fn stop(&self, reason: &str) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(Request {
                    reason: reason.to_owned(),
                    at: Instant::now(),
                });
            }
            first
        });
    }
}

impl Stop {
    /// The reason, if the run should stop.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().as_ref().map(|request| request.reason.clone())
    }

    /// When the run was asked to stop.
    #[must_use]
    pub fn asked_at(&self) -> Option<Instant> {
        self.0.borrow().as_ref().map(|request| request.at)
    }

    /// Resolves with the reason when the run should stop. Never resolves when the [`Stopper`] is gone.
    pub async fn asked(&self) -> String {
        let mut receiver = self.0.clone();
        let reason = receiver
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|request| request.as_ref().map(|request| request.reason.clone()));
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_wins() {
        let (stopper, stop) = stop_signal();
        assert_eq!(stop.reason(), None);
        stopper.stop("signal");
        stopper.stop("issue");
        assert_eq!(stop.asked().await, "signal");
    }
}
