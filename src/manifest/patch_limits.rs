//! What a patch of the pod may not change: whatever a run depends on. Pure.

use serde_json::Value;

use super::LogPaths;
use super::mount_guard::{MountGuard, VOLUMES};
use super::names::{OPENCODE_CONTAINER, PROMPT_CONTAINER};
use super::pod::PROMPT_CONTENT;
use super::prompt::RunSecret;
use crate::config::RunSpec;

/// Of the pod. The Job's own deadline is `timeoutSec`; the pod's would end a run without the word of anybody.
const OF_POD: [&str; 3] = [
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
];
/// Of each of the two containers: what they run, how the kubelet ends them, and what it reads of them.
const OF_CONTAINER: [&str; 12] = [
    "command",
    "args",
    "workingDir",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "restartPolicy",
    "lifecycle",
    "livenessProbe",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Variables that say who the agent is, and where its sessions and its configuration are.
const OWN_VARIABLES: [&str; 2] = ["PAPERCLIP_", "OPENCODE_"];
/// The agent's HOME, and the prompt where it is not in a Secret.
const OWN_NAMES: [&str; 2] = ["HOME", PROMPT_CONTENT];

/// The parts of one run's pod that stay as they are.
pub(super) struct RunParts<'a> {
    mounts: MountGuard,
    secret: Option<&'a str>,
}

impl<'a> RunParts<'a> {
    pub(super) fn of(spec: &RunSpec, paths: &LogPaths, secret: Option<&'a RunSecret>) -> Self {
        Self {
            mounts: MountGuard::of(spec, paths),
            secret: secret.map(|secret| secret.name.as_str()),
        }
    }

    /// The first thing that the run depends on and that differs.
    pub(super) fn touched(&self, before: &Value, after: &Value) -> Option<String> {
        if let Some(name) = differing(&OF_POD, before, after) {
            return Some(name.to_owned());
        }
        for (list, name) in [
            ("initContainers", PROMPT_CONTAINER),
            ("containers", OPENCODE_CONTAINER),
        ] {
            let of = |pod: &Value| entry(pod, list, "name", name);
            let Some(known) = of(before) else { continue };
            let Some(patched) = of(after) else {
                return Some(format!("{list}[{name}]"));
            };
            if let Some(what) = self.touched_container(&known, &patched) {
                return Some(format!("{list}[{name}].{what}"));
            }
        }
        let volume = |pod: &Value, name: &str| entry(pod, "volumes", "name", name);
        let mut volumes = VOLUMES.iter();
        let changed = volumes.find(|name| volume(before, name) != volume(after, name));
        changed.map(|name| format!("volumes[{name}]"))
    }

    fn touched_container(&self, before: &Value, after: &Value) -> Option<String> {
        if let Some(name) = differing(&OF_CONTAINER, before, after) {
            return Some(name.to_owned());
        }
        let (known, patched) = (items(before, "volumeMounts"), items(after, "volumeMounts"));
        let is_ours = |mount: &&Value| VOLUMES.contains(&text(mount, "name"));
        let lost = known
            .iter()
            .filter(is_ours)
            .find(|mount| !patched.contains(mount));
        let over = |mount: &&Value| {
            !known.contains(mount) && (is_ours(mount) || self.mounts.is_hidden_by(text(mount, "mountPath")))
        };
        if let Some(mount) = lost.or_else(|| patched.iter().find(over)) {
            return Some(format!("volumeMounts[{}]", text(mount, "mountPath")));
        }
        self.touched_variable(&items(before, "env"), &items(after, "env"))
    }

    /// Our variables stay, and none is added under a name of the host's.
    fn touched_variable(&self, before: &[Value], after: &[Value]) -> Option<String> {
        let is_ours = |entry: &&Value| {
            let name = text(entry, "name");
            let from = entry
                .pointer("/valueFrom/secretKeyRef/name")
                .and_then(Value::as_str);
            OWN_NAMES.contains(&name)
                || OWN_VARIABLES.iter().any(|start| name.starts_with(start))
                || (from.is_some() && from == self.secret)
        };
        let lost = before.iter().filter(is_ours).find(|entry| !after.contains(entry));
        let of_host =
            |entry: &&Value| text(entry, "name").starts_with("PAPERCLIP_") && !before.contains(entry);
        let touched = lost.or_else(|| after.iter().find(of_host))?;
        Some(format!("env[{}]", text(touched, "name")))
    }
}

fn differing<'a>(names: &[&'a str], before: &Value, after: &Value) -> Option<&'a str> {
    let mut names = names.iter().copied();
    names.find(|name| before.get(*name) != after.get(*name))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn items(value: &Value, list: &str) -> Vec<Value> {
    value
        .get(list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

pub(super) fn entry(pod: &Value, list: &str, key: &str, id: &str) -> Option<Value> {
    items(pod, list).into_iter().find(|entry| text(entry, key) == id)
}
