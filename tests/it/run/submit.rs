//! Creating a Job while the API server is away, on a stopped clock.

use std::time::Duration;

use crate::support::api::ApiServer;
use opencode_k8s::run::start::ledger::Ledger;
use opencode_k8s::run::start::submit::submit;
use serde_json::json;
use tokio::time::{Instant, sleep};

fn job() -> k8s_openapi::api::batch::v1::Job {
    serde_json::from_value(json!({"metadata": {"name": "job", "annotations": {"a": "b"}}})).expect("a job")
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_made_is_said_after_half_a_minute() {
    let api = ApiServer::with(&[], &[]);
    api.is_away(true);
    let (namespace, _view) = api.view();
    let failure = submit(&namespace, &job(), None, true, &Ledger::default())
        .await
        .expect_err("no answer");
    assert_eq!(failure.code, "k8s_job_create_failed");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_restarts_does_not_end_a_run_that_begins() {
    let api = ApiServer::with(&[], &[]);
    api.is_away(true);
    let (namespace, _view) = api.view();
    let since = Instant::now();
    let back = async {
        sleep(Duration::from_secs(20)).await;
        api.is_away(false);
    };
    let (job, ledger) = (job(), Ledger::default());
    let (made, ()) = tokio::join!(submit(&namespace, &job, None, true, &ledger), back);
    assert_eq!(made.expect("made").name, "job");
    assert!((20..=25).contains(&since.elapsed().as_secs()));
}
