//! The signal that asks a run to stop, or to leave its Job to another run. Set once: the first reason wins.

use tokio::sync::watch;
use tokio::time::Instant;

/// The host's half: asks a run to stop, or to leave.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<Asked>);

/// The run's half: learns that it should stop, or leave.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Asked>);

/// What was asked for.
#[derive(Debug)]
enum Asked {
    Nothing,
    Stop(Request),
    Leave,
}

impl Asked {
    fn stop(&self) -> Option<&Request> {
        match self {
            Self::Stop(request) => Some(request),
            Self::Nothing | Self::Leave => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Request {
    reason: String,
    at: Instant,
}

/// A connected pair.
#[must_use]
pub fn stop_signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Asked::Nothing);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks to stop, with a reason for a person: what the run made is ended. Later calls change nothing.
    pub fn stop(&self, reason: &str) {
        self.ask(|| {
            Asked::Stop(Request {
                reason: reason.to_owned(),
                at: Instant::now(),
            })
        });
    }

    /// Asks to end at once and to touch nothing: the Job works on for whoever takes it over. Later calls change nothing.
    pub fn leave(&self) {
        self.ask(|| Asked::Leave);
    }

    fn ask(&self, asked: impl FnOnce() -> Asked) {
        self.0.send_if_modified(|known| {
            let is_first = matches!(known, Asked::Nothing);
            if is_first {
                *known = asked();
            }
            is_first
        });
    }
}

impl Stop {
    /// The reason, if the run should stop.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().stop().map(|request| request.reason.clone())
    }

    /// When the run was asked to stop.
    #[must_use]
    pub fn asked_at(&self) -> Option<Instant> {
        self.0.borrow().stop().map(|request| request.at)
    }

    /// Resolves with the reason when the run should stop. Never resolves when the [`Stopper`] is gone.
    pub async fn asked(&self) -> String {
        let mut receiver = self.0.clone();
        let asked = receiver.wait_for(|asked| asked.stop().is_some()).await;
        let reason = asked
            .ok()
            .and_then(|asked| asked.stop().map(|request| request.reason.clone()));
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Resolves when the run should leave. Never resolves when the [`Stopper`] is gone.
    pub async fn left(&self) {
        let mut receiver = self.0.clone();
        let is_left = receiver
            .wait_for(|asked| matches!(asked, Asked::Leave))
            .await
            .is_ok();
        if !is_left {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn the_first_reason_wins() {
        let (stopper, stop) = stop_signal();
        assert_eq!(stop.reason(), None);
        stopper.stop("signal");
        stopper.stop("issue");
        stopper.leave();
        assert_eq!(stop.asked().await, "signal");
        assert!(
            stop.left().now_or_never().is_none(),
            "a Job that is to go is not left"
        );
    }

    #[tokio::test]
    async fn who_leaves_ends_nothing() {
        let (stopper, stop) = stop_signal();
        stopper.leave();
        stopper.stop("signal");
        stop.left().await;
        assert_eq!((stop.reason(), stop.asked_at()), (None, None));
        assert!(stop.asked().now_or_never().is_none());
    }

    #[tokio::test]
    async fn nobody_left_to_ask_asks_for_nothing() {
        let (stopper, stop) = stop_signal();
        drop(stopper);
        assert!(stop.left().now_or_never().is_none() && stop.asked().now_or_never().is_none());
    }
}
