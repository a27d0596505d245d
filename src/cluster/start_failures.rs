//! Why a pod did not start, told from what the kubelet, the scheduler and the Job's controller say: what is wrong in
//! words that fit a list, and what a person can do. Pure: nothing is decided by it.

use std::borrow::Cow;

use super::conditions::{INIT_LOST, INIT_OUT_OF_MEMORY};
use super::refusals::refusal;
use crate::manifest::exit_codes;

const IMAGE: &[&str] = &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"];
const CONFIGURATION: &[&str] = &["CreateContainerConfigError"];
const CREATION: &[&str] = &[
    "CreateContainerError",
    "RunContainerError",
    "StartError",
    "ContainerCannotRun",
];
const SCHEDULER: &[&str] = &["Unschedulable", "FailedScheduling"];
const VOLUME: &[&str] = &["FailedMount", "FailedAttachVolume"];
/// What a Job's controller says of a pod that it may not make.
const NOT_MADE: &str = "FailedCreate";

const PULL_SECRET: &str =
    "Give it a login: `imagePullSecrets` of the agent or of the server's pod, in the Jobs' namespace";
const REGISTRY: &str = "Look at the way from the nodes to the registry: DNS, proxy, firewall, certificates";
const MAKE_OBJECT: &str = "Make it in the Jobs' namespace, or take out what names it (`inheritEnv`, \
                           `inheritSecretMounts`, `podSpecPatch`)";
const NODE: &str = "Look at the node: kubectl describe node";
const NODES: &str = "Look at the nodes: kubectl describe nodes";
const AGAIN: &str = "Start the run again; if it repeats, look at the node: kubectl describe node";
/// How a kubelet rejects a pod for want of a resource, whose name follows.
const OUT_OF: &str = "OutOf";
const CLAIM: &str = "Look at the claim and its storage class: kubectl describe pvc";

/// A kind of failure.
struct Row {
    /// Who says it, by the reasons that they give.
    reasons: &'static [&'static str],
    /// One of these is in the message, in lower case; none for any message.
    words: &'static [&'static str],
    what: &'static str,
    to_do: &'static str,
}

const fn row(
    reasons: &'static [&'static str],
    words: &'static [&'static str],
    what: &'static str,
    to_do: &'static str,
) -> Row {
    Row {
        reasons,
        words,
        what,
        to_do,
    }
}

/// The first row that fits decides; of the scheduler's all that fit, it counts its nodes by several reasons at once.
#[rustfmt::skip]
const ROWS: [Row; 48] = [
    row(IMAGE, &["no match for platform", "no image found in", "no matching manifest"],
        "Image not for this processor", "Use an image for the node's processor, or set `nodeSelector`"),
    row(IMAGE, &["too many requests", "toomanyrequests", "pull qps"],
        "Registry limits its pulls", "Pull with a login (`imagePullSecrets`), or keep a copy of the image"),
    row(IMAGE, &["token has expired"], "Registry login has expired", "Renew the pull secret"),
    row(IMAGE, &["content digest", "snapshot", "lease \"", "no space left"],
        "Node cannot unpack the image", NODE),
    row(IMAGE, &["pull access denied"],
        "Image not found or not allowed", "Correct the name of the image, or give it a login (`imagePullSecrets`)"),
    row(IMAGE, &["401 unauthorized", "403 forbidden", "unauthorized", "authentication required", "authorization failed",
        "no basic auth", "denied"], "Registry refuses the login", PULL_SECRET),
    row(IMAGE, &["timeout", "timed out", "deadline exceeded", "no such host", "connection refused", "no route",
        "unavailable", "eof", "x509"], "Registry not reachable", REGISTRY),
    row(IMAGE, &["not found", "manifest unknown", "name unknown", "does not exist", "invalid reference"],
        "Image not found", "Correct *Image of the agent* on the agent's page, or push the image"),
    row(IMAGE, &[], "Image cannot be pulled", "Look at the image's name, its pull secret and the registry"),
    row(&["InvalidImageName"], &[], "Image name is invalid", "Correct *Image of the agent* on the agent's page"),
    row(&["ErrImageNeverPull"], &[],
        "Image not on the node", "Load it on the node, or change *Image pull policy* on the agent's page"),
    row(&["SignatureValidationFailed"], &[], "Image signature refused", "Sign the image, or use one that is signed"),

    row(CONFIGURATION, &["in configmap"], "ConfigMap lacks a key", "Add the key, or take out what names it"),
    row(CONFIGURATION, &["couldn't find key"], "Secret lacks a key", "Add the key, or take out what names it"),
    row(CONFIGURATION, &["timed out", "sync secret", "sync configmap"], "Node cannot read a Secret", NODE),
    row(CONFIGURATION, &["configmap \""], "ConfigMap not found", MAKE_OBJECT),
    row(CONFIGURATION, &["secret \""], "Secret not found", MAKE_OBJECT),
    row(CONFIGURATION, &["runasnonroot", "non-root policy"],
        "Image would run as root", "Set *Run as user* on the agent's page, or use an image with a user"),
    row(CONFIGURATION, &["subpath"], "Folder for a mount is missing", "Make the folder of the mount's subPath"),
    row(CONFIGURATION, &[], "Container cannot be set up", "Correct what its variables and mounts name"),
    row(CREATION, &["executable file not found", "no such file", "no command specified"],
        "Image lacks a program", "The image needs `sh`, and the agent's also `opencode`"),
    row(CREATION, &[], "Container cannot be made", NODE),

    row(SCHEDULER, &["insufficient cpu"],
        "Not enough CPU on any node", "Lower *CPU to reserve* on the agent's page, or add nodes"),
    row(SCHEDULER, &["insufficient memory"],
        "Not enough memory on any node", "Lower *Memory to reserve* on the agent's page, or add nodes"),
    row(SCHEDULER, &["insufficient ephemeral-storage"],
        "Not enough disk on any node", "Lower *Node disk to reserve* on the agent's page, or add nodes"),
    row(SCHEDULER, &["insufficient "], "No node has the device free", "Wait, add nodes, or lower `resources.other`"),
    row(SCHEDULER, &["too many pods"], "Nodes take no more pods", "Add nodes, or lower `maxConcurrentRuns`"),
    row(SCHEDULER, &["taint {node.kubernetes.io/", "were unschedulable", "tainttobedeleted"],
        "Nodes are not ready", "Look at the nodes, some are cordoned, unreachable or full: kubectl get nodes"),
    row(SCHEDULER, &["taint"], "Nodes are tainted", "Set *Tolerations* on the agent's page"),
    row(SCHEDULER, &["volume node affinity"],
        "Volume is in another zone", "Use nodes where the volume is, or a volume that all nodes reach"),
    row(SCHEDULER, &["node affinity", "node selector", "node(s) didn't match pod's node"],
        "No node fits the selector", "Correct `nodeSelector` or `affinity`; the server's own selector is inherited"),
    row(SCHEDULER, &["pod affinity", "anti-affinity"],
        "Pod affinity allows no node", "Correct *Affinity* on the agent's page"),
    row(SCHEDULER, &["topology spread"],
        "Spread allows no node", "Correct *Spread constraints* on the agent's page"),
    row(SCHEDULER, &["unbound immediate", "unbound persistentvolumeclaims", "available persistent volumes to bind"],
        "Claim is not bound", CLAIM),
    row(SCHEDULER, &["persistentvolumeclaim \""], "Claim not found", CLAIM),
    row(SCHEDULER, &["max volume count"], "Nodes take no more volumes", "Add nodes"),
    row(&["SchedulingGated"], &[],
        "Pod is held by a gate", "Whoever set the pod's schedulingGates removes them"),
    row(&[OUT_OF], &[],
        "Node had no room left", "Start the run again; if it repeats, lower what the pod reserves, or add nodes"),
    row(&["Evicted", "Preempting", "Preempted"], &[],
        "Pod had to make room", "Start the run again; if it repeats, raise what the pod reserves, or add nodes"),
    row(&["NodeShutdown", "Terminated", "Shutdown"], &[], "Node is shutting down", AGAIN),
    row(&["UnexpectedAdmissionError", "NodeAffinity", "NodeName", "NodePorts", "TopologyAffinityError",
        "InvalidNodeInfo", "PodOSNotSupported", "SysctlForbidden", "AppArmor"], &[],
        "Node rejected the pod", AGAIN),
    row(&["NodeLost"], &[], "Node was lost", AGAIN),
    row(&["ContainerStatusUnknown", "Unknown"], &[], "Node lost the container", AGAIN),

    row(VOLUME, &["multi-attach"],
        "Volume is on another node", "Agents need a ReadWriteMany claim: deploy/pvc.yaml has one"),
    row(VOLUME, &["configmap \""], "ConfigMap not found", MAKE_OBJECT),
    row(VOLUME, &["secret \""], "Secret not found", MAKE_OBJECT),
    row(VOLUME, &[], "Volume cannot be mounted", "Look at the volume's server and its driver on the node"),
    row(&["FailedCreatePodSandBox"], &[],
        "Node cannot set up the pod", "Look at the node's network plugin and container runtime: kubectl describe node"),
];

/// The scheduler names this taint wherever a cluster has nodes for its control plane: no agent wants these.
const CONTROL_PLANE: [&str; 2] = [
    "untolerated taint {node-role.kubernetes.io/control-plane",
    "untolerated taint {node-role.kubernetes.io/master",
];

/// What is wrong with an init container, as [`super::conditions`] says it, and what to do.
const OF_INIT: [(&str, &str); 2] = [
    (
        INIT_OUT_OF_MEMORY,
        "Raise *Memory at most for the init container* on the agent's page",
    ),
    (INIT_LOST, AGAIN),
];

/// The text with what is wrong before it and what to do behind it. `said`: each in the form `Reason: message`, the
/// weightiest first; something may stand before the reason.
#[must_use]
pub fn explained<'a>(text: &str, said: impl IntoIterator<Item = &'a str>) -> String {
    // It begins with what is wrong.
    if let Some(to_do) = exit_codes::to_do_about(text) {
        return format!("{text}. {to_do}");
    }
    if let Some((_, to_do)) = OF_INIT.iter().find(|(what, _)| text.starts_with(what)) {
        return format!("{text}. {to_do}");
    }
    match said.into_iter().find_map(explain) {
        Some((what, to_do)) if to_do.is_empty() => format!("{what}: {text}"),
        Some((what, to_do)) => format!("{what}: {}. {to_do}", text.trim_end_matches(['.', ' '])),
        None => text.to_owned(),
    }
}

/// How a warning of Pod Security begins.
const WARNED: &str = "would violate PodSecurity";

/// What is wrong, in at most 30 characters, and what to do.
fn explain(said: &str) -> Option<(Cow<'static, str>, String)> {
    let is_known = |(reason, _): &(&str, &str)| {
        *reason == NOT_MADE || ROWS.iter().any(|row| row.reasons.contains(reason))
    };
    let of_row = |(reason, message)| match reason {
        reason if str::starts_with(reason, OUT_OF) => (OUT_OF, message),
        reason => (reason, message),
    };
    // What the API server warned of when it took the Job is why no pod is made.
    let (reason, message) = match said.starts_with(WARNED) {
        true => (NOT_MADE, said),
        false => reasons(said).map(of_row).find(is_known)?,
    };
    if reason == NOT_MADE {
        let (what, to_do) = refusal(403, message);
        return Some((what, to_do.trim_start_matches(". ").to_owned()));
    }
    let mut message = message.to_lowercase();
    if SCHEDULER.contains(&reason) {
        for taint in CONTROL_PLANE {
            message = message.replace(taint, "");
        }
    }
    let mut rows = ROWS.iter().filter(|row| row.reasons.contains(&reason));
    if !SCHEDULER.contains(&reason) {
        let row =
            rows.find(|row| row.words.is_empty() || row.words.iter().any(|words| message.contains(words)));
        return row.map(|row| (row.what.into(), row.to_do.to_owned()));
    }
    let mut found: Vec<&Row> = Vec::new();
    for row in rows {
        let before = message.len();
        // What one row has explained is no case of a plainer one.
        for words in row.words {
            message = message.replace(words, "");
        }
        if message.len() < before {
            found.push(row);
        }
    }
    let what = match found.as_slice() {
        [] => return Some(("No node takes the pod".into(), NODES.to_owned())),
        [row] => row.what,
        _ => "No node fits",
    };
    let to_do: Vec<&str> = found.iter().map(|row| row.to_do).collect();
    Some((what.into(), to_do.join(". ")))
}

/// What may be a reason, each with what follows it.
fn reasons(said: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut from = 0;
    said.match_indices(": ").filter_map(move |(at, colon)| {
        let reason = said.get(from..at)?;
        from = at + colon.len();
        Some((reason, said.get(from..)?))
    })
}

#[cfg(test)]
mod tests;
