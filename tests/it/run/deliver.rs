//! From a tail to the host and the fold, on a stopped clock.

use std::sync::Arc;
use std::time::Duration;

use crate::support::tail::faulty::Faulty;
use crate::support::tail::record_of;
use opencode_k8s::run::host::SilentHost;
use opencode_k8s::run::host::log::HostLog;
use opencode_k8s::run::redact::display::Redactor;
use opencode_k8s::run::stop::stop_signal;
use opencode_k8s::run::supervise::deliver::{Delivery, OutputState, stdout};
use opencode_k8s::run::timing::DELIVERY_ON_STOP;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::SourceError;
use opencode_k8s::tail::{Hub, TailOptions};
use rustix::io::Errno;
use serde_json::json;
use tokio::time::{Instant, sleep};

fn step(input: u32) -> String {
    let tokens = json!({"input": input, "output": 1, "reasoning": 0, "cache": {"read": 0, "write": 0}});
    let part =
        json!({"messageID": "m", "type": "step-finish", "reason": "stop", "cost": 1, "tokens": tokens});
    format!(
        "{}\n",
        json!({"type": "step_finish", "sessionID": "ses_1", "part": part})
    )
}

/// What comes of this log when, after a while, `then` happens; and how long it takes from there.
async fn delivered(
    source: Faulty,
    rule: Option<FinishRule>,
    is_cancelled: bool,
    then: impl FnOnce(),
) -> (Delivery, Duration) {
    let (stopper, stop) = stop_signal();
    let (host_log, _reporter) = HostLog::new(Arc::new(SilentHost), stop.clone());
    let hub = Hub::on_runtime();
    let options = TailOptions {
        appear: None,
        ..TailOptions::default()
    };
    let tail = hub
        .follow(Box::new(source), "/shown".to_owned(), options)
        .expect("a tail");
    let ends = async {
        sleep(Duration::from_secs(7)).await;
        then();
        if is_cancelled {
            stopper.stop("the host asked");
        }
        if let Some(rule) = rule {
            tail.end(rule);
        }
        Instant::now()
    };
    let (output, _seen) = tokio::sync::watch::channel(OutputState::default());
    let redactor = Redactor::default();
    let delivery = stdout(&tail, &host_log, &stop, &redactor, &output);
    let (delivery, since) = tokio::join!(delivery, ends);
    (delivery, since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_cancel_waits_for_a_dead_volume_no_longer_than_its_answer_may() {
    let source = Faulty::new(step(1).as_bytes());
    let dead = source.clone();
    let then = move || dead.set(|server| server.error = Some((SourceError::Io(Errno::IO), u32::MAX)));
    let (delivery, took) = delivered(source, None, true, then).await;
    assert!(matches!(delivery.proof, Proof::Failed(_)), "{:?}", delivery.proof);
    assert_eq!(took, DELIVERY_ON_STOP);
}

#[tokio::test(start_paused = true)]
async fn an_older_view_of_the_log_is_not_billed_twice() {
    let log = [step(1_000), "{\"type\":\"other\"}\n".repeat(70_000)].concat();
    let source = Faulty::new(log.as_bytes());
    let volume = source.clone();
    let old = log.as_bytes()[..200].to_vec();
    let then = move || volume.set(|server| server.shown = Some(old));
    let healed = source.clone();
    let heals = async move {
        sleep(Duration::from_secs(17)).await;
        healed.set(|server| server.shown = None);
    };
    let ends = delivered(source, Some(record_of(log.as_bytes())), false, then);
    let ((delivery, _), ()) = tokio::join!(ends, heals);
    assert_eq!(delivery.proof, Proof::Proven);
    let sum = delivery.transcript.finish();
    assert_eq!((sum.tokens.input, delivery.bytes), (1_000.0, log.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn usage_is_of_the_lines_that_the_log_holds_in_the_end() {
    let (given, held) = (step(1_000), step(1));
    let source = Faulty::new(given.as_bytes());
    let volume = source.clone();
    let content = held.clone();
    let then = move || volume.set(|server| server.bytes = content.into_bytes());
    let (delivery, _) = delivered(source, Some(record_of(held.as_bytes())), false, then).await;
    assert_eq!(delivery.proof, Proof::Unproven);
    let sum = delivery.transcript.finish();
    assert_eq!((sum.tokens.input, sum.steps_finished), (1.0, 1));
    assert!(delivery.excerpt.finish() == held && delivery.bytes == (given.len() + held.len()) as u64);
}
