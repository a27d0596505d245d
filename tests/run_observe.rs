//! One Job watched to its end against an API server that is slow, away or has forgotten, on a stopped clock: what ends
//! the run, when, and what does not.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "a test fails loudly"
)]

mod api;

use std::sync::Arc;
use std::time::Duration;

use api::ApiServer;
use opencode_k8s::run::live::{FileNames, Limits, Live};
use opencode_k8s::run::observe::observe;
use opencode_k8s::run::stop::{Stopper, stop_signal};
use opencode_k8s::run::told::End;
use opencode_k8s::run::voice::{Nobody, Voice};
use opencode_k8s::run::volume::Watchman;
use opencode_k8s::tail::source::{Ownership, RunFiles};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);
const OUTAGE: Duration = Duration::from_secs(600);

/// A run that is being watched, with its API server.
struct Watched {
    api: ApiServer,
    ended: JoinHandle<(End, Duration)>,
    _stopper: Stopper,
    folder: tempfile::TempDir,
}

impl Watched {
    /// Whether it has ended, when everybody has had a turn.
    async fn is_over(&self) -> bool {
        sleep(Duration::from_millis(1)).await;
        self.ended.is_finished()
    }

    async fn end(self) -> (End, u64) {
        let (end, after) = self.ended.await.expect("an end");
        (end, after.as_secs())
    }
}

fn files(folder: &tempfile::TempDir) -> (RunFiles, FileNames) {
    let files = RunFiles::new(folder.path(), &folder.path().join("r.pod.ndjson")).expect("files");
    let name = |end: &str| format!("r.pod.{end}");
    let names = FileNames {
        log: name("ndjson"),
        stderr: name("stderr.log"),
        started: name("started"),
        end: name("end.json"),
        draft: name("end"),
        nonce: name("nonce"),
        heir: name("heir"),
        bill: name("bill"),
    };
    (files, names)
}

fn live(api: &ApiServer, folder: &tempfile::TempDir, timeout: Option<u64>) -> (Live, Stopper) {
    let (stopper, stop) = stop_signal();
    let (files, names) = files(folder);
    let (namespace, view) = api.view();
    let after = |seconds| Instant::now() + Duration::from_secs(seconds);
    let live = Live {
        pulse: view.pulse_of("job"),
        namespace,
        view,
        run_id: "r".to_owned(),
        job_name: "job".to_owned(),
        job_uid: "uid".to_owned(),
        secret: None,
        files,
        names,
        owner: Ownership::default(),
        job_deadline: timeout.map(after),
        deadline: timeout.map(|seconds| after(seconds + 60)),
        limits: Limits {
            schedule: Duration::from_secs(120),
            start: Duration::from_secs(600),
            outage: OUTAGE,
        },
        stop,
        watchman: Watchman::default(),
        heir: None,
        without_job: false,
    };
    (live, stopper)
}

fn watch(api: ApiServer, timeout: Option<u64>) -> Watched {
    let folder = tempfile::tempdir().expect("a folder");
    let (live, stopper) = live(&api, &folder, timeout);
    let since = Instant::now();
    let ended = tokio::spawn(async move {
        let (voice, _) = Voice::new(Arc::new(Nobody), live.stop.clone());
        (observe(&live, &voice).await, since.elapsed())
    });
    Watched {
        api,
        ended,
        _stopper: stopper,
        folder,
    }
}

fn job(conditions: Value) -> Value {
    json!({"metadata": {"name": "job", "namespace": "paperclip", "uid": "uid"}, "status": {"conditions": conditions}})
}

fn pod(meta: Value, status: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "job-1", "namespace": "paperclip", "uid": "pod-uid", "labels": {"job-name": "job"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid"}]},
        "spec": {"nodeName": "node", "containers": []}, "status": status});
    for (key, value) in meta.as_object().into_iter().flatten() {
        pod["metadata"][key] = value.clone();
    }
    pod
}

fn container(state: &Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": state}]})
}

fn running() -> Value {
    container(&json!({"running": {}}))
}

fn is_being_deleted() -> Value {
    json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30})
}

fn at_work() -> ApiServer {
    ApiServer::with(&[job(json!([]))], &[pod(json!({}), running())])
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_its_dead_node_never_ends_is_lost_after_the_limit_of_an_outage() {
    let run = watch(at_work(), None);
    sleep(10 * MINUTE).await;
    assert!(!run.is_over().await, "a node that is not heard ends nothing");
    run.api.pods(&[pod(is_being_deleted(), running())]);
    sleep(OUTAGE - Duration::from_secs(5)).await;
    assert!(!run.is_over().await);
    let (end, after) = run.end().await;
    assert!(
        matches!(&end, End::PodLost(why) if why.contains("its node did not end it within 600 s")),
        "{end:?}"
    );
    assert!((1_200..=1_206).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_unknown_after_ten_minutes_without_the_api_server_and_not_before() {
    let run = watch(at_work(), None);
    sleep(MINUTE).await;
    run.api.is_away(true);
    sleep(OUTAGE - Duration::from_secs(10)).await;
    assert!(!run.is_over().await);
    let (end, after) = run.end().await;
    assert!(matches!(end, End::Outage(_)), "{end:?}");
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
    assert!(matches!(run.end().await.0, End::Container(end) if end.exit_code == 0));
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_waited_for_until_it_is_bound_and_then_until_it_runs() {
    let mut unbound = pod(json!({}), json!({"phase": "Pending"}));
    unbound["spec"] = json!({"containers": []});
    let (end, after) = watch(ApiServer::with(&[job(json!([]))], &[unbound.clone()]), None)
        .end()
        .await;
    assert!(
        matches!(&end, End::NotStarted(why) if why.contains("was not scheduled within 120 s")),
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
        matches!(&end, End::NotStarted(why) if why.contains("did not start within 600 s")),
        "{end:?}"
    );
    assert!((700..=704).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_pod_ends_when_it_should_have_been_scheduled() {
    let (end, after) = watch(ApiServer::with(&[job(json!([]))], &[]), None).end().await;
    assert!(
        matches!(&end, End::NotStarted(why) if why.contains("no pod was made")),
        "{end:?}"
    );
    assert!((120..=122).contains(&after), "{after}");
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
    assert_eq!(run.end().await.0, End::JobGone);
}

#[tokio::test(start_paused = true)]
async fn our_own_clock_is_a_deadline_only_after_the_grace() {
    let run = watch(at_work(), Some(300));
    sleep(Duration::from_secs(355)).await;
    assert!(!run.is_over().await, "the Job's own deadline comes first");
    assert_eq!(run.end().await, (End::Deadline, 360));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_deleted_in_the_same_moment_is_heard() {
    let ended = pod(
        json!({"resourceVersion": "8"}),
        container(&json!({"terminated": {"exitCode": 7, "reason": "Error"}})),
    );
    let api = at_work();
    api.says_by_watch("pods", &[("MODIFIED", &ended), ("DELETED", &ended)]);
    let (end, _) = watch(api, None).end().await;
    assert!(
        matches!(&end, End::Container(end) if end.exit_code == 7),
        "{end:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_whose_job_is_deleted_in_the_same_moment_is_heard() {
    let late = job(json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]));
    let api = at_work();
    api.says_by_watch("jobs", &[("MODIFIED", &late), ("DELETED", &late)]);
    let folder = tempfile::tempdir().expect("a folder");
    let (live, _stopper) = live(&api, &folder, Some(3));
    sleep(Duration::from_secs(3)).await;
    assert!(live.job().is_none(), "nothing but a memory is left");
    assert!(live.hit_its_deadline(MINUTE).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_word_of_the_controller_there_is_no_deadline() {
    let api = at_work();
    let folder = tempfile::tempdir().expect("a folder");
    let (live, _stopper) = live(&api, &folder, Some(3));
    sleep(Duration::from_secs(10)).await;
    assert!(!live.hit_its_deadline(MINUTE).await);
    api.jobs(&[job(
        json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]),
    )]);
    assert!(!live.hit_its_deadline(MINUTE).await);
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
    assert!(matches!(end, End::NotStarted(_)), "{end:?}");
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
    assert!(matches!(run.end().await.0, End::PodLost(why) if why.contains("the Job is complete")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_an_agent_that_never_started_while_pods_cannot_be_listed() {
    let api = at_work();
    api.refuses("pods");
    let (end, after) = watch(api, None).end().await;
    assert!(
        matches!(&end, End::Outage(why) if why.contains("cannot list pods")),
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
async fn what_has_ended_before_our_clock_ran_out_is_its_end() {
    let ended = pod(
        json!({}),
        container(&json!({"terminated": {"exitCode": 3, "reason": "Error"}})),
    );
    let api = ApiServer::with(&[job(json!([]))], &[ended]);
    let folder = tempfile::tempdir().expect("a folder");
    let (live, _stopper) = live(&api, &folder, Some(1));
    sleep(2 * MINUTE).await;
    let (voice, _) = Voice::new(Arc::new(Nobody), live.stop.clone());
    let end = observe(&live, &voice).await;
    assert!(
        matches!(&end, End::Container(end) if end.exit_code == 3),
        "{end:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_may_not_be_asked_for_and_is_there_no_more_is_gone() {
    let run = watch(ApiServer::with(&[job(json!([]))], &[]), None);
    run.api.refuses_get();
    sleep(MINUTE).await;
    assert!(!run.is_over().await);
    run.api.jobs(&[]);
    let (end, after) = run.end().await;
    assert_eq!(end, End::JobGone);
    assert!((60..=70).contains(&after), "{after}");
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
async fn an_agent_that_ended_by_itself_before_a_sidecar_took_its_job_to_the_deadline_did_not_time_out() {
    let ended = container(&json!({"terminated": {"exitCode": 3, "reason": "Error"}}));
    let late = job(json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]));
    let folder = tempfile::tempdir().expect("a folder");
    for (meta, timed_out) in [(json!({}), false), (is_being_deleted(), true)] {
        let api = ApiServer::with(&[job(json!([]))], &[pod(meta, ended.clone())]);
        let (live, _stopper) = live(&api, &folder, Some(3));
        sleep(Duration::from_secs(3)).await;
        let (said, api_later) = (late.clone(), api.clone());
        tokio::spawn(async move {
            sleep(Duration::from_secs(5)).await;
            api_later.jobs(&[said]);
        });
        assert_eq!(live.hit_its_deadline(MINUTE).await, timed_out);
    }
}
