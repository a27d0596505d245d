//! One Job watched to its end against an API server that is slow, away or has forgotten, on a stopped clock: what ends
//! the run, when, and what does not.

use std::sync::Arc;
use std::time::Duration;

use crate::support::api::{ApiServer, Watch};
use crate::support::watched::{
    MINUTE, OUTAGE, at_work, container, handle, is_being_deleted, job, pod, running, watch, watch_to_the_end,
};
use opencode_k8s::run::host::SilentHost;
use opencode_k8s::run::host::log::HostLog;
use opencode_k8s::run::job::end::RunEnd;
use serde_json::json;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn the_outcome_is_unknown_after_ten_minutes_without_the_api_server_and_not_before() {
    let run = watch(at_work(), None);
    sleep(MINUTE).await;
    run.api.is_away(true);
    sleep(OUTAGE - Duration::from_secs(10)).await;
    assert!(!run.is_over().await);
    let (end, after) = run.end().await;
    assert!(matches!(end, RunEnd::Unreachable { .. }), "{end:?}");
    assert!((660..=680).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn hours_of_short_outages_end_nothing() {
    let run = watch(at_work(), None);
    for _ in 0..20 {
        run.api.is_away(true);
        sleep(9 * MINUTE).await;
        run.api.is_away(false);
        sleep(MINUTE).await;
    }
    assert!(!run.is_over().await);
    run.api
        .pods(&[pod(json!({}), container(&json!({"terminated": {"exitCode": 0}})))]);
    assert!(has_exited(&run.end().await.0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_agent_outlives_its_job_until_its_own_pod_is_ended() {
    let run = watch(at_work(), None);
    sleep(MINUTE).await;
    run.api.jobs(&[]);
    sleep(60 * MINUTE).await;
    assert!(!run.is_over().await, "it is at work");
    run.api.pods(&[pod(is_being_deleted(), running())]);
    sleep(Duration::from_secs(70)).await;
    assert!(!run.is_over().await, "its last words are waited for");
    assert!(is_lost(&run.end().await.0));
}

#[tokio::test(start_paused = true)]
async fn our_own_clock_is_a_deadline_only_after_the_grace() {
    let run = watch(at_work(), Some(300));
    sleep(Duration::from_secs(355)).await;
    assert!(!run.is_over().await, "the Job's own deadline comes first");
    let (end, after) = run.end().await;
    assert!(matches!(end, RunEnd::DeadlineExceeded { .. }), "{end:?}");
    // Its Job is deleted, and its pod, which nobody ends here, is waited for.
    assert!((398..=402).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_deleted_in_the_same_moment_is_seen() {
    let ended = pod(
        json!({"resourceVersion": "8"}),
        container(&json!({"terminated": {"exitCode": 7, "reason": "Error"}})),
    );
    let api = at_work();
    api.says_by_watch("pods", &[("MODIFIED", &ended), ("DELETED", &ended)]);
    let (end, _) = watch(api, None).end().await;
    assert!(has_exited(&end, 7), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_whose_job_is_deleted_in_the_same_moment_is_seen() {
    let late = job(json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]));
    let api = at_work();
    api.says_by_watch("jobs", &[("MODIFIED", &late), ("DELETED", &late)]);
    let (end, _) = watch(api, Some(3)).end().await;
    assert!(matches!(end, RunEnd::DeadlineExceeded { .. }), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_ended_with_its_deleted_job_says_so() {
    let failed = || json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]);
    for (conditions, exit_code, says) in [
        (json!([]), 143, true),
        (json!([]), 3, false),
        (failed(), 143, false),
    ] {
        let state = json!({"terminated": {"exitCode": exit_code, "reason": "Error"}});
        let (job, pod) = (job(conditions), pod(is_being_deleted(), container(&state)));
        let api = at_work();
        api.says_by_watch("jobs", &[("MODIFIED", &job), ("DELETED", &job)]);
        api.says_by_watch("pods", &[("MODIFIED", &pod)]);
        let (end, _) = watch(api, None).end().await;
        let reason = end
            .evidence()
            .and_then(|it| it.container.as_ref()?.reason.clone());
        let is_said = reason.is_some_and(|reason| reason.contains("the Job was deleted"));
        assert_eq!(is_said, says, "{end:?}");
    }
}

/// A container that was ended, as the deadline ends it.
fn ended() -> serde_json::Value {
    pod(
        is_being_deleted(),
        container(&json!({"terminated": {"exitCode": 143, "reason": "Error"}})),
    )
}

/// What the agent's end is called when it comes 3 s after the Job was asked for, with a deadline of 3 s.
async fn end_at_the_deadline(api: ApiServer, pod: serde_json::Value) -> RunEnd {
    let run = watch(api.clone(), Some(3));
    sleep(Duration::from_secs(3)).await;
    api.pods(&[pod]);
    run.end().await.0
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_the_controller_there_is_no_deadline() {
    let end = end_at_the_deadline(at_work(), ended()).await;
    assert!(has_exited(&end, 143), "{end:?}");
    let failed = job(json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]));
    let end = end_at_the_deadline(ApiServer::with(&[failed], &[pod(json!({}), running())]), ended()).await;
    assert!(!matches!(end, RunEnd::DeadlineExceeded { .. }), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_before_our_clock_ran_out_is_its_end() {
    let ended = pod(
        json!({}),
        container(&json!({"terminated": {"exitCode": 3, "reason": "Error"}})),
    );
    let api = ApiServer::with(&[job(json!([]))], &[ended]);
    let folder = tempfile::tempdir().expect("a folder");
    let (handle, _stopper) = handle(&api, &folder, Some(1));
    sleep(2 * MINUTE).await;
    let (host_log, _) = HostLog::new(Arc::new(SilentHost), handle.stop.clone());
    let end = watch_to_the_end(&handle, &host_log).await;
    assert!(has_exited(&end, 3), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_not_be_asked_for_and_is_there_no_more_is_gone() {
    let run = watch(ApiServer::with(&[job(json!([]))], &[]), None);
    run.api.refuses_get();
    sleep(MINUTE).await;
    assert!(!run.is_over().await);
    run.api.jobs(&[]);
    let (end, after) = run.end().await;
    assert!(is_lost(&end), "{end:?}");
    assert!((60..=70).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ended_by_itself_before_a_sidecar_took_its_job_to_the_deadline_did_not_time_out() {
    let failed = container(&json!({"terminated": {"exitCode": 3, "reason": "Error"}}));
    let late = job(json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]));
    for (meta, is_late) in [(json!({}), false), (is_being_deleted(), true)] {
        let api = at_work();
        let (said, api_later) = (late.clone(), api.clone());
        tokio::spawn(async move {
            sleep(Duration::from_secs(8)).await;
            api_later.jobs(&[said]);
        });
        let end = end_at_the_deadline(api, pod(meta, failed.clone())).await;
        assert_eq!(matches!(end, RunEnd::DeadlineExceeded { .. }), is_late, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_somebody_has_given_the_job_is_one() {
    for (timeout, is_of_others) in [(None, true), (Some(300), true), (Some(1), false)] {
        let late = job(json!([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]));
        let run = watch(ApiServer::with(&[late], &[ended()]), timeout);
        sleep(Duration::from_secs(1)).await;
        let (end, _) = run.end().await;
        let seen = match end {
            RunEnd::DeadlineExceeded { is_of_others, .. } => Some(is_of_others),
            _ => None,
        };
        assert_eq!(seen, Some(is_of_others), "{timeout:?}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_pods_that_were_made_at_once_the_one_that_runs_the_agent_is_followed() {
    let second = pod(
        json!({}),
        container(&json!({"terminated": {"exitCode": 64, "reason": "Error"}})),
    );
    let twin = |state: serde_json::Value| pod(json!({"name": "job-2", "uid": "twin"}), container(&state));
    let api = at_work();
    let run = watch(api.clone(), None);
    sleep(Duration::from_secs(5)).await;
    api.pods(&[
        second.clone(),
        twin(json!({"waiting": {"reason": "PodInitializing"}})),
    ]);
    sleep(MINUTE).await;
    assert!(!run.is_over().await, "the other one has the agent");
    api.pods(&[
        second.clone(),
        twin(json!({"terminated": {"exitCode": 7, "reason": "Error"}})),
    ]);
    assert!(has_exited(&run.end().await.0, 7));
    let alone = ApiServer::with(&[job(json!([]))], &[second]);
    assert!(has_exited(&watch(alone, None).end().await.0, 64));
}

/// A controller that made two pods at once ends the one that works when the other has failed.
#[tokio::test(start_paused = true)]
async fn an_agent_that_was_ended_because_of_a_second_pod_says_so() {
    for (second_was_made, is_told) in [("2026-01-01T00:00:00Z", true), ("2026-01-01T00:00:40Z", false)] {
        let api = at_work();
        let run = watch(api.clone(), None);
        sleep(Duration::from_secs(5)).await;
        let second = json!({"name": "job-2", "uid": "twin", "creationTimestamp": second_was_made});
        let refused = container(&json!({"terminated": {"exitCode": 64, "reason": "Error"}}));
        let ended = container(&json!({"terminated": {"exitCode": 143, "reason": "Error"}}));
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": 30});
        api.jobs(&[job(
            json!([{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}]),
        )]);
        api.pods(&[pod(second, refused), pod(deleted, ended)]);
        let RunEnd::Exited(evidence) = run.end().await.0 else {
            panic!("an end");
        };
        let reason = evidence.container.and_then(|end| end.reason).unwrap_or_default();
        assert_eq!(reason.contains("another of its pods"), is_told, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_labels_somebody_took_away_works_on_also_where_no_pod_may_be_asked_for() {
    let api = at_work();
    let run = watch(api.clone(), None);
    sleep(Duration::from_secs(5)).await;
    api.refuses_get();
    api.pods(&[]);
    api.without_labels("pods", &[pod(json!({"labels": {}}), running())]);
    sleep(10 * MINUTE).await;
    assert!(!run.is_over().await);
    api.without_labels("pods", &[]);
    assert!(matches!(run.end().await.0, RunEnd::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_labels_somebody_took_away_is_not_gone_while_its_agent_runs() {
    let api = ApiServer::with(&[], &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (handle, _stopper) = handle(&api, &folder, None);
    let limit = Duration::from_secs(5);
    assert!(handle.pods_gone(Some("job-1"), limit).await);
    api.without_labels("pods", &[pod(json!({"labels": {}}), running())]);
    assert!(!handle.pods_gone(Some("job-1"), limit).await, "it is at work");
    assert!(handle.pods_gone(None, limit).await);
}

/// What is known of an agent whose pod was gone before anybody looked, and whose record lies on the volume.
async fn end_without_a_pod(conditions: serde_json::Value) -> Option<RunEnd> {
    let run = watch(ApiServer::with(&[job(conditions)], &[]), None);
    let record = json!({"v": 1, "run": "r", "pod": "job-1", "exit": 3, "bytes": 0}).to_string();
    std::fs::write(run.folder.path().join("r.pod.end.json"), record).expect("a record");
    sleep(MINUTE).await;
    match run.is_over().await {
        true => Some(run.end().await.0),
        false => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_the_end_of_a_job_that_is_over_and_has_no_pod_and_of_no_job_that_may_still_get_one() {
    for condition in ["Complete", "Failed"] {
        let end = end_without_a_pod(json!([{"type": condition, "status": "True"}])).await;
        let record = end
            .as_ref()
            .and_then(RunEnd::evidence)
            .and_then(|it| it.record.as_ref());
        assert_eq!(record.map(|record| record.exit), Some(3), "{condition}: {end:?}");
    }
    assert_eq!(end_without_a_pod(json!([])).await, None);
}

/// The watch has kept back everything about the pod; the API server itself knows it.
#[tokio::test(start_paused = true)]
async fn a_record_of_a_pod_that_no_watch_has_shown_is_a_reason_to_ask_for_it() {
    for (state, end) in [
        (json!({"terminated": {"exitCode": 3, "reason": "Error"}}), Some(3)),
        (json!({"running": {}}), None),
        (json!({"terminated": {"exitCode": 64, "reason": "Error"}}), None),
    ] {
        let api = ApiServer::new(Watch::LosesEvents, 200);
        api.jobs(&[job(json!([]))]);
        api.without_labels("pods", &[pod(json!({}), container(&state))]);
        let run = watch(api, None);
        let record = json!({"v": 1, "run": "r", "pod": "job-1", "exit": 3, "bytes": 0}).to_string();
        std::fs::write(run.folder.path().join("r.pod.end.json"), record).expect("a record");
        sleep(MINUTE).await;
        assert_eq!(run.is_over().await, end.is_some(), "{state}");
        if let Some(exit_code) = end {
            assert!(has_exited(&run.end().await.0, exit_code), "{state}");
        }
    }
}

fn has_exited(end: &RunEnd, exit_code: i32) -> bool {
    let RunEnd::Exited(evidence) = end else {
        return false;
    };
    evidence
        .container
        .as_ref()
        .is_some_and(|container| container.exit_code == exit_code)
}

fn is_lost(end: &RunEnd) -> bool {
    matches!(end, RunEnd::Lost { why, .. } if why.contains("the Job was deleted"))
}
