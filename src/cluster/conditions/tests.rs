use std::sync::Arc;

use super::*;
use serde_json::json;

pub(super) fn pod(value: serde_json::Value) -> Pod {
    serde_json::from_value(value).expect("a pod")
}

fn job(value: serde_json::Value) -> Job {
    serde_json::from_value(value).expect("a job")
}

#[test]
fn a_job_ends_by_its_conditions_only() {
    assert_eq!(job_end(&job(json!({"status": {"succeeded": 1}}))), None);
    let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    assert_eq!(job_end(&job(complete)), Some(JobEnd::Complete));
    let failing = json!({"status": {"conditions": [{"type": "Failed", "status": "False"}]}});
    assert_eq!(job_end(&job(failing)), None);
    let failed = json!({"status": {"conditions": [
        {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"},
        {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]}});
    let end = JobEnd::Failed {
        reason: "DeadlineExceeded".to_owned(),
        message: "too long".to_owned(),
    };
    assert_eq!(job_end(&job(failed)), Some(end));
}

#[test]
fn the_stage_follows_the_pod() {
    let unschedulable = json!({"status": {"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}});
    let why = Some("Unschedulable: 0/3 nodes".to_owned());
    assert_eq!(
        stage(&pod(unschedulable), "opencode"),
        PodStage::Unscheduled { why }
    );
    let starting = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Pending"}});
    assert_eq!(stage(&pod(starting), "opencode"), PodStage::Starting);
    let running = json!({"status": {"phase": "Running", "containerStatuses": [
        {"name": "opencode", "image": "", "imageID": "", "ready": true, "restartCount": 0,
         "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    assert_eq!(stage(&pod(running), "opencode"), PodStage::Running);
}

#[test]
fn an_image_that_cannot_be_pulled_blocks_and_an_unbound_claim_does_not() {
    let pulling = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Pending", "containerStatuses": [
        {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"waiting": {"reason": "ImagePullBackOff", "message": "agent:1: not found"}}}]}});
    let why = "ImagePullBackOff: agent:1: not found".to_owned();
    assert_eq!(
        stage(&pod(pulling), "opencode"),
        PodStage::Blocked {
            container: "opencode".to_owned(),
            why
        }
    );
}

#[test]
fn a_failed_init_container_blocks_although_the_pod_is_over() {
    let failed = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Failed", "initContainerStatuses": [
        {"name": "write-prompt", "image": "", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"terminated": {"exitCode": 71, "reason": "Error", "message": "no folder"}}}]}});
    let PodStage::Blocked { container, why } = stage(&pod(failed), "opencode") else {
        panic!("not blocked")
    };
    assert_eq!((container.as_str(), why.contains("71")), ("write-prompt", true));
}

/// A pod with these containers; a state without `waiting`, `running` or `terminated` stands for none.
pub(super) fn with_containers(
    phase: &str,
    init: &[(&str, serde_json::Value)],
    main: &[(&str, serde_json::Value)],
) -> Pod {
    let status = |all: &[(&str, serde_json::Value)]| -> Vec<_> {
        let of = |(name, state): &(&str, serde_json::Value)| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        all.iter().map(of).collect()
    };
    pod(json!({"spec": {"nodeName": "n", "containers": [],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "write-prompt"}]},
        "status": {"phase": phase, "initContainerStatuses": status(init), "containerStatuses": status(main)}}))
}

#[test]
fn only_the_containers_of_the_job_decide() {
    let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "no"}});
    let ended = |code: i32| json!({"terminated": {"exitCode": code, "reason": "Error"}});
    let running = || json!({"running": {}});
    let trouble = [
        waiting("CrashLoopBackOff"),
        waiting("InvalidImageName"),
        ended(137),
        ended(0),
        running(),
    ];
    for state in trouble {
        let stage_of = |phase: &str, prompt: serde_json::Value, agent: serde_json::Value| {
            let init = [("proxy", state.clone()), ("write-prompt", prompt)];
            let main = [("opencode", agent), ("otel-agent", state.clone())];
            stage(&with_containers(phase, &init, &main), "opencode")
        };
        let initializing = || waiting("PodInitializing");
        let says = format!("{state}");
        assert_eq!(
            stage_of("Running", ended(0), running()),
            PodStage::Running,
            "{says}"
        );
        assert_eq!(
            stage_of("Pending", initializing(), initializing()),
            PodStage::Starting,
            "{says}"
        );
        assert_eq!(
            stage_of("Pending", ended(0), initializing()),
            PodStage::Starting,
            "{says}"
        );
        assert!(
            matches!(stage_of("Running", ended(0), ended(3)), PodStage::Ended(end) if end.exit_code == 3),
            "{says}"
        );
        assert!(
            matches!(
                stage_of("Failed", ended(0), initializing()),
                PodStage::EndUnknown { .. }
            ),
            "{says}"
        );
        for (prompt, agent, at) in [
            (ended(71), initializing(), "write-prompt"),
            (waiting("InvalidImageName"), initializing(), "write-prompt"),
            (ended(0), waiting("InvalidImageName"), "opencode"),
        ] {
            assert!(
                matches!(stage_of("Pending", prompt, agent), PodStage::Blocked { container, .. } if container == at),
                "{says}"
            );
        }
    }
}

#[test]
fn another_init_container_that_failed_has_ended_its_pod() {
    let init = [
        ("proxy", json!({"terminated": {"exitCode": 143}})),
        ("istio-init", json!({"terminated": {"exitCode": 1}})),
    ];
    let failed = with_containers(
        "Failed",
        &init,
        &[("opencode", json!({"waiting": {"reason": "PodInitializing"}}))],
    );
    assert!(
        matches!(stage(&failed, "opencode"), PodStage::Blocked { container, .. } if container == "istio-init")
    );
}

#[test]
fn an_init_container_that_ended_with_its_pod_did_not_fail() {
    let with = |more: &serde_json::Value, code: i32| {
        let ended = json!({"terminated": {"exitCode": code, "reason": "Error"}});
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        let pod = with_containers("Failed", &[("write-prompt", ended)], &[("opencode", waiting)]);
        let mut pod = serde_json::to_value(pod).expect("a pod");
        for (key, value) in more.as_object().into_iter().flatten() {
            pod["status"][key] = value.clone();
        }
        stage(&serde_json::from_value(pod).expect("a pod"), "opencode")
    };
    let evicted = json!({"reason": "Evicted", "message": "The node was low on resource: memory."});
    let preempted = json!({"conditions": [{"type": "DisruptionTarget", "status": "True",
        "reason": "PreemptionByScheduler", "message": "preempting"}]});
    for (more, says) in [
        (&evicted, "Evicted: The node was low"),
        (&preempted, "Preempted: preempting"),
    ] {
        assert!(
            matches!(with(more, 137), PodStage::EndUnknown { why } if why.starts_with(says)),
            "{says}"
        );
        assert!(
            matches!(with(more, 66), PodStage::Blocked { .. }),
            "a code of the script's own is a cause"
        );
    }
    assert!(matches!(with(&json!({}), 137), PodStage::Blocked { .. }));
}

#[test]
fn the_end_of_a_second_pod_is_not_the_agents() {
    let named = |name: &str, state: serde_json::Value| {
        pod(
            json!({"metadata": {"name": name}, "status": {"containerStatuses": [
            {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}),
        )
    };
    let ended = |code: i32| json!({"terminated": {"exitCode": code, "reason": "Error"}});
    let second = named("job-b", ended(64));
    let code = |first: serde_json::Value| {
        let pods = [Arc::new(second.clone()), Arc::new(named("job-a", first))];
        end_in(&pods, "job-a", "opencode").map(|end| end.exit_code)
    };
    assert_eq!(code(json!({"running": {}})), None);
    assert_eq!(code(ended(143)), Some(143));
}

#[test]
fn an_evicted_pod_without_container_status_has_an_unknown_end() {
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}});
    let why = "Evicted: disk pressure".to_owned();
    assert_eq!(stage(&pod(evicted), "opencode"), PodStage::EndUnknown { why });
}

#[test]
fn who_disrupts_a_pod_is_its_reason() {
    let condition = |reason: &str| json!([{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "words"}]);
    let with = |reason: &str, phase: &str, state: serde_json::Value| {
        let mut pod = with_containers(phase, &[], &[("opencode", state)]);
        pod.status.as_mut().expect("a status").conditions =
            serde_json::from_value(condition(reason)).expect("conditions");
        pod
    };
    for (reason, class) in [
        ("PreemptionByScheduler", "Preempted"),
        ("DeletionByTaintManager", "Evicted"),
        ("EvictionByEvictionAPI", "Evicted"),
        ("TerminationByKubelet", "Evicted"),
        ("DeletionByPodGC", "NodeLost"),
    ] {
        let said = Some(format!("{class}: words"));
        let end = |name: &str| {
            let ended = json!({"terminated": {"exitCode": 143, "reason": name}});
            match stage(&with(reason, "Failed", ended), "opencode") {
                PodStage::Ended(end) => end.reason,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end("Error"), said, "{reason}");
        assert_eq!(end("OOMKilled").as_deref(), Some("OOMKilled"), "{reason}");
        let running = || json!({"running": {}});
        assert_eq!(
            stage(&with(reason, "Failed", running()), "opencode"),
            PodStage::EndUnknown {
                why: said.clone().expect("words")
            }
        );
        let at_work = with(reason, "Running", running());
        assert_eq!(
            stage(&at_work, "opencode"),
            PodStage::Running,
            "it has its grace period"
        );
        assert_eq!(ended_because(&at_work), said);
    }
    let spared = json!([{"type": "DisruptionTarget", "status": "False", "reason": "PreemptionByScheduler"}]);
    let mut pod = with("", "Running", json!({"running": {}}));
    pod.status.as_mut().expect("a status").conditions = serde_json::from_value(spared).expect("conditions");
    assert_eq!(ended_because(&pod), None);
}

#[test]
fn what_passes_by_itself_is_said_and_blocks_nothing() {
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let turn = || waiting("PodInitializing", "");
    let because = |prompt: serde_json::Value, agent: serde_json::Value| {
        let pod = with_containers("Pending", &[("write-prompt", prompt)], &[("opencode", agent)]);
        assert_eq!(stage(&pod, "opencode"), PodStage::Starting);
        waits_because(&pod, "opencode")
    };
    let says = |container: &str| Some(format!("container {container}: ErrImagePull: pull QPS exceeded"));
    let pulling = || waiting("ErrImagePull", "pull QPS exceeded");
    assert_eq!(because(turn(), turn()), None);
    assert_eq!(because(pulling(), turn()), says("write-prompt"));
    assert_eq!(
        because(json!({"terminated": {"exitCode": 0}}), pulling()),
        says("opencode")
    );
    assert_eq!(
        because(
            waiting("ImagePullBackOff", "Back-off pulling image \"agent:1\""),
            turn()
        ),
        None
    );
}

#[test]
fn a_container_that_the_kubelet_removed_unreported_has_ended() {
    let state = |phase: &str, reason: Option<&str>, state: serde_json::Value| {
        let last = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was deleted.  The container used to be Running"}});
        let opencode = json!({"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state, "lastState": last});
        has_ended(
            &pod(json!({"status": {"phase": phase, "reason": reason, "containerStatuses": [opencode]}})),
            "opencode",
        )
    };
    let waiting = || json!({"waiting": {"reason": "PodInitializing"}});
    let running = || json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    assert!(state("Failed", None, waiting()));
    assert!(!state("Pending", None, waiting()), "it has not been started");
    assert!(
        !state("Failed", None, running()),
        "a pod of a node that nobody hears"
    );
    assert!(!state("Failed", Some("NodeLost"), waiting()));
    let silent = pod(json!({"status": {"phase": "Failed"}}));
    assert!(!has_ended(&silent, "opencode"), "no kubelet has said anything");
}

#[test]
fn a_pod_that_somebody_orphans_is_still_its_jobs() {
    let with = |owners: serde_json::Value, label: &str| {
        pod(json!({"metadata": {"ownerReferences": owners, "labels": {label: "uid"}}}))
    };
    let owner = |uid: &str| json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid}]);
    for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
        assert!(is_owned_by(&with(json!([]), label), "uid"));
        assert!(!is_owned_by(&with(json!([]), label), "other"));
        assert!(
            !is_owned_by(&with(owner("other"), label), "uid"),
            "somebody has adopted it"
        );
    }
    assert!(is_owned_by(&with(owner("uid"), "job-name"), "uid"));
    assert!(!is_owned_by(&with(json!([]), "job-name"), "uid"));
}
