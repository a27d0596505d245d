//! Creating a Job while the API server is away, on a stopped clock.

use std::time::Duration;

use std::sync::{Arc, Mutex};

use crate::support::api::ApiServer;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use opencode_k8s::cluster::verbs::{Namespace, find};
use opencode_k8s::cluster::{Access, Cluster};
use opencode_k8s::run::start::ledger::Ledger;
use opencode_k8s::run::start::submit::submit;
use serde_json::{Value, json};
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

/// Gives these answers one after another, and writes down what was asked for.
fn answering(answers: Vec<(u16, Value)>) -> (Namespace, Arc<Mutex<Vec<String>>>) {
    let (answers, asked) = (Arc::new(Mutex::new(answers.into_iter())), Arc::default());
    let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let name = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        heard
            .lock()
            .expect("heard")
            .push(format!("{} {name}", request.method()));
        let (code, body) = answers.lock().expect("answers").next().expect("one more answer");
        let mut answer = Response::new(Body::from(body.to_string().into_bytes()));
        *answer.status_mut() = code.try_into().expect("a status");
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let cluster = Cluster {
        client: Arc::new(Client::new(service, "paperclip")),
        default_namespace: "paperclip".to_owned(),
        access: Access::default(),
    };
    (Namespace::new(&cluster, "paperclip"), asked)
}

fn refused(code: u16, reason: &str) -> (u16, Value) {
    refused_saying(code, reason, "no")
}

fn refused_saying(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}

/// Many creates at once change one quota.
fn contended() -> (u16, Value) {
    let message = "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified; please apply \
                   your changes to the latest version and try again";
    refused_saying(409, "Conflict", message)
}

fn absent() -> (u16, Value) {
    refused(404, "NotFound")
}

fn made() -> (u16, Value) {
    (
        201,
        json!({"metadata": {"name": "job", "uid": "uid", "annotations": {"a": "b"}}}),
    )
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_an_earlier_job_of_the_run_has_left_is_replaced() {
    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
    let answers = vec![made(), refused(409, "AlreadyExists"), (200, gone), made()];
    let (namespace, asked) = answering(answers);
    let secret = serde_json::from_value(json!({"metadata": {"name": "job-run"}})).expect("a secret");
    let ledger = Ledger::default();
    let made = submit(&namespace, &job(), Some(secret), true, &ledger).await;
    assert_eq!(made.expect("made").uid, "uid");
    let asked = asked.lock().expect("asked").join(", ");
    assert_eq!(asked, "POST jobs, POST secrets, DELETE job-run, POST secrets");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_be_ours_is_not_left_behind_while_nobody_can_say() {
    let away = || refused(503, "ServiceUnavailable");
    let exists = || refused(409, "AlreadyExists");
    let answers = vec![away(), away(), exists(), away(), exists(), made()];
    let (namespace, asked) = answering(answers);
    let ledger = Ledger::default();
    let found = submit(&namespace, &job(), None, true, &ledger).await;
    assert_eq!(found.expect("found").uid, "uid");
    let asked = asked.lock().expect("asked").join(", ");
    assert_eq!(
        asked,
        "POST jobs, GET job, POST jobs, GET job, POST jobs, GET job"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_others_change_in_the_same_moment_refuses_no_run() {
    let answers = vec![contended(), absent(), made(), contended(), absent(), made()];
    let (namespace, asked) = answering(answers);
    let secret = serde_json::from_value(json!({"metadata": {"name": "job-run"}})).expect("a secret");
    let made = submit(&namespace, &job(), Some(secret), true, &Ledger::default()).await;
    assert_eq!(made.expect("made").uid, "uid");
    let asked = asked.lock().expect("asked").join(", ");
    assert_eq!(
        asked,
        "POST jobs, GET job, POST jobs, POST secrets, GET job-run, POST secrets"
    );
}

#[tokio::test(start_paused = true)]
async fn an_earlier_job_of_the_run_that_is_still_being_removed_is_waited_for_and_not_taken_for_the_new_one() {
    let leaving = json!({"metadata": {"name": "job", "uid": "old", "annotations": {"a": "b"},
        "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let there = || {
        let message = "object is being deleted: jobs.batch \"job\" already exists";
        refused_saying(409, "AlreadyExists", message)
    };
    let answers = vec![there(), (200, leaving.clone()), there(), (200, leaving), made()];
    let (namespace, _asked) = answering(answers);
    let made = submit(&namespace, &job(), None, true, &Ledger::default()).await;
    assert_eq!(made.expect("made").uid, "uid");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_no_deletion_while_the_job_is_there() {
    let (limit, uid) = (Duration::from_secs(30), Some("uid"));
    let success = || {
        (
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        )
    };
    let other = || (200, json!({"metadata": {"name": "job", "uid": "other"}}));
    let precondition = || refused_saying(409, "Conflict", "Precondition failed: UID in precondition: uid");
    for (answers, requests) in [
        (vec![contended(), made(), success()], 3),
        (vec![contended(), absent()], 2),
        (vec![precondition(), other()], 2),
    ] {
        let (namespace, asked) = answering(answers);
        let deleted = namespace.delete_job("job", uid, limit).await;
        assert!(deleted.is_ok(), "{deleted:?}");
        assert_eq!(asked.lock().expect("asked").len(), requests);
    }
    let (namespace, _asked) = answering(vec![refused(409, "Conflict"), made()]);
    assert!(
        namespace.delete_job("job", uid, limit).await.is_err(),
        "it is there"
    );
}

#[tokio::test(start_paused = true)]
async fn where_no_job_may_be_asked_for_a_list_tells() {
    let api = ApiServer::with(&[json!({"metadata": {"name": "job", "uid": "uid"}})], &[]);
    api.refuses_get();
    let (namespace, _view) = api.view();
    let found = find(&namespace.jobs, "job").await.expect("an answer");
    assert_eq!(found.and_then(|job| job.metadata.uid).as_deref(), Some("uid"));
    assert!(find(&namespace.jobs, "other").await.expect("an answer").is_none());
}
