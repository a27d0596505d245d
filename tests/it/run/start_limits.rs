//! The limits of a pod's start, on a stopped clock; and that a pod is not late because the API server is away, or may
//! not be asked.

use std::time::Duration;

use crate::support::api::ApiServer;
use crate::support::watched::{
    MINUTE, OUTAGE, at_work, container, is_being_deleted, job, pod, running, watch,
};
use opencode_k8s::run::job::end::RunEnd;
use serde_json::json;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_pod_that_its_dead_node_never_ends_is_lost_after_the_limit_of_an_outage() {
    let run = watch(at_work(), None);
    sleep(10 * MINUTE).await;
    assert!(!run.is_over().await, "a node that does not report ends nothing");
    run.api.pods(&[pod(is_being_deleted(), running())]);
    sleep(OUTAGE - Duration::from_secs(5)).await;
    assert!(!run.is_over().await);
    let (end, after) = run.end().await;
    assert!(
        matches!(&end, RunEnd::Lost { why, .. } if why.contains("its node did not end it within 600 s")),
        "{end:?}"
    );
    assert!((1_200..=1_206).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_waited_for_until_it_is_bound_and_then_until_it_runs() {
    let mut unbound = pod(json!({}), json!({"phase": "Pending"}));
    unbound["spec"] = json!({"containers": []});
    let (end, after) = watch(ApiServer::with(&[job(json!([]))], &[unbound.clone()]), None)
        .end()
        .await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("was not scheduled within 120 s")),
        "{end:?}"
    );
    assert!((120..=122).contains(&after), "{after}");

    let run = watch(ApiServer::with(&[job(json!([]))], &[unbound]), None);
    sleep(Duration::from_secs(100)).await;
    run.api.pods(&[pod(
        json!({}),
        container(&json!({"waiting": {"reason": "ContainerCreating"}})),
    )]);
    let (end, after) = run.end().await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("did not start within 600 s")),
        "{end:?}"
    );
    assert!((700..=704).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_pod_ends_when_it_should_have_been_scheduled() {
    let (end, after) = watch(ApiServer::with(&[job(json!([]))], &[]), None).end().await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("no pod was made")),
        "{end:?}"
    );
    assert!((120..=122).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_labels_somebody_took_away_is_not_waited_for_longer() {
    let api = ApiServer::with(&[job(json!([]))], &[]);
    let run = watch(api.clone(), None);
    sleep(Duration::from_secs(5)).await;
    api.jobs(&[]);
    api.without_labels("jobs", &[job(json!([]))]);
    let (end, after) = run.end().await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("no pod was made")),
        "{end:?}"
    );
    assert!((120..=130).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn what_an_outage_hides_is_not_late() {
    let mut unbound = pod(json!({}), json!({"phase": "Pending"}));
    unbound["spec"] = json!({"containers": []});
    let run = watch(ApiServer::with(&[job(json!([]))], &[unbound.clone()]), None);
    sleep(MINUTE).await;
    run.api.is_away(true);
    sleep(9 * MINUTE).await;
    assert!(!run.is_over().await, "what it does meanwhile nobody knows");
    run.api.is_away(false);
    sleep(Duration::from_secs(50)).await;
    assert!(!run.is_over().await, "its scheduler was cut off as well");
    let (end, after) = run.end().await;
    assert!(matches!(end, RunEnd::NeverStarted { .. }), "{end:?}");
    assert!((655..=680).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pods_cannot_be_listed_is_not_one_without_a_pod() {
    let api = at_work();
    api.refuses("pods");
    let run = watch(api, None);
    std::fs::write(run.folder.path().join("r.pod.started"), "{}").expect("written");
    sleep(30 * MINUTE).await;
    assert!(!run.is_over().await, "its agent works");
    run.api
        .jobs(&[job(json!([{"type": "Complete", "status": "True"}]))]);
    assert!(matches!(run.end().await.0, RunEnd::Lost { why, .. } if why.contains("the Job is complete")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_an_agent_that_never_started_while_pods_cannot_be_listed() {
    let api = at_work();
    api.refuses("pods");
    let (end, after) = watch(api, None).end().await;
    assert!(
        matches!(&end, RunEnd::Unreachable { why } if why.contains("cannot list pods")),
        "{end:?}"
    );
    assert!((600..=606).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_works_on_a_node_that_fell_silent_has_started() {
    let starting = pod(
        json!({}),
        container(&json!({"waiting": {"reason": "ContainerCreating"}})),
    );
    let run = watch(ApiServer::with(&[job(json!([]))], &[starting]), None);
    std::fs::write(run.folder.path().join("r.pod.started"), "{}").expect("written");
    sleep(60 * MINUTE).await;
    assert!(!run.is_over().await);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_only_an_old_view_shows_as_unbound_is_not_late() {
    let mut unbound = pod(json!({}), json!({"phase": "Pending"}));
    unbound["spec"] = json!({"containers": []});
    let api = ApiServer::with(&[job(json!([]))], &[unbound]);
    // A watch that says nothing more.
    api.says_by_watch("pods", &[]);
    let run = watch(api, None);
    sleep(MINUTE).await;
    run.api.pods(&[pod(
        json!({}),
        container(&json!({"waiting": {"reason": "ContainerCreating"}})),
    )]);
    sleep(3 * MINUTE).await;
    assert!(!run.is_over().await, "it was bound in time");
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself_is_waited_for_and_the_last_reason_is_told() {
    let waiting = |reason: &str, message: &str| {
        let status = container(&json!({"waiting": {"reason": reason, "message": message}}));
        pod(json!({}), status)
    };
    let limited = waiting(
        "ErrImagePull",
        "429 Too Many Requests - toomanyrequests: slow down",
    );
    let backing_off = waiting("ImagePullBackOff", "Back-off pulling image \"agent:1\"");
    let run = watch(ApiServer::with(&[job(json!([]))], &[limited]), None);
    sleep(MINUTE).await;
    run.api.pods(&[backing_off]);
    sleep(8 * MINUTE).await;
    assert!(!run.is_over().await, "it passes by itself");
    let (end, after) = run.end().await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("within 600 s: container opencode: ErrImagePull: 429")),
        "{end:?}"
    );
    assert!((600..=606).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn what_needs_help_ends_the_run_at_once() {
    let missing = container(&json!({"waiting": {"reason": "ErrImagePull", "message": "agent:1: not found"}}));
    let (end, after) = watch(
        ApiServer::with(&[job(json!([]))], &[pod(json!({}), missing)]),
        None,
    )
    .end()
    .await;
    assert!(
        matches!(&end, RunEnd::NeverStarted { why } if why.contains("not found")),
        "{end:?}"
    );
    assert!(after <= 1, "{after}");
}
