//! `podSpecPatch`: a strategic merge patch with the merge keys of the API's own types. What a run depends on stays as
//! it is, and a patch that would change it is refused by name. Pure.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value};

use super::patch_limits::RunParts;
use crate::config::typed;

const FIELD: &str = "podSpecPatch";
/// Of a list the member that tells its entries apart; lists without one are replaced as a whole.
const MERGE_KEYS: [(&str, &str); 12] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("ports", "containerPort"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("schedulingGates", "name"),
    ("resourceClaims", "name"),
];
/// Deeper than any pod: a patch that nests further is none.
const MAX_DEPTH: usize = 32;

/// The pod after the patch.
///
/// # Errors
/// What the patch may not touch, or what is no pod.
pub(super) fn patched(pod: PodSpec, patch: &Value, run: &RunParts) -> Result<PodSpec, String> {
    let before = serde_json::to_value(&pod).map_err(|error| error.to_string())?;
    let mut after = before.clone();
    merge(&mut after, patch, MAX_DEPTH)?;
    if let Some(touched) = run.touched(&before, &after) {
        return Err(format!("{FIELD} may not change {touched}: the run depends on it"));
    }
    quantities(&mut after, MAX_DEPTH);
    typed(FIELD, after).map_err(|error| error.to_string())
}

/// The API server takes `cpu: 2` as `cpu: "2"`.
fn quantities(value: &mut Value, depth: usize) {
    let as_text = |value: &mut Value| {
        if value.is_number() {
            *value = Value::String(value.to_string());
        }
    };
    match value {
        _ if depth == 0 => {}
        Value::Array(items) => items.iter_mut().for_each(|item| quantities(item, depth - 1)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("requests" | "limits" | "overhead", Value::Object(sizes)) => {
                        sizes.values_mut().for_each(as_text);
                    }
                    ("sizeLimit" | "divisor", size) => as_text(size),
                    (_, member) => quantities(member, depth - 1),
                }
            }
        }
        _ => {}
    }
}

fn merge(into: &mut Value, patch: &Value, depth: usize) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("{FIELD} is nested too deeply for a pod"));
    }
    let (Value::Object(members), Value::Object(changes)) = (&mut *into, patch) else {
        into.clone_from(patch);
        return Ok(());
    };
    match directive(changes)? {
        Directive::Replace => {
            *into = Value::Object(without_directive(changes));
            return Ok(());
        }
        Directive::Delete => {
            *into = Value::Object(Map::new());
            return Ok(());
        }
        Directive::Merge => {}
    }
    for (name, change) in without_directive(changes) {
        let key = MERGE_KEYS
            .iter()
            .find(|(list, _)| *list == name)
            .map(|(_, key)| *key);
        match (change, key) {
            (Value::Null, _) => {
                members.remove(&name);
            }
            (Value::Array(entries), Some(key)) => {
                let list = members
                    .entry(name.clone())
                    .or_insert_with(|| Value::Array(Vec::new()));
                merge_list(list, entries, &name, key, depth)?;
            }
            (change, _) if change.is_object() => {
                let member = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
                merge(member, &change, depth - 1)?;
            }
            (change, _) => {
                members.insert(name, change);
            }
        }
    }
    Ok(())
}

/// Entries of the same key are merged, others are added; `$patch: delete` takes one away, `$patch: replace` alone all
/// others.
fn merge_list(
    list: &mut Value,
    entries: Vec<Value>,
    name: &str,
    key: &str,
    depth: usize,
) -> Result<(), String> {
    let Value::Array(list) = list else {
        return Err(format!("{FIELD}: {name} is no list"));
    };
    let mut entries = entries;
    let is_replace = |entry: &Value| entry.get("$patch").and_then(Value::as_str) == Some("replace");
    if entries
        .iter()
        .any(|entry| is_replace(entry) && entry.get(key).is_none())
    {
        entries.retain(|entry| !is_replace(entry));
        list.clear();
    }
    for entry in entries {
        let id = entry.get(key).filter(|id| !id.is_null()).cloned();
        let Some(id) = id else {
            return Err(format!(
                "{FIELD}: an entry of {name} has no {key}, which tells it apart"
            ));
        };
        let Value::Object(changes) = &entry else {
            return Err(format!("{FIELD}: an entry of {name} is no object"));
        };
        let at = list.iter().position(|known| known.get(key) == Some(&id));
        match (directive(changes)?, at) {
            (Directive::Delete, Some(at)) => {
                list.remove(at);
            }
            (Directive::Delete, None) => {}
            (_, Some(at)) => {
                if let Some(known) = list.get_mut(at) {
                    merge(known, &entry, depth - 1)?;
                }
            }
            (_, None) => {
                let mut added = Value::Object(Map::new());
                merge(&mut added, &Value::Object(without_directive(changes)), depth - 1)?;
                list.push(added);
            }
        }
    }
    Ok(())
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(changes: &Map<String, Value>) -> Result<Directive, String> {
    let other = changes
        .keys()
        .find(|name| name.starts_with('$') && *name != "$patch");
    if let Some(other) = other {
        return Err(format!(
            "{FIELD}: the directive {other} is not known; use $patch with merge, replace or delete"
        ));
    }
    match changes
        .get("$patch")
        .map(|word| word.as_str().unwrap_or_default())
    {
        None | Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        Some(word) => Err(format!(
            "{FIELD}: $patch is merge, replace or delete, it is {word:?}"
        )),
    }
}

fn without_directive(changes: &Map<String, Value>) -> Map<String, Value> {
    let mut changes = changes.clone();
    changes.remove("$patch");
    changes
}

#[cfg(test)]
mod tests {
    use super::super::patch_limits::entry;
    use super::*;
    use crate::config::{RenderRequest, RunSpec};
    use crate::manifest;
    use serde_json::json;

    fn pod(patch: Value) -> Result<Value, String> {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
            "config": {"podSpecPatch": patch}, "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data"}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let spec = RunSpec::from_request(request).map_err(|error| error.to_string())?;
        let job = manifest::render(&spec).map_err(|error| error.to_string())?.job;
        let pod = job.spec.and_then(|spec| spec.template.spec).expect("a pod");
        Ok(serde_json::to_value(pod).expect("JSON"))
    }

    #[test]
    fn lists_are_merged_by_the_keys_of_the_api() {
        let patched = pod(json!({
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["git.internal"]}],
            "containers": [{"name": "opencode", "env": [{"name": "EXTRA", "value": "1"}],
                "volumeMounts": [{"mountPath": "/etc/ca", "name": "ca", "readOnly": true}]},
                {"name": "proxy", "image": "proxy:1"}],
            "volumes": [{"name": "ca", "configMap": {"name": "company-ca"}}],
            "securityContext": {"fsGroup": null, "supplementalGroups": [7]},
            "tolerations": [{"operator": "Exists"}],
        }));
        let patched = patched.expect("a pod");
        let agent = entry(&patched, "containers", "name", "opencode").expect("the agent");
        assert!(
            entry(&agent, "env", "name", "EXTRA").is_some() && entry(&agent, "env", "name", "HOME").is_some()
        );
        assert!(entry(&agent, "volumeMounts", "mountPath", "/paperclip").is_some());
        assert!(entry(&patched, "containers", "name", "proxy").is_some());
        assert!(
            entry(&patched, "volumes", "name", "ca").is_some()
                && entry(&patched, "volumes", "name", "data").is_some()
        );
        assert_eq!(patched["securityContext"]["fsGroup"], Value::Null);
        assert_eq!(patched["securityContext"]["runAsNonRoot"], true);
    }

    #[test]
    fn modes_are_octal_as_in_a_manifest_for_kubectl() {
        let yaml = "volumes:\n- name: keys\n  secret: {secretName: keys, defaultMode: 0400}\n";
        let keys = entry(&pod(json!(yaml)).expect("a pod"), "volumes", "name", "keys").expect("a volume");
        assert_eq!(keys["secret"]["defaultMode"], 0o400);
    }

    #[test]
    fn entries_are_replaced_and_deleted_on_request() {
        let less = json!({"containers": [{"name": "opencode",
            "resources": {"$patch": "replace", "limits": {"cpu": "4"}},
            "env": [{"name": "NODE_ENV", "$patch": "delete"}]}]});
        let patched = pod(less).expect("a pod");
        let agent = entry(&patched, "containers", "name", "opencode").expect("the agent");
        assert_eq!(agent["resources"], json!({"limits": {"cpu": "4"}}));
        assert!(entry(&agent, "env", "name", "NODE_ENV").is_none());
        let sizes = json!({"containers": [{"name": "opencode", "resources":
            {"limits": {"cpu": 2, "nvidia.com/gpu": 1}}}]});
        let agent = entry(&pod(sizes).expect("a pod"), "containers", "name", "opencode").expect("the agent");
        assert_eq!(agent["resources"]["limits"]["cpu"], "2");
        assert_eq!(agent["resources"]["limits"]["memory"], "8Gi");
    }

    #[test]
    fn what_a_run_depends_on_is_refused_by_name() {
        let agent = |change: Value| {
            let mut container = change;
            container["name"] = json!("opencode");
            json!({"containers": [container]})
        };
        for (patch, says) in [
            (json!({"restartPolicy": "Always"}), "may not change restartPolicy"),
            (
                json!({"terminationGracePeriodSeconds": 600}),
                "may not change terminationGracePeriodSeconds",
            ),
            (
                agent(json!({"command": ["sh"]})),
                "may not change containers[opencode].command",
            ),
            (
                agent(json!({"args": ["x"]})),
                "may not change containers[opencode].args",
            ),
            (
                agent(json!({"workingDir": "/"})),
                "may not change containers[opencode].workingDir",
            ),
            (
                agent(json!({"$patch": "delete"})),
                "may not change containers[opencode]",
            ),
            (json!({"containers": null}), "may not change containers[opencode]"),
            (
                json!({"activeDeadlineSeconds": 5}),
                "may not change activeDeadlineSeconds",
            ),
            (
                agent(json!({"livenessProbe": {"exec": {"command": ["true"]}}})),
                "containers[opencode].livenessProbe",
            ),
            (
                agent(json!({"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}})),
                "containers[opencode].lifecycle",
            ),
            (
                json!({"initContainers": [{"name": "write-prompt", "restartPolicy": "Always"}]}),
                "initContainers[write-prompt].restartPolicy",
            ),
            (
                agent(json!({"volumeMounts": [{"mountPath": "/paperclip/", "name": "scratch"}]})),
                "containers[opencode].volumeMounts[/paperclip/]",
            ),
            (
                agent(
                    json!({"volumeMounts": [{"mountPath": "/paperclip/instances/default/run-logs", "name": "s"}]}),
                ),
                "containers[opencode].volumeMounts[/paperclip/instances/default/run-logs]",
            ),
            (
                agent(json!({"env": [{"name": "HOME", "value": "/root"}]})),
                "containers[opencode].env[HOME]",
            ),
            (
                agent(json!({"env": [{"name": "PAPERCLIP_API_KEY", "value": "x"}]})),
                "containers[opencode].env[PAPERCLIP_API_KEY]",
            ),
            (
                agent(json!({"env": [{"name": "PAPERCLIP_RUN_ID", "$patch": "delete"}]})),
                "containers[opencode].env[PAPERCLIP_RUN_ID]",
            ),
            (
                json!({"initContainers": [{"name": "write-prompt", "env": null}]}),
                "initContainers[write-prompt].env[PROMPT_CONTENT]",
            ),
            (
                json!({"initContainers": [{"name": "write-prompt", "$patch": "delete"}]}),
                "may not change initContainers[write-prompt]",
            ),
            (
                agent(json!({"volumeMounts": [{"mountPath": "/paperclip", "readOnly": true}]})),
                "containers[opencode].volumeMounts",
            ),
            (
                agent(json!({"volumeMounts": [{"mountPath": "/tmp", "name": "scratch"}]})),
                "containers[opencode].volumeMounts[/tmp]",
            ),
            (
                json!({"volumes": [{"name": "data", "emptyDir": {}}]}),
                "may not change volumes[data]",
            ),
            (
                json!({"volumes": [{"$patch": "replace"}]}),
                "may not change volumes[data]",
            ),
            (
                agent(json!({"env": [{"name": "PAPERCLIP_POD_NAME", "value": "x"}]})),
                "env[PAPERCLIP_POD_",
            ),
            (
                json!({"containers": [{"image": "x"}]}),
                "an entry of containers has no name",
            ),
            (json!({"hostNetworks": true}), "podSpecPatch has hostNetworks"),
            (
                json!({"hostNetwork": "yes"}),
                "podSpecPatch is not as the API has it",
            ),
            (
                json!({"$setElementOrder/containers": []}),
                "the directive $setElementOrder/containers",
            ),
            (json!({"securityContext": {"$patch": "keep"}}), "$patch is merge"),
        ] {
            let refused = pod(patch.clone()).expect_err("refused");
            assert!(refused.contains(says), "{patch}: {refused}");
        }
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"a": deep});
        }
        assert!(pod(deep).expect_err("refused").contains("nested too deeply"));
    }
}
