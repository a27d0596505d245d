use serde_json::json;

use super::super::tests::{pod, with_containers};
use super::super::{PodStage, stage};
use super::*;

#[test]
fn a_container_that_the_runtime_could_not_start_has_not_run() {
    let of = |reason: &str, name: &str| {
        let ended = json!({"terminated": {"exitCode": 128, "reason": reason, "message": "exec: \"sh\": not found\n",
            "startedAt": "1970-01-01T00:00:00Z"}});
        let pod = match name {
            "opencode" => with_containers("Failed", &[], &[(name, ended)]),
            _ => with_containers("Failed", &[(name, ended)], &[]),
        };
        (shows_no_start(&pod, "opencode"), stage(&pod, "opencode"))
    };
    for reason in ["StartError", "ContainerCannotRun"] {
        let (no_start, PodStage::Ended(end)) = of(reason, "opencode") else {
            panic!("it has ended")
        };
        let why = Some(format!("{reason}: exec: \"sh\": not found"));
        assert!(no_start && no_start_of(&end) == why);
        let (_, of_init) = of(reason, "write-prompt");
        assert!(matches!(of_init, PodStage::Blocked { why: said, .. } if Some(&said) == why.as_ref()));
    }
    assert!(!of("Error", "opencode").0, "it has a time of its start");
}

#[test]
fn a_pod_that_the_kubelet_ended_before_its_agent_ran_shows_no_start() {
    let is_no_start = |reason: &str, state: serde_json::Value| {
        let mut pod = with_containers("Failed", &[], &[("opencode", state)]);
        pod.status.as_mut().expect("a status").reason = Some(reason.to_owned());
        shows_no_start(&pod, "opencode")
    };
    let waiting = || json!({"waiting": {"reason": "PodInitializing"}});
    let unknown = || json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
    for reason in [
        "OutOfcpu",
        "OutOfpods",
        "NodeAffinity",
        "NodeShutdown",
        "Terminated",
        "Evicted",
        "Preempting",
        "UnexpectedAdmissionError",
    ] {
        let rejected =
            json!({"status": {"phase": "Failed", "reason": reason, "message": "Pod was rejected"}});
        assert!(shows_no_start(&pod(rejected), "opencode"), "{reason}");
        assert!(
            is_no_start(reason, waiting()) && is_no_start(reason, unknown()),
            "{reason}"
        );
        for ran in [
            json!({"running": {}}),
            json!({"terminated": {"exitCode": 143, "reason": "Error"}}),
            json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": "2026-01-01T00:00:00Z"}}),
        ] {
            assert!(!is_no_start(reason, ran), "{reason}");
        }
    }
    let ended = with_containers("Running", &[], &[("opencode", unknown())]);
    assert!(shows_no_start(&ended, "opencode"), "its phase comes later");
    // A deleted pod has no reason.
    assert!(is_no_start("", waiting()) && is_no_start("", unknown()));
    assert!(!is_no_start("NodeLost", waiting()));
    assert!(!is_no_start(
        "",
        json!({"terminated": {"exitCode": 1, "reason": "Error"}})
    ));
    let pending = |node: Option<&str>| {
        pod(json!({"spec": {"nodeName": node, "containers": []}, "status": {"phase": "Pending"}}))
    };
    assert!(shows_no_start(&pending(None), "opencode"), "no node had it");
    assert!(
        !shows_no_start(&pending(Some("n")), "opencode"),
        "its node may start it yet"
    );
}
