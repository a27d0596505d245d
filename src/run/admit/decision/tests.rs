use super::*;
use serde_json::{Value, json};

fn job(name: &str, more: Value) -> Job {
    let mut job = json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"paperclip.io/task-id": "t-1"},
            "annotations": {"paperclip.io/pod-log-path": format!("/paperclip/{name}.pod.ndjson"),
                "paperclip.io/pod-stderr-path": "/paperclip/e", "paperclip.io/pod-end-path": "/paperclip/r"}},
        "spec": {"template": {"spec": {"containers": []}}},
    });
    merge(&mut job, &more);
    serde_json::from_value(job).expect("a job")
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => into.clone_from(more),
    }
}

fn pod(job: &str, status: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": format!("{job}-pod"), "ownerReferences": [
        {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": format!("uid-{job}")}]}, "status": status}))
    .expect("a pod")
}

fn candidate() -> Candidate {
    Candidate {
        job_name: "candidate".to_owned(),
        task: Some("T-1".to_owned()),
        may_adopt: true,
        ..Candidate::default()
    }
}

/// The decision as a word and what it is about.
fn word(jobs: &[Job], pods: &[Pod], candidate: &Candidate) -> String {
    match decide(jobs, pods, candidate) {
        Decision::Resume(job_record) => format!("own {}", job_record.job_name),
        Decision::Adopt(job_record) => format!("reattach {}", job_record.job_name),
        Decision::Harvest(job_record) => format!("ended {}", job_record.job_name),
        Decision::Wait { jobs, pods, .. } => format!("wait {}", [jobs, pods].concat().join(",")),
        Decision::Abandon(job_record) => format!("stalled {}", job_record.job_name),
        Decision::Create => "free".to_owned(),
    }
}

/// A pod of this Job whose agent works.
fn at_work(job: &str) -> Pod {
    pod(
        job,
        json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": {"running": {}}}]}),
    )
}

#[test]
fn a_task_or_a_session_whose_id_differs_only_in_case_is_another() {
    let of = |task: &str, session: Option<&str>| {
        let mut command = vec![String::new(); 13];
        command[6] = format!(r#""cluster":"c","task":"{task}","cwd":"/$$HOME""#);
        command.extend(session.iter().flat_map(|id| ["--session", id]).map(str::to_owned));
        let containers = json!([{"name": "opencode", "command": command}]);
        let mut made = job(
            "own",
            json!({"spec": {"template": {"spec": {"containers": containers}}}}),
        );
        if let (Some(id), Some(labels)) = (session, &mut made.metadata.labels) {
            labels.insert(SESSION_ID.to_owned(), id.to_lowercase());
        }
        made
    };
    let with = |session: Option<&str>| Candidate {
        session: session.map(str::to_owned),
        ..candidate()
    };
    let word = |job: Job, session| word(&[job], &[], &with(session));
    assert_eq!(word(of("T-1", None), None), "reattach own");
    assert_eq!(word(of("t-1", None), None), "wait own");
    assert_eq!(word(of("T-1", Some("ses_a")), Some("ses_a")), "reattach own");
    assert_eq!(word(of("T-1", Some("ses_A")), Some("ses_a")), "wait own");
    let mut ended = of("t-1", None);
    ended.status =
        serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).ok();
    assert_eq!(word(ended, None), "free");
}

#[test]
fn the_orphan_matrix() {
    let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    let task = |task: &str| json!({"metadata": {"labels": {"paperclip.io/task-id": task}}});
    let session = json!({"metadata": {"labels": {"paperclip.io/session-id": "ses_1"}}});
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}});
    let foreign = json!({"metadata": {"annotations": null}});
    let off = Candidate {
        may_adopt: false,
        ..candidate()
    };
    let again = Candidate {
        may_adopt: false,
        has_harvested: true,
        ..candidate()
    };
    let no_task = Candidate {
        task: None,
        ..candidate()
    };
    let resuming = Candidate {
        session: Some("ses_1".to_owned()),
        ..candidate()
    };
    let cases: [(&str, Value, &Candidate, &str); 15] = [
        ("candidate", json!({}), &candidate(), "own candidate"),
        ("candidate", complete.clone(), &candidate(), "own candidate"),
        ("candidate", json!({}), &again, "own candidate"),
        ("a", json!({}), &candidate(), "reattach a"),
        ("a", json!({}), &off, "wait a"),
        ("a", json!({}), &again, "wait a"),
        ("a", json!({}), &no_task, "wait a"),
        ("a", task("other"), &candidate(), "wait a"),
        ("a", session.clone(), &candidate(), "wait a"),
        ("a", json!({}), &resuming, "wait a"),
        ("a", session, &resuming, "reattach a"),
        ("a", foreign, &candidate(), "wait a"),
        ("a", complete.clone(), &candidate(), "ended a"),
        ("a", complete.clone(), &again, "free"),
        ("a", leaving, &candidate(), "free"),
    ];
    for (name, more, candidate, expected) in cases {
        assert_eq!(
            word(&[job(name, more.clone())], &[], candidate),
            expected,
            "{name} {more}"
        );
    }
    let other = job("b", complete);
    assert_eq!(word(&[other], &[], &no_task), "free");
}

#[test]
fn the_same_task_comes_before_waiting_for_another() {
    let other = job(
        "a",
        json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
    );
    let jobs = [other, job("b", json!({}))];
    assert_eq!(word(&jobs, &[at_work("b")], &candidate()), "reattach b");
}

#[test]
fn no_gate_is_opened_beside_another_agent() {
    let (own, same, same_too) = (
        job("candidate", json!({})),
        job("a", json!({})),
        job("b", json!({})),
    );
    let both = [same, same_too];
    assert_eq!(word(&both, &[at_work("b")], &candidate()), "reattach b");
    assert_eq!(
        word(&both, &[], &candidate()),
        "wait a,b",
        "none of them has begun"
    );
    let with_own = [own, job("b", json!({}))];
    assert_eq!(word(&with_own, &[at_work("b")], &candidate()), "reattach b");
    let off = Candidate {
        may_adopt: false,
        ..candidate()
    };
    assert_eq!(word(&with_own, &[at_work("b")], &off), "wait candidate,b");
    assert_eq!(
        word(&with_own, &[at_work("candidate")], &off),
        "own candidate",
        "its gate is open"
    );
    let leaving = at_work("gone");
    assert_eq!(
        word(&both[..1], std::slice::from_ref(&leaving), &candidate()),
        "wait a,gone-pod"
    );
}

#[test]
fn pods_without_a_job_are_waited_for_until_they_have_ended() {
    let running = pod("gone", json!({"phase": "Running"}));
    assert_eq!(
        word(&[], std::slice::from_ref(&running), &candidate()),
        "wait gone-pod"
    );
    assert_eq!(
        word(&[], &[pod("gone", json!({"phase": "Failed"}))], &candidate()),
        "free"
    );
    let leaving = job(
        "gone",
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}}),
    );
    assert_eq!(word(&[leaving], &[running], &candidate()), "wait gone-pod");
}

#[test]
fn an_agent_without_a_job_works_on_until_somebody_deletes_its_pod() {
    let mut pod = at_work("gone");
    let is_ending = |pod: &Pod| match decide(&[], std::slice::from_ref(pod), &candidate()) {
        Decision::Wait { pods_are_ending, .. } => pods_are_ending,
        other => panic!("{other:?}"),
    };
    assert!(!is_ending(&pod));
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:09Z")).expect("a time");
    assert!(is_ending(&pod));
    assert!(
        is_ending(&self::pod("gone", json!({"phase": "Pending"}))),
        "its gate stays shut"
    );
}

#[test]
fn an_agent_that_works_on_after_its_job_has_failed_is_waited_for() {
    let failed = json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}},
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
    let with = |state: Value| {
        let status = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": state}]});
        word(&[job("a", failed.clone())], &[pod("a", status)], &candidate())
    };
    assert_eq!(with(json!({"running": {}})), "wait a-pod");
    assert_eq!(with(json!({"terminated": {"exitCode": 143}})), "free");
}

#[test]
fn a_sidecar_does_not_keep_an_agent_busy() {
    let ended = json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}]});
    let other = job(
        "a",
        json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
    );
    assert_eq!(word(&[other], &[pod("a", ended.clone())], &candidate()), "free");
    // A run that may not adopt has waited for this agent, and comes before the controller's word.
    let off = Candidate {
        may_adopt: false,
        ..candidate()
    };
    let own = job("a", json!({}));
    assert_eq!(word(&[own], &[pod("a", ended)], &off), "ended a");
}

#[test]
fn a_job_without_a_running_agent_is_named_as_such() {
    let other = job(
        "a",
        json!({"metadata": {"labels": {"paperclip.io/task-id": "t-2"}}}),
    );
    let mut queued = other.clone();
    queued.spec.as_mut().expect("a spec").suspend = Some(true);
    let Decision::Wait {
        unstarted, queued, ..
    } = decide(&[queued], &[], &candidate())
    else {
        panic!("it is waited for");
    };
    assert_eq!(
        (unstarted.len(), queued),
        (0, vec!["a".to_owned()]),
        "its queue holds it back"
    );
    let unstarted = |pods: &[Pod]| match decide(std::slice::from_ref(&other), pods, &candidate()) {
        Decision::Wait { unstarted, .. } => unstarted.len(),
        _ => usize::MAX,
    };
    assert_eq!(unstarted(&[]), 1, "no pod was made");
    assert_eq!(unstarted(&[pod("a", json!({"phase": "Pending"}))]), 1);
    assert_eq!(unstarted(&[at_work("a")]), 0);
}
