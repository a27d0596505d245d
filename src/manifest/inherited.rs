//! What the agent's container takes over from the server's beside Secrets: further mounts, and the order of its
//! variables.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};

use super::LogPaths;
use super::mount_guard::MountGuard;
use super::names::OPENCODE_CONTAINER;
use crate::config::{RunSpec, SelfPod};

/// More variables and mounts that were left out are counted, not named.
const NAMED: usize = 12;

/// Adds them to the pod, and says what was left out.
pub(crate) fn inherit(pod: &mut PodSpec, spec: &RunSpec, paths: &LogPaths, warnings: &mut Vec<String>) {
    let own = &spec.own_pod;
    let guard = MountGuard::of(spec, paths);
    let volumes = pod.volumes.get_or_insert_default();
    let taken: Vec<String> = volumes.iter().map(|volume| volume.name.clone()).collect();
    let mut agent = pod
        .containers
        .iter_mut()
        .find(|container| container.name == OPENCODE_CONTAINER);
    let secrets = own.secret_volumes.iter().map(|secret| &secret.mount_path);
    let others = own.other_volumes.iter().map(|other| &other.mount.mount_path);
    let hidden = secrets.chain(others).filter(|path| guard.is_hidden_by(path));
    warnings.extend(some_of(&hidden.map(String::as_str).collect::<Vec<_>>()).map(|paths| {
        format!("Mounts of the server are not in the agent's pod, where they would hide files of the run: {paths}.")
    }));
    for other in &own.other_volumes {
        let (mut volume, mut mount) = (other.volume.clone(), other.mount.clone());
        if taken.contains(&volume.name) {
            volume.name.push_str("-server"); // the server's pod has a volume with a name that is used here
            mount.name.clone_from(&volume.name);
        }
        let Some(container) = &mut agent else { continue };
        let mounts = container.volume_mounts.get_or_insert_default();
        let is_taken = mounts.iter().any(|known| known.mount_path == mount.mount_path);
        if is_taken || guard.is_hidden_by(&mount.mount_path) {
            continue;
        }
        mounts.push(mount);
        if !volumes.iter().any(|known| known.name == volume.name) {
            volumes.push(volume);
        }
    }
    let Some(container) = agent else { return };
    order(container, own);
    // What the agent has under that name from elsewhere is not missing; of the server's options a part may stay.
    let has = |name: &str| container.env.iter().flatten().any(|entry| entry.name == name);
    let is_partly =
        |name: &str| own.inherited_env.get(name).is_some() && spec.settings.env.kept.get(name).is_none();
    let missing = own.left_out.iter().filter(|name| !has(name) || is_partly(name));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    warnings.extend(some_of(&missing).map(|names| {
        format!(
            "Not taken over from the server, because they name files, containers or variables that only it has: \
             {names}. Set them in the agent's env if it needs them."
        )
    }));
}

/// What was left out, if anything was.
fn some_of(left_out: &[&str]) -> Option<String> {
    let named = left_out.get(..NAMED.min(left_out.len()))?.join(", ");
    match left_out.len().saturating_sub(NAMED) {
        _ if left_out.is_empty() => None,
        0 => Some(named),
        more => Some(format!("{named} and {more} more")),
    }
}

/// Kubernetes replaces `$(NAME)` only by variables that stand before it. Those from elsewhere stand last here, as does
/// what takes their place, so one that a literal of the server names moves before it, where it stands in the server's
/// own container.
fn order(container: &mut Container, own: &SelfPod) {
    let Some(env) = &mut container.env else { return };
    let place = |name: &str| own.env_order.iter().position(|known| known == name);
    for source in &own.inherited_env_value_from {
        let Some(of_source) = place(&source.name) else {
            continue;
        };
        // What names others itself stays behind them.
        let names_none = |entry: &EnvVar| !entry.value.as_ref().is_some_and(|value| value.contains("$("));
        let found = env
            .iter()
            .position(|entry| entry.name == source.name && names_none(entry));
        let Some(from) = found else { continue };
        let wanted = format!("$({})", source.name);
        let names_it = |entry: &EnvVar| {
            let value = entry.value.as_deref().unwrap_or_default();
            value.contains(&wanted) && place(&entry.name).is_some_and(|place| place > of_source)
        };
        if let Some(to) = env.iter().take(from).position(names_it) {
            let entry = env.remove(from);
            env.insert(to, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{RenderRequest, RunSpec};
    use crate::manifest;
    use serde_json::{Value, json};

    fn rendered(self_pod: Value) -> (Value, Vec<String>) {
        configured(&json!({}), &self_pod)
    }

    fn configured(config: &Value, self_pod: &Value) -> (Value, Vec<String>) {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
            "config": config, "selfPod": self_pod});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let made = manifest::render(&RunSpec::from_request(request).expect("a spec")).expect("a manifest");
        let job = serde_json::to_value(made.job).expect("JSON");
        (job["spec"]["template"]["spec"].clone(), made.warnings)
    }

    #[test]
    fn a_mount_that_would_hide_files_of_the_run_is_said() {
        let (pod, warnings) = rendered(json!({"namespace": "n", "image": "i", "pvcClaimName": "c",
        "secretVolumes": [
            {"volumeName": "keys", "secretName": "s", "mountPath": "/paperclip"},
            {"volumeName": "certs", "secretName": "s", "mountPath": "/etc/certs"},
        ]}));
        assert!(!pod["volumes"].to_string().contains("keys") && pod["volumes"].to_string().contains("certs"));
        let said: Vec<&String> = warnings
            .iter()
            .filter(|text| text.contains("would hide"))
            .collect();
        assert!(
            matches!(said[..], [text] if text.ends_with(": /paperclip.")),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_sets_up_the_adapter_itself_stays_with_it_without_a_word() {
        let documented = include_str!("../../README.md").lines();
        let rows = documented.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let own: Vec<&str> = rows.filter(|name| name.starts_with("PAPERCLIP_K8S_")).collect();
        assert!(own.len() >= 4, "{own:?}");
        // Each of them names a file that only the server has, and one comes from elsewhere.
        let mut literals: serde_json::Map<String, Value> = own
            .iter()
            .map(|name| ((*name).to_owned(), json!("/metrics/x")))
            .collect();
        literals.insert("CACHE".to_owned(), json!("/metrics/cache"));
        let server = json!({"namespace": "n", "image": "i", "pvcClaimName": "c", "inheritedEnv": literals,
            "mounts": ["/paperclip", "/metrics"],
            "inheritedEnvValueFrom": [{"name": "PAPERCLIP_K8S_OTHER",
                "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]});
        for inherited in ["", "all"] {
            let (pod, warnings) = configured(&json!({"inheritEnv": inherited}), &server);
            let missing: Vec<&String> = warnings
                .iter()
                .filter(|text| text.starts_with("Not taken over"))
                .collect();
            assert!(
                matches!(missing[..], [text] if text.contains("CACHE") && !text.contains("PAPERCLIP_K8S_")),
                "{inherited}: {warnings:?}"
            );
            let agent = pod["containers"][0]["env"].to_string();
            assert!(!agent.contains("/metrics/x"), "{agent}");
            assert_eq!(
                agent.contains("PAPERCLIP_K8S_OTHER"),
                inherited == "all",
                "{agent}"
            );
        }
    }

    #[test]
    fn a_literal_finds_the_variable_that_it_names() {
        let secret =
            |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
        let (pod, _) = rendered(json!({"namespace": "n", "image": "i", "pvcClaimName": "c",
            "inheritedEnv": {"URL": "http://$(USER_PART)@h", "LATER": "$(AFTER)", "PLAIN": "1"},
            "inheritedEnvValueFrom": [secret("USER_PART"), secret("AFTER")],
            "envOrder": ["USER_PART", "URL", "LATER", "AFTER", "PLAIN"]}));
        let names: Vec<&str> = pod["containers"][0]["env"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|entry| entry["name"].as_str())
            .collect();
        let place = |name: &str| names.iter().position(|known| *known == name).expect(name);
        assert!(place("USER_PART") < place("URL"), "{names:?}");
        assert!(
            place("AFTER") > place("LATER"),
            "as in the server, where it stays as it is: {names:?}"
        );
    }

    #[test]
    fn further_mounts_are_the_agents_and_what_is_left_out_is_said_once() {
        let (pod, warnings) = rendered(json!({"namespace": "n", "image": "i", "pvcClaimName": "c",
            "inheritedEnv": {"CA": "/etc/ca/ca.crt", "TOKEN_FILE": "/var/run/aws/token", "OTHER": "/var/run/aws/x"},
            "mounts": ["/paperclip", "/etc/ca", "/var/run/aws"],
            "otherVolumes": [{"volume": {"name": "data", "configMap": {"name": "ca"}},
                "mount": {"name": "data", "mountPath": "/etc/ca", "readOnly": true}}]}));
        let mounts = pod["containers"][0]["volumeMounts"].to_string();
        assert!(
            mounts.contains(r#""mountPath":"/etc/ca","name":"data-server""#),
            "{mounts}"
        );
        assert!(pod["volumes"].to_string().contains(r#""name":"data-server""#));
        let env = pod["containers"][0]["env"].to_string();
        assert!(
            env.contains("/etc/ca/ca.crt") && !env.contains("/var/run/aws"),
            "{env}"
        );
        assert_eq!(
            warnings
                .iter()
                .filter(|text| text.contains("TOKEN_FILE, OTHER"))
                .count(),
            1
        );
    }
}
