//! The usage of a run that two servers end at the same moment, on a stopped clock: it is reported once.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::api::ApiServer;
use crate::support::watched::{at_work, handle, seal};
use futures::future::BoxFuture;
use opencode_k8s::run::job::handle::JobHandle;
use opencode_k8s::run::outcome::{Facts, Usage, resolve};
use opencode_k8s::run::report::{Harvest, Outcome, Report, Used};
use opencode_k8s::run::seal::Kind;
use opencode_k8s::run::supervise::usage::settle;
use opencode_k8s::run::volume::blocking::{Volume, Work, Workers};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

fn used(input: u64) -> Value {
    json!({"usage": {"inputTokens": input, "outputTokens": 0, "cachedInputTokens": 0}, "costUsd": 0.5})
}

/// How many of 30 tokens this server reports when another one has left this folder.
async fn reported_tokens(api: ApiServer, folder: &tempfile::TempDir) -> u64 {
    let (handle, _stopper) = handle(&api, folder, None);
    settled(&handle).await.0
}

/// How many of 30 tokens this server reports, and whether that is settled.
async fn settled(handle: &JobHandle) -> (u64, bool) {
    let facts: Facts = serde_json::from_value(json!({"stdout": ""})).expect("facts");
    let mut report = Report {
        outcome: Outcome::Judged(Box::new(resolve(&facts))),
        log: None,
        is_acknowledged: false,
        harvest: Harvest::default(),
    };
    report.set_used(Used {
        usage: Usage {
            input_tokens: 30,
            ..Usage::default()
        },
        cost_usd: 0.5,
    });
    let is_settled = settle(handle, &mut report).await;
    (report.used().usage.input_tokens, is_settled)
}

/// A volume that answers no call before it is well again, and then all.
struct Stalled(watch::Receiver<bool>);

impl Workers for Stalled {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let mut is_well = self.0.clone();
        let done = tokio::spawn(async move {
            if is_well.wait_for(|is_well| *is_well).await.is_ok() {
                work();
            }
        });
        Box::pin(async move { drop(done.await) })
    }
}

fn usage(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join("r.pod.usage")
}

fn leave(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).expect("written");
}

#[tokio::test(start_paused = true)]
async fn the_first_reports_all_and_leaves_a_note() {
    let folder = tempfile::tempdir().expect("a folder");
    leave(folder.path(), "r.pod.ndjson", "log");
    assert_eq!(reported_tokens(at_work(), &folder).await, 30);
    assert_eq!(
        reported_tokens(at_work(), &folder).await,
        0,
        "the second reports the rest"
    );
    assert!(usage(&folder).exists());
}

#[tokio::test(start_paused = true)]
async fn what_was_reported_is_subtracted() {
    let folder = tempfile::tempdir().expect("a folder");
    leave(folder.path(), "r.pod.ndjson", "log");
    let text = used(10).to_string();
    let note = format!("{text}\n{}", seal().of(Kind::Usage, &["r", &text]));
    leave(folder.path(), "r.pod.usage", &note);
    assert_eq!(reported_tokens(at_work(), &folder).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_note_of_an_agent_takes_nothing_off_and_is_replaced() {
    let of_another = used(10).to_string();
    let of_another = format!(
        "{of_another}\n{}",
        seal().of(Kind::Usage, &["other", &of_another])
    );
    for note in [used(10).to_string(), of_another, "\n".to_owned(), String::new()] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path(), "r.pod.ndjson", "log");
        leave(folder.path(), "r.pod.usage", &note);
        assert_eq!(reported_tokens(at_work(), &folder).await, 30, "{note}");
        assert_eq!(
            reported_tokens(at_work(), &folder).await,
            0,
            "the next one reports the rest"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_clean_up_nothing_is_reported_or_left() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(reported_tokens(ApiServer::with(&[], &[]), &folder).await, 0);
    assert!(!usage(&folder).exists());
}

#[tokio::test(start_paused = true)]
async fn a_missing_log_is_believed_unless_the_api_server_shows_the_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let away = at_work();
    away.is_away(true);
    assert_eq!(reported_tokens(away, &folder).await, 0, "nobody knows better");
    assert!(!usage(&folder).exists());
    assert_eq!(
        reported_tokens(at_work(), &folder).await,
        30,
        "no server removes the log of a Job that is there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_note_that_is_removed_was_seen_by_the_other_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let cleaning_up = async {
        // The log is gone; the note is made, and taken away with the rest.
        while !usage(&folder).exists() {
            sleep(Duration::from_millis(1)).await;
        }
        fs::remove_file(usage(&folder)).expect("removed");
    };
    let (tokens, ()) = tokio::join!(reported_tokens(ApiServer::with(&[], &[]), &folder), cleaning_up);
    assert_eq!(tokens, 30);
}

/// A volume whose first call takes longer than anybody waits.
#[derive(Default)]
struct SlowAtFirst(AtomicBool);

impl Workers for SlowAtFirst {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let is_first = !self.0.swap(true, Ordering::SeqCst);
        let done = tokio::spawn(async move {
            sleep(Duration::from_secs(if is_first { 30 } else { 0 })).await;
            work();
        });
        Box::pin(async move { drop(done.await) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_slow_to_take_a_note_still_tells_what_another_server_has_reported() {
    for (before, rest) in [(Some(10), 20), (None, 30)] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path(), "r.pod.ndjson", "log");
        if let Some(before) = before {
            let text = used(before).to_string();
            let note = format!("{text}\n{}", seal().of(Kind::Usage, &["r", &text]));
            leave(folder.path(), "r.pod.usage", &note);
        }
        let (mut handle, _stopper) = handle(&at_work(), &folder, None);
        handle.volume = Volume::new(SlowAtFirst::default());
        assert_eq!(settled(&handle).await, (rest, true), "{before:?}");
        sleep(Duration::from_secs(60)).await;
        assert!(usage(&folder).exists(), "{before:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_volume_does_not_answer_the_server_that_made_the_job_reports_all_and_one_that_took_it_over_nothing()
 {
    for (holder, without_job, has_task, reports, leaves_a_note) in [
        (None, false, true, (30, true), true),
        (Some("word"), false, true, (0, false), false),
        (None, true, true, (0, false), false),
        // No other run of its task will come, which could report it.
        (Some("word"), false, false, (30, true), true),
        (None, true, false, (30, true), true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path(), "r.pod.ndjson", "log");
        let (is_well, stalled) = watch::channel(false);
        let (mut handle, _stopper) = handle(&at_work(), &folder, None);
        handle.volume = Volume::new(Stalled(stalled));
        handle.holder = holder.map(str::to_owned);
        handle.without_job = without_job;
        handle.has_task = has_task;
        assert_eq!(settled(&handle).await, reports, "{holder:?}");
        is_well.send_replace(true);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(usage(&folder).exists(), leaves_a_note, "{holder:?}");
    }
}

/// An agent can make its run's note a folder: it is no server's word, and no sign of a volume that does not answer.
#[tokio::test(start_paused = true)]
async fn a_folder_in_the_place_of_the_note_takes_nothing_off_and_is_replaced() {
    for holder in [None, Some("word")] {
        let folder = tempfile::tempdir().expect("a folder");
        leave(folder.path(), "r.pod.ndjson", "log");
        let (mut handle, _stopper) = handle(&at_work(), &folder, None);
        std::fs::create_dir(usage(&folder)).expect("a folder in its place");
        handle.holder = holder.map(str::to_owned);
        assert_eq!(settled(&handle).await, (30, true), "{holder:?}");
        assert_eq!(
            settled(&handle).await,
            (0, true),
            "{holder:?}: the note is there now"
        );
    }
}

/// A volume that hangs after so many calls, and then does what was asked for in the worst order: the last one first.
struct HangsAfter {
    calls: AtomicUsize,
    hung: Arc<Mutex<Vec<Work>>>,
}

impl Workers for HangsAfter {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let is_well = self
            .calls
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if is_well.is_ok() {
            work();
            return Box::pin(std::future::ready(()));
        }
        self.hung.lock().expect("the calls").push(work);
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_note_that_could_not_be_replaced_in_time_stands_until_it_is() {
    let text = used(10).to_string();
    let of_server = format!("{text}\n{}", seal().of(Kind::Usage, &["r", &text]));
    for (note, reports) in [(of_server.as_str(), 20), ("of an agent", 30)] {
        for well in 0..9 {
            let folder = tempfile::tempdir().expect("a folder");
            leave(folder.path(), "r.pod.ndjson", "log");
            leave(folder.path(), "r.pod.usage", note);
            let hung: Arc<Mutex<Vec<Work>>> = Arc::default();
            let (mut handle, _stopper) = handle(&at_work(), &folder, None);
            handle.volume = Volume::new(HangsAfter {
                calls: well.into(),
                hung: hung.clone(),
            });
            // What the server that made the Job cannot read it cannot take off.
            let (reported, _) = settled(&handle).await;
            assert!([reports, 30].contains(&reported), "{well}: {reported}");
            assert!(usage(&folder).exists(), "{well}");
            let late: Vec<Work> = std::mem::take(&mut *hung.lock().expect("the calls"));
            for work in late.into_iter().rev() {
                work();
                assert!(
                    usage(&folder).exists(),
                    "{well}: for a moment nothing was reported"
                );
            }
            if reported == reports && note != "of an agent" {
                assert_eq!(
                    reported_tokens(at_work(), &folder).await,
                    0,
                    "{well}: it is reported twice"
                );
            }
        }
    }
}
