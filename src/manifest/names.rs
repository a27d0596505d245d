//! Names, labels and annotations of a Job, and of its pod and Secret.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::LogPaths;
use crate::config::{RunSpec, SelfPod};

/// Value of [`ADAPTER_TYPE`].
pub const ADAPTER: &str = "opencode_k8s";
/// The agent's container.
pub const OPENCODE_CONTAINER: &str = "opencode";
/// The init container.
pub const PROMPT_CONTAINER: &str = "write-prompt";

/// Label and annotation: which adapter made the object.
pub const ADAPTER_TYPE: &str = "paperclip.io/adapter-type";
/// Label: the agent's id. The value of this and of every other id is made by [`sanitize_label_value`].
pub const AGENT_ID: &str = "paperclip.io/agent-id";
/// Label: the run's id.
pub const RUN_ID: &str = "paperclip.io/run-id";
/// Label: the company's id.
pub const COMPANY_ID: &str = "paperclip.io/company-id";
/// Label: the task's id, if there is one.
pub const TASK_ID: &str = "paperclip.io/task-id";
/// Label: the id of the session that the host had stored, if there is one.
pub const SESSION_ID: &str = "paperclip.io/session-id";
/// Label: which Paperclip installation made the object. Objects of older versions have none.
pub const INSTANCE: &str = "paperclip.io/instance";
/// Label: who made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: what the object is.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// Annotation: the agent's name.
pub const AGENT_NAME: &str = "paperclip.io/agent-name";
/// Annotation: the absolute path of the log, as the pod sees it.
pub const LOG_PATH: &str = "paperclip.io/pod-log-path";
/// Annotation: the absolute path of stderr, as the pod sees it.
pub const STDERR_PATH: &str = "paperclip.io/pod-stderr-path";
/// Annotation: the absolute path of the end record, as the pod sees it.
pub const END_PATH: &str = "paperclip.io/pod-end-path";
/// Annotation: SHA-256 of the rendered prompt without the run's id.
pub const PROMPT_HASH: &str = "paperclip.io/prompt-hash";

/// `agent-opencode-<agent>-<run>-<hash>`: readable, and unique by the hash of both ids.
pub fn job_name(agent_id: &str, run_id: &str) -> String {
    let hash = hex(&Sha256::digest(format!("{agent_id}:{run_id}")));
    let hash: String = hash.chars().take(6).collect();
    format!(
        "agent-opencode-{}-{}-{hash}",
        name_part(agent_id),
        name_part(run_id)
    )
}

fn name_part(id: &str) -> String {
    let kept = id.chars().flat_map(char::to_lowercase);
    kept.filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(16)
        .collect()
}

/// A valid label value made of `value`, and whether characters were dropped.
///
/// The label value is in lower case, has `[a-z0-9._-]` only, at most 63 characters, a letter or digit at both ends, and
/// may be empty.
pub fn sanitize_label_value(value: &str) -> (String, bool) {
    let lower = value.to_lowercase();
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(*c);
    let kept: String = lower.chars().filter(allowed).take(63).collect();
    let dropped = !kept.chars().eq(lower.chars().take(63));
    (kept.trim_matches(['.', '_', '-']).to_owned(), dropped)
}

/// The label value of an id that may be absent; none as well when nothing of it can be in a label.
pub fn optional_label_value(id: Option<&str>) -> Option<String> {
    let value = id.map(|id| sanitize_label_value(id).0);
    value.filter(|value| !value.is_empty())
}

/// The value of [`INSTANCE`] of a server with this pod: servers of one installation share a claim, the folder on it,
/// and `PAPERCLIP_INSTANCE_ID`. Readable, and unique by a hash of all of them.
pub fn instance(own_pod: &SelfPod, id: Option<&str>) -> String {
    let claim = own_pod.pvc_claim_name.as_deref().unwrap_or_default();
    let folder =
        [&own_pod.data_sub_path, &own_pod.data_sub_path_expr].map(|path| path.as_deref().unwrap_or_default());
    let [path, expression] = folder.map(|path| path.trim_matches('/'));
    let parts = [claim, path, expression, id.unwrap_or_default().trim()];
    let hash: String = hex(&Sha256::digest(parts.join("\n"))).chars().take(10).collect();
    let readable: String = sanitize_label_value(claim).0.chars().take(40).collect();
    sanitize_label_value(&format!("{readable}-{hash}")).0
}

/// Whether an object with these labels was made by another installation than this one.
pub fn is_of_another_instance(labels: Option<&BTreeMap<String, String>>, instance: Option<&str>) -> bool {
    let theirs = labels.and_then(|labels| labels.get(INSTANCE));
    matches!((theirs, instance), (Some(theirs), Some(ours)) if theirs != ours)
}

/// The label selector that finds all Jobs and pods of this adapter.
pub fn adapter_selector() -> String {
    format!("{ADAPTER_TYPE}={ADAPTER}")
}

/// The label selector that finds all Jobs of an agent; none when the id has nothing a label can hold.
pub fn agent_selector(agent_id: &str) -> Option<String> {
    let (agent, _) = sanitize_label_value(agent_id);
    (!agent.is_empty()).then(|| format!("{AGENT_ID}={agent},{ADAPTER_TYPE}={ADAPTER}"))
}

/// Labels of Job, pod and Secret. Adds a warning for each value that had to be changed or left out.
pub(crate) fn labels(spec: &RunSpec, warnings: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let managed = [
        (MANAGED_BY, Some("paperclip")),
        (COMPONENT, Some("agent-job")),
        (ADAPTER_TYPE, Some(ADAPTER)),
        (AGENT_ID, Some(spec.run.agent_id.as_str())),
        (RUN_ID, Some(spec.run.id.as_str())),
        (COMPANY_ID, Some(spec.run.company_id.as_str())),
        (TASK_ID, spec.run.task_id.as_deref()),
        (SESSION_ID, spec.run.stored_session.as_deref()),
        (INSTANCE, spec.run.instance.as_deref()),
    ];
    for (key, value) in managed {
        if let Some(value) = value {
            insert(&mut labels, key, value, warnings);
        }
    }
    for (key, value) in &spec.settings.labels {
        if managed.iter().any(|(managed, _)| managed == key) {
            warnings.push(format!(
                "The label {key} is managed by the adapter; the configured value is ignored."
            ));
        } else {
            insert(&mut labels, key, value, warnings);
        }
    }
    labels
}

fn insert(labels: &mut BTreeMap<String, String>, key: &str, value: &str, warnings: &mut Vec<String>) {
    let (clean, dropped) = sanitize_label_value(value);
    if clean.is_empty() && !value.is_empty() {
        warnings.push(format!("The label {key} cannot hold {value:?}; it is left out."));
    } else if dropped {
        warnings.push(format!(
            "The label {key} cannot hold {value:?}; it is {clean:?} instead."
        ));
    }
    if !clean.is_empty() {
        labels.insert(key.to_owned(), clean);
    }
}

/// Annotations of the Job: what another server needs to follow it.
pub(crate) fn job_annotations(spec: &RunSpec, paths: &LogPaths) -> BTreeMap<String, String> {
    // Only people read it, and all annotations together may have 256 KiB.
    let name: String = spec.run.agent_name.chars().take(1024).collect();
    let entries = [
        (ADAPTER_TYPE, ADAPTER),
        (AGENT_NAME, name.as_str()),
        (LOG_PATH, paths.log.as_str()),
        (STDERR_PATH, paths.stderr.as_str()),
        (END_PATH, paths.end.as_str()),
    ];
    let mut annotations: BTreeMap<String, String> = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    annotations.insert(
        PROMPT_HASH.to_owned(),
        prompt_hash(&spec.run.prompt().text, &spec.run.id),
    );
    annotations
}

/// Annotations of the pod. An agent's work cannot go on elsewhere, so autoscalers must not evict its pod.
pub(crate) fn pod_annotations(spec: &RunSpec) -> Option<BTreeMap<String, String>> {
    let mut annotations = BTreeMap::new();
    if !spec.settings.evictable {
        annotations.insert(
            "cluster-autoscaler.kubernetes.io/safe-to-evict".to_owned(),
            "false".to_owned(),
        );
        annotations.insert("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned());
    }
    annotations.extend(spec.settings.pod_annotations.iter().cloned());
    (!annotations.is_empty()).then_some(annotations)
}

/// SHA-256 of the prompt without the run's id: equal prompts of two runs have equal hashes.
pub fn prompt_hash(prompt: &str, run_id: &str) -> String {
    let mut hash = Sha256::new();
    let mut rest = prompt;
    while !run_id.is_empty()
        && let Some((before, after)) = memchr::memmem::find(rest.as_bytes(), run_id.as_bytes())
            .and_then(|at| Some((rest.get(..at)?, rest.get(at + run_id.len()..)?)))
    {
        hash.update(before);
        rest = after;
    }
    hash.update(rest);
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_label_value(value: &str) -> bool {
        let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
        value.len() <= 63
            && edge(value.chars().next())
            && edge(value.chars().last())
            && value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    }

    #[test]
    fn the_golden_labels_agree_where_they_are_valid() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../fixtures/labels.json")).expect("valid");
        for case in golden.as_array().expect("a list") {
            let (value, out) = (
                case["value"].as_str().expect("text"),
                case["out"].as_str().expect("text"),
            );
            let (clean, dropped) = sanitize_label_value(value);
            assert_eq!(dropped, case["warned"] == 1, "{value}");
            assert_eq!(clean, out.trim_matches(['.', '_', '-']), "{value}");
        }
    }

    #[test]
    fn an_id_without_usable_characters_has_no_selector() {
        assert_eq!(agent_selector("--"), None);
        let selector = agent_selector("-Lead-").expect("usable");
        assert_eq!(
            selector,
            "paperclip.io/agent-id=lead,paperclip.io/adapter-type=opencode_k8s"
        );
    }

    #[test]
    fn an_installation_is_known_by_its_claim_its_folder_and_its_id() {
        let pod = |claim: &str, path: Option<&str>| SelfPod {
            pvc_claim_name: Some(claim.to_owned()),
            data_sub_path: path.map(str::to_owned),
            ..SelfPod::default()
        };
        let one = instance(&pod("paperclip-data", None), Some("default"));
        assert!(
            one.starts_with("paperclip-data-") && is_label_value(&one),
            "{one}"
        );
        assert_eq!(one, instance(&pod("paperclip-data", Some("")), Some(" default")));
        for other in [
            instance(&pod("paperclip-data", Some("b")), Some("default")),
            instance(&pod("paperclip-data", None), Some("b")),
            instance(&pod("paperclip-data-2", None), Some("default")),
        ] {
            assert_ne!(one, other);
        }
        assert!(is_label_value(&instance(&pod(&"x.".repeat(120), None), None)));
        let labels = |value: &str| BTreeMap::from([(INSTANCE.to_owned(), value.to_owned())]);
        assert!(is_of_another_instance(Some(&labels("b")), Some("a")));
        assert!(!is_of_another_instance(Some(&labels("a")), Some("a")));
        assert!(
            !is_of_another_instance(Some(&BTreeMap::new()), Some("a")),
            "an older version's"
        );
        assert!(
            !is_of_another_instance(None, Some("a")) && !is_of_another_instance(Some(&labels("b")), None)
        );
    }

    #[test]
    fn the_hash_does_not_see_the_run() {
        assert_eq!(
            prompt_hash("run r-1 and r-1.", "r-1"),
            prompt_hash("run r-2 and r-2.", "r-2")
        );
        assert_ne!(prompt_hash("a", "r-1"), prompt_hash("b", "r-1"));
        assert_eq!(prompt_hash("", "").len(), 64);
    }

    proptest! {
        #[test]
        fn any_value_gives_a_valid_label(value in any::<String>()) {
            let (clean, _) = sanitize_label_value(&value);
            prop_assert!(is_label_value(&clean), "{clean}");
        }

        #[test]
        fn any_id_gives_a_valid_name(agent in any::<String>(), run in "[a-zA-Z0-9-]{0,80}") {
            let name = job_name(&agent, &run);
            prop_assert!(name.len() <= 57 && is_label_value(&name), "{name}");
            prop_assert!(name.chars().all(|c| !c.is_ascii_uppercase() && !"._".contains(c)), "{name}");
        }

        #[test]
        fn selector_and_label_agree(id in "[a-zA-Z0-9-]{1,80}") {
            let (label, _) = sanitize_label_value(&id);
            let selector = agent_selector(&id);
            prop_assert_eq!(selector.is_some(), !label.is_empty());
            let expected = format!("{AGENT_ID}={label},");
            prop_assert!(selector.is_none_or(|text| text.starts_with(&expected)));
        }
    }
}
