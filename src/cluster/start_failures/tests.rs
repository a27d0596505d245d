use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::cluster::conditions::{PodStage, stage};

#[test]
fn every_row_fits_a_list_and_says_what_to_do() {
    for row in &ROWS {
        assert!(row.what.chars().count() <= 30, "{}", row.what);
        assert!(!row.to_do.is_empty() && !row.to_do.ends_with('.'), "{}", row.what);
        assert!(
            row.words.iter().all(|words| words.to_lowercase() == *words),
            "{}",
            row.what
        );
    }
}

/// What is said first, and a word of what to do.
const CASES: [(&str, &str, &str); 37] = [
    (
        "ErrImagePull: rpc error: code = NotFound desc = failed to resolve reference \"docker.io/library/agent:1\": \
         docker.io/library/agent:1: not found (container opencode of pod agent-opencode-1)",
        "Image not found: ",
        "*Image of the agent*",
    ),
    (
        "ImagePullBackOff: Back-off pulling image \"r.example/agent:1\": ErrImagePull: failed to authorize: \
         unexpected status from GET request to https://r.example/token: 401 Unauthorized (container opencode of pod p)",
        "Registry refuses the login: ",
        "imagePullSecrets",
    ),
    (
        "StartError: OCI runtime create failed: exec: \"sh\": executable file not found in $PATH (container opencode of pod p)",
        "Image lacks a program: ",
        "`sh`",
    ),
    (
        "CreateContainerConfigError: container's runAsUser breaks non-root policy (pod: \"p\", container: opencode)",
        "Image would run as root: ",
        "*Run as user*",
    ),
    (
        "ErrImagePull: pull access denied, repository does not exist or may require authorization",
        "Image not found or not allowed: ",
        "imagePullSecrets",
    ),
    (
        "ErrImagePull: no match for platform in manifest: not found",
        "Image not for this processor: ",
        "nodeSelector",
    ),
    (
        "Pod did not start within 600 s: container opencode: ErrImagePull: 429 Too Many Requests (pod p)",
        "Registry limits its pulls: ",
        "copy of the image",
    ),
    (
        "ErrImagePull: dial tcp 192.0.2.1:443: i/o timeout",
        "Registry not reachable: ",
        "firewall",
    ),
    (
        "ErrImagePull: something new",
        "Image cannot be pulled: ",
        "pull secret",
    ),
    (
        "OutOfnvidia.com/gpu: Pod was rejected: Node didn't have enough resource: nvidia.com/gpu",
        "Node had no room left: ",
        "add nodes",
    ),
    (
        "UnexpectedAdmissionError: Pod was rejected: Allocate failed due to no healthy devices present",
        "Node rejected the pod: ",
        "describe node",
    ),
    (
        "NodeShutdown: Pod was rejected as the node is shutting down.",
        "Node is shutting down: ",
        "Start the run again",
    ),
    (
        "Evicted: The node had condition: [DiskPressure]. ",
        "Pod had to make room: ",
        "Start the run again",
    ),
    (
        "ContainerStatusUnknown: The container could not be located when the pod was terminated",
        "Node lost the container: ",
        "Start the run again",
    ),
    (
        "InvalidImageName: couldn't parse image name \"Agent:1\"",
        "Image name is invalid: ",
        "*Image of the agent*",
    ),
    (
        "CreateContainerConfigError: secret \"keys\" not found",
        "Secret not found: ",
        "inheritEnv",
    ),
    (
        "CreateContainerConfigError: configmap \"c\" not found",
        "ConfigMap not found: ",
        "inheritEnv",
    ),
    (
        "CreateContainerConfigError: couldn't find key token in Secret paperclip/keys",
        "Secret lacks a key: ",
        "Add the key",
    ),
    (
        "CreateContainerConfigError: couldn't find key token in ConfigMap paperclip/c",
        "ConfigMap lacks a key: ",
        "Add the key",
    ),
    (
        "CreateContainerConfigError: container has runAsNonRoot and image will run as root",
        "Image would run as root: ",
        "*Run as user",
    ),
    (
        "Pod was not scheduled within 300 s: Unschedulable: 0/3 nodes are available: 1 node(s) had untolerated \
         taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. preemption: 0/3 nodes are available: \
         1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod. (pod p)",
        "Not enough CPU on any node: ",
        "*CPU to reserve*",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 Insufficient memory.",
        "Not enough memory on any node: ",
        "Memory",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        "No node has the device free: ",
        "add",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }.",
        "Nodes are tainted: ",
        "*Tolerations*",
    ),
    (
        "Unschedulable: 0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/unreachable: }.",
        "Nodes are not ready: ",
        "kubectl get nodes",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        "No node fits the selector: ",
        "nodeSelector",
    ),
    (
        "Unschedulable: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "Claim is not bound: ",
        "storage class",
    ),
    (
        "Unschedulable: persistentvolumeclaim \"paperclip-data\" not found",
        "Claim not found: ",
        "kubectl describe pvc",
    ),
    (
        "Unschedulable: 0/1 nodes are available",
        "No node takes the pod: ",
        "kubectl describe nodes",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
        "Volume is in another zone: ",
        "all nodes reach",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
        "Pod affinity allows no node: ",
        "*Affinity*",
    ),
    (
        "Unschedulable: 0/1 nodes are available: 1 node(s) were unschedulable.",
        "Nodes are not ready: ",
        "cordoned",
    ),
    (
        "FailedMount: MountVolume.SetUp failed for volume \"data\" : mount failed: exit status 32",
        "Volume cannot be mounted: ",
        "driver",
    ),
    (
        "FailedAttachVolume: Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) x",
        "Volume is on another node: ",
        "ReadWriteMany",
    ),
    (
        "FailedCreate: Error creating: pods \"x\" is forbidden: exceeded quota: agents",
        "Quota exceeded: ",
        "raise it",
    ),
    (
        "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu",
        "Node had no room left: ",
        "Start the run again",
    ),
    (
        "FailedCreatePodSandBox: plugin type=\"x\" failed (add)",
        "Node cannot set up the pod: ",
        "network plugin",
    ),
];

#[test]
fn a_pod_that_did_not_start_says_why_in_a_list_and_what_to_do() {
    for (said, begins, to_do) in CASES {
        let text = explained(said, [said]);
        let said = said.trim_end_matches(['.', ' ']);
        assert!(text.starts_with(&format!("{begins}{said}. ")), "{text}");
        assert!(text[begins.len() + said.len()..].contains(to_do), "{text}");
    }
}

#[test]
fn nodes_that_do_not_fit_for_several_reasons_are_not_told_by_one() {
    let said = "Unschedulable: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: }.";
    let text = explained(said, [said]);
    assert!(text.starts_with("No node fits: "), "{text}");
    assert!(
        text.contains("CPU to reserve") && text.contains("*Tolerations*"),
        "{text}"
    );
}

#[test]
fn an_init_container_of_ours_says_what_its_code_means() {
    for code in [64, 65, 66, 67, 69, 70] {
        let status = json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "initContainerStatuses": [
            {"name": "write-prompt", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"terminated": {"exitCode": code, "reason": "Error", "message": "paperclip: at /p"}}}]}});
        let pod = serde_json::from_value(status).expect("a pod");
        let why = blocked(&pod);
        let what = exit_codes::describe(code).expect("a code of ours");
        assert_eq!(
            why,
            format!("{what}: write-prompt exited with code {code} (Error) paperclip: at /p")
        );
        let to_do = exit_codes::to_do_about(what).expect("what to do");
        assert_eq!(explained(&why, [why.as_str()]), format!("{why}. {to_do}"));
    }
}

#[test]
fn an_init_container_that_was_ended_from_outside_says_by_what() {
    for (code, reason, what, to_do) in [
        (
            137,
            "OOMKilled",
            "Init container out of memory",
            "*Memory at most",
        ),
        (
            255,
            "Unknown",
            "Node lost the init container",
            "Start the run again",
        ),
        (1, "Error", "Init container failed", ""),
    ] {
        let status = json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "initContainerStatuses": [
            {"name": "write-prompt", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"terminated": {"exitCode": code, "reason": reason}}}]}});
        let why = blocked(&serde_json::from_value(status).expect("a pod"));
        assert!(why.starts_with(&format!("{what}: write-prompt")), "{why}");
        assert!(what.len() <= 30, "{what}");
        assert!(explained(&why, [why.as_str()]).contains(to_do));
    }
}

fn blocked(pod: &Pod) -> String {
    match stage(pod, "opencode") {
        PodStage::Blocked { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_knows_stays_as_it_is_and_what_events_say_helps() {
    let late = "Pod did not start within 600 s: phase=Pending, opencode: waiting (ContainerCreating) (pod p)";
    assert_eq!(explained(late, [late]), late);
    let mount = "FailedMount: no route";
    assert!(explained(late, [late, mount]).starts_with("Volume cannot be mounted: Pod did not start"));
    // A name is no reason.
    let named = "Held: pod FailedMount: gone";
    assert!(explained(named, [named]).starts_with("Held: "));
}
