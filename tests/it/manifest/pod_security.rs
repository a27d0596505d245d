//! The rules of Kubernetes' Pod Security Standard *restricted* and of OpenShift's *restricted-v2*, in own words, and
//! the rendered pod held against them.

use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest;
use serde_json::{Value, json};

const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn pod(config: Value, own: Value) -> Value {
    let mut own_pod = json!({"namespace": "n", "image": "i", "pvcClaimName": "data",
        "secretVolumes": [{"volumeName": "npm", "secretName": "npm", "mountPath": "/etc/npm"}]});
    for (key, value) in own.as_object().expect("an object") {
        own_pod[key] = value.clone();
    }
    let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c", "name": "A"}, "prompt": "p",
        "config": config, "selfPod": own_pod, "agentDbClaimName": null});
    let request = RenderRequest::from_json(&request.to_string()).expect("a request");
    let mut spec = RunSpec::from_request(request).expect("a spec");
    spec.run.run_secret_name = Some("s".to_owned());
    let job = serde_json::to_value(manifest::render(&spec).expect("a manifest").job).expect("JSON");
    job["spec"]["template"]["spec"].clone()
}

fn containers(pod: &Value) -> Vec<Value> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let lists = lists.iter().filter_map(|list| pod[*list].as_array());
    lists.flatten().cloned().collect()
}

/// The security contexts of the pod and of each container.
fn security_contexts(pod: &Value) -> Vec<(String, Value)> {
    let of_containers = containers(pod).into_iter().map(|one| {
        let name = one["name"].as_str().unwrap_or_default().to_owned();
        (name, one["securityContext"].clone())
    });
    let of_pod = ("pod".to_owned(), pod["securityContext"].clone());
    std::iter::once(of_pod).chain(of_containers).collect()
}

/// The hosts that probes and hooks of the container ask: a probe comes from the node.
fn hosts_of(container: &Value) -> Vec<String> {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| &container[key]);
    let hooks = ["postStart", "preStop"].map(|key| &container["lifecycle"][key]);
    let asked = probes.into_iter().chain(hooks);
    let hosts = asked.flat_map(|one| ["httpGet", "tcpSocket"].map(|kind| one[kind]["host"].as_str()));
    hosts
        .flatten()
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What *restricted* (v1.25 and later, with all of *baseline*) finds wrong.
fn restricted(pod: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rule = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        rule(pod[key].as_bool() != Some(true), key.to_owned());
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().expect("a volume").keys();
        for kind in kinds.filter(|kind| *kind != "name") {
            rule(VOLUMES.contains(&kind.as_str()), format!("volume {kind}"));
        }
    }
    let of_pod = &pod["securityContext"];
    rule(of_pod["sysctls"].is_null(), "sysctls".to_owned());
    for (name, own) in security_contexts(pod) {
        let of_windows = &own["windowsOptions"]["hostProcess"];
        rule(of_windows != &json!(true), format!("{name} hostProcess"));
        let armor = own["appArmorProfile"]["type"]
            .as_str()
            .unwrap_or("RuntimeDefault");
        rule(
            ["RuntimeDefault", "Localhost"].contains(&armor),
            format!("{name} appArmorProfile {armor}"),
        );
        for key in ["user", "role"] {
            let label = own["seLinuxOptions"][key].as_str().unwrap_or_default();
            rule(label.is_empty(), format!("{name} seLinuxOptions {key}"));
        }
    }
    for container in containers(pod) {
        let (probes, name) = (hosts_of(&container), &container["name"]);
        rule(probes.is_empty(), format!("{name} asks the hosts {probes:?}"));
    }
    for container in containers(pod) {
        let (own, name) = (&container["securityContext"], &container["name"]);
        let either = |key: &str| {
            if own[key].is_null() {
                &of_pod[key]
            } else {
                &own[key]
            }
        };
        rule(own["privileged"] != json!(true), format!("{name} privileged"));
        rule(
            own["allowPrivilegeEscalation"] == json!(false),
            format!("{name} allowPrivilegeEscalation"),
        );
        let dropped = own["capabilities"]["drop"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rule(dropped.contains(&json!("ALL")), format!("{name} drops not ALL"));
        let added = own["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        rule(
            added.iter().all(|name| name == "NET_BIND_SERVICE"),
            format!("{name} adds capabilities"),
        );
        rule(
            either("runAsNonRoot") == &json!(true),
            format!("{name} runAsNonRoot"),
        );
        rule(either("runAsUser") != &json!(0), format!("{name} runAsUser 0"));
        let seccomp = either("seccompProfile")["type"].as_str().unwrap_or_default();
        rule(
            ["RuntimeDefault", "Localhost"].contains(&seccomp),
            format!("{name} seccompProfile {seccomp}"),
        );
        rule(own["procMount"].is_null(), format!("{name} procMount"));
        for port in container["ports"].as_array().into_iter().flatten() {
            rule(port["hostPort"].is_null(), format!("{name} hostPort"));
        }
        let label = &either("seLinuxOptions")["type"];
        let types = [
            "",
            "container_t",
            "container_init_t",
            "container_kvm_t",
            "container_engine_t",
        ];
        rule(
            types.contains(&label.as_str().unwrap_or_default()),
            format!("{name} seLinuxOptions {label}"),
        );
    }
    wrong
}

/// What *restricted-v2* finds wrong in a namespace with this range of ids and this SELinux level.
fn restricted_v2(pod: &Value, ids: std::ops::Range<i64>, level: &str) -> Vec<String> {
    let mut wrong = restricted(pod);
    let of_pod = &pod["securityContext"];
    let is_in_range = |id: &Value| id.is_null() || id.as_i64().is_some_and(|id| ids.contains(&id));
    for (key, own) in std::iter::once(("pod", of_pod.clone())).chain(
        containers(pod)
            .iter()
            .map(|one| ("container", one["securityContext"].clone())),
    ) {
        if !is_in_range(&own["runAsUser"]) {
            wrong.push(format!("{key} runAsUser {}", own["runAsUser"]));
        }
        let said = &own["seLinuxOptions"]["level"];
        if !said.is_null() && said != level {
            wrong.push(format!("{key} level {said}"));
        }
        let seccomp = &own["seccompProfile"]["type"];
        if !seccomp.is_null() && seccomp != "RuntimeDefault" {
            wrong.push(format!("{key} seccompProfile {seccomp}"));
        }
    }
    if !is_in_range(&of_pod["fsGroup"]) {
        wrong.push(format!("fsGroup {}", of_pod["fsGroup"]));
    }
    wrong
}

#[test]
fn every_pod_passes_restricted() {
    let openshift = json!({"runAsUser": "none", "runAsGroup": "none", "fsGroup": "none"});
    for config in [
        json!({}),
        openshift,
        json!({"runAsUser": 5000, "runAsGroup": "5000", "fsGroup": 5001}),
        json!({"serviceAccountName": "agents", "priorityClassName": "low"}),
    ] {
        assert_eq!(
            restricted(&pod(config.clone(), json!({}))),
            Vec::<String>::new(),
            "{config}"
        );
    }
}

#[test]
fn a_pod_without_fixed_ids_passes_restricted_v2() {
    let openshift = json!({"runAsUser": "none", "runAsGroup": "none", "fsGroup": "none"});
    let own = json!({"seLinuxOptions": {"level": "s0:c27,c9"}, "supplementalGroups": [1_000_950_000_i64]});
    let pod_there = pod(openshift, own.clone());
    let range = 1_000_950_000..1_000_960_000;
    assert_eq!(
        restricted_v2(&pod_there, range.clone(), "s0:c27,c9"),
        Vec::<String>::new()
    );
    let security = &pod_there["securityContext"];
    assert_eq!(security["supplementalGroups"], json!([1_000_950_000_i64]));
    assert_eq!(security["seLinuxOptions"]["level"], "s0:c27,c9");
    let fixed = pod(json!({"runAsUser": 1_000_950_007, "fsGroup": 1_000_950_000}), own);
    assert_eq!(
        restricted_v2(&fixed, range.clone(), "s0:c27,c9"),
        Vec::<String>::new()
    );
    assert!(!restricted_v2(&pod(json!({}), json!({})), range, "s0:c27,c9").is_empty());
}

#[test]
fn a_token_of_the_api_server_comes_only_with_a_named_account() {
    let mounted = |config: Value| pod(config, json!({}))["automountServiceAccountToken"].clone();
    assert_eq!(mounted(json!({})), json!(false));
    assert_eq!(mounted(json!({"serviceAccountName": "agents"})), Value::Null);
}

#[test]
fn ids_that_no_pod_can_have_are_refused_by_name() {
    for (key, value) in [
        ("runAsUser", json!(0)),
        ("fsGroup", json!("root")),
        ("runAsGroup", json!(-1)),
    ] {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "config": {key: value}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let said = RunSpec::from_request(request).expect_err("refused").to_string();
        assert!(
            said.starts_with(&format!("{key} must be a number above 0, or none")),
            "{said}"
        );
    }
}
