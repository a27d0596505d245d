//! Who cleans up after a Job: another server that took it over says so with a seal; what an agent writes says nothing.

use std::fs;

use crate::support::watched::{at_work, handle, seal};
use opencode_k8s::run::seal::{Kind, Seal};

async fn is_taken_over(content: Option<&str>, own: Option<&str>) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    if let Some(content) = content {
        fs::write(folder.path().join("r.pod.holder"), content).expect("written");
    }
    let (mut handle, _stopper) = handle(&at_work(), &folder, None);
    handle.holder = own.map(str::to_owned);
    handle.is_taken_over().await
}

fn sealed(seal: &Seal, kind: Kind, job: &str, word: &str) -> String {
    format!("{word}.{}", seal.of(kind, &[job, word]))
}

#[tokio::test(start_paused = true)]
async fn only_a_server_takes_a_job_over() {
    let other = sealed(&seal(), Kind::Holder, "uid", "other");
    assert!(is_taken_over(Some(&other), None).await);
    assert!(is_taken_over(Some(&other), Some("mine.x")).await);
    assert!(
        !is_taken_over(Some(&other), Some(&other)).await,
        "it is this server's own"
    );
    assert!(!is_taken_over(None, None).await);
    let stranger = Seal::new(&"another key of thirty-two letters".repeat(2));
    for forged in [
        "elsewhere".to_owned(),
        "elsewhere.".to_owned(),
        ".".to_owned(),
        String::new(),
        sealed(&stranger, Kind::Holder, "uid", "other"),
        sealed(&seal(), Kind::Usage, "uid", "other"),
        sealed(&seal(), Kind::Holder, "uid of another Job", "other"),
    ] {
        assert!(!is_taken_over(Some(&forged), None).await, "{forged}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_log_was_taken_away_may_have_started() {
    for (files, log_by_server, has_started) in [
        (vec!["r.pod.ndjson"], true, false),
        (vec!["r.pod.ndjson", "r.pod.started"], true, true),
        (vec![], true, true),
        // The pod makes its log itself, where no server can.
        (vec![], false, false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for name in &files {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let (mut handle, _stopper) = handle(&at_work(), &folder, None);
        handle.log_by_server = log_by_server;
        assert_eq!(handle.started().await, Some(has_started), "{files:?}");
    }
}
