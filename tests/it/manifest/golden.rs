//! The Job of every golden case, field by field. The golden results are what the TypeScript adapter's text gives;
//! each rule below is one deviation from it, on purpose.

use crate::support::golden::{MEANT, cases, request, request_as_written};
use opencode_k8s::config::RunSpec;
use opencode_k8s::manifest::{self, Manifest, names};
use serde_json::{Value, json};

/// Environment that only the deviations add.
const ADDED_ENV: [&str; 5] = [
    "NODE_ENV",
    "OPENCODE_CONFIG_CONTENT",
    "PAPERCLIP_POD_CONFIG",
    "PAPERCLIP_POD_NAME",
    "PAPERCLIP_POD_UID",
];

fn rendered(index: usize) -> Manifest {
    let spec = RunSpec::from_request(request(index)).expect("a spec");
    manifest::render(&spec).expect("a manifest")
}

#[test]
fn every_golden_case_agrees_but_for_the_listed_deviations() {
    let mut judged = 0;
    for (index, case) in cases()
        .iter()
        .enumerate()
        .filter(|(_, case)| case.get("result").is_some())
    {
        let ours = rendered(index);
        let job = serde_json::to_value(&ours.job).expect("JSON");
        let mut theirs = case["result"]["job"].clone();
        let mut ours = job.clone();
        apply_rules(case, &mut theirs, &mut ours);
        assert_eq!(ours, theirs, "case {index}");
        judged += 1;
    }
    assert_eq!(judged, 55);
}

#[test]
fn the_rest_of_the_result_agrees() {
    for (index, case) in cases()
        .iter()
        .enumerate()
        .filter(|(_, case)| case.get("result").is_some())
    {
        let (ours, golden) = (rendered(index), &case["result"]);
        assert_eq!(golden["jobName"], ours.job_name, "case {index}");
        assert_eq!(golden["namespace"], ours.namespace, "case {index}");
        assert_eq!(golden["opencodeArgs"], json!(ours.opencode_args), "case {index}");
        assert_eq!(
            golden["promptMetrics"],
            json!(ours.prompt_metrics),
            "case {index}"
        );
        assert_eq!(golden["podLogPath"], ours.pod_log_path, "case {index}");
        assert_eq!(
            case["warningCount"],
            ours.warnings.len(),
            "case {index}: {:?}",
            ours.warnings
        );
    }
}

#[test]
fn golden_refusals_have_the_same_words() {
    let cases = cases();
    let refused: Vec<usize> = (0..cases.len())
        .filter(|index| cases[*index].get("error").is_some())
        .collect();
    assert_eq!(refused.len(), 5);
    for index in refused {
        let error = RunSpec::from_request(request(index)).expect_err("refused");
        assert_eq!(cases[index]["error"], error.to_string());
    }
}

/// What the TypeScript adapter dropped without a word is read as what is meant, or refused by name.
#[test]
fn what_was_dropped_is_read_or_refused() {
    let mut met = vec![0; MEANT.len()];
    for (index, case) in cases()
        .iter()
        .enumerate()
        .filter(|(_, case)| case.get("result").is_some())
    {
        let config = &case["input"]["ctx"]["config"];
        let dropped: Vec<usize> = (0..MEANT.len())
            .filter(|at| {
                config
                    .get(MEANT[*at].field)
                    .is_some_and(|value| MEANT[*at].is(value))
            })
            .collect();
        let refusals: Vec<&str> = dropped.iter().filter_map(|at| MEANT[*at].refused).collect();
        match RunSpec::from_request(request_as_written(index)) {
            Ok(_) => assert!(refusals.is_empty(), "case {index} must be refused: {refusals:?}"),
            Err(error) => {
                let said = error.to_string();
                assert!(
                    refusals
                        .iter()
                        .any(|field| said.starts_with(&format!("{field} "))),
                    "case {index}: {said}"
                );
            }
        }
        dropped.into_iter().for_each(|at| met[at] += 1);
    }
    assert!(met.iter().all(|count| *count > 0), "{met:?}");
}

/// Each step is one deviation: it changes the golden side, or takes an added field off ours after checking it.
fn apply_rules(case: &Value, theirs: &mut Value, ours: &mut Value) {
    rule_annotations(case, ours);
    rule_whole_deadline(theirs);
    rule_labels_are_valid(theirs);
    rule_grace_and_policy(ours);
    rule_pod_security(case, ours);
    rule_init_container(case, theirs, ours);
    rule_main_command(theirs, ours);
    rule_environment(theirs, ours);
}

/// The Job names its files and the prompt's hash; the pod refuses eviction.
fn rule_annotations(case: &Value, ours: &mut Value) {
    let log = case["result"]["podLogPath"].as_str().expect("text");
    let annotations = ours["metadata"]["annotations"]
        .as_object_mut()
        .expect("an object");
    assert_eq!(annotations.remove(names::LOG_PATH), Some(json!(log)));
    assert_eq!(
        annotations.remove(names::STDERR_PATH),
        Some(json!(log.replace(".ndjson", ".stderr.log")))
    );
    assert_eq!(
        annotations.remove(names::END_PATH),
        Some(json!(log.replace(".ndjson", ".end.json")))
    );
    assert!(
        annotations
            .remove(names::PROMPT_HASH)
            .is_some_and(|hash| hash.as_str().is_some_and(|h| h.len() == 64))
    );
    let pod = ours["spec"]["template"]["metadata"]
        .as_object_mut()
        .expect("an object");
    let protection = json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"});
    assert_eq!(pod.remove("annotations"), Some(protection));
}

/// `activeDeadlineSeconds` is a whole number.
fn rule_whole_deadline(theirs: &mut Value) {
    let spec = theirs["spec"].as_object_mut().expect("an object");
    if let Some(seconds) = spec.get("activeDeadlineSeconds").and_then(Value::as_f64) {
        spec.insert("activeDeadlineSeconds".to_owned(), json!(seconds.ceil() as i64));
    }
}

/// Label values start and end with a letter or digit; empty ones are dropped.
fn rule_labels_are_valid(theirs: &mut Value) {
    for path in ["/metadata/labels", "/spec/template/metadata/labels"] {
        let labels = theirs
            .pointer_mut(path)
            .and_then(Value::as_object_mut)
            .expect("labels");
        for value in labels.values_mut() {
            *value = json!(value.as_str().expect("text").trim_matches(['.', '_', '-']));
        }
        labels.retain(|_, value| value != "");
    }
}

/// Time to end in order, and a termination message even when the script is killed.
fn rule_grace_and_policy(ours: &mut Value) {
    let pod = ours["spec"]["template"]["spec"].as_object_mut().expect("a pod");
    assert_eq!(pod.remove("terminationGracePeriodSeconds"), Some(json!(30)));
    let agent = pod["containers"][0].as_object_mut().expect("a container");
    assert_eq!(
        agent.remove("terminationMessagePolicy"),
        Some(json!("FallbackToLogsOnError"))
    );
}

/// The pod passes *restricted*, and gets no token of the API server that nobody asked for.
fn rule_pod_security(case: &Value, ours: &mut Value) {
    let pod = ours["spec"]["template"]["spec"].as_object_mut().expect("a pod");
    let account = &case["input"]["ctx"]["config"]["serviceAccountName"];
    let is_named = account.as_str().is_some_and(|name| !name.is_empty());
    let mounted = pod.remove("automountServiceAccountToken");
    assert_eq!(mounted, (!is_named).then_some(json!(false)));
    let security = pod["securityContext"].as_object_mut().expect("an object");
    assert_eq!(
        security.remove("seccompProfile"),
        Some(json!({"type": "RuntimeDefault"}))
    );
}

/// The init container sees the volume, its command goes on after the golden text, the prompt is safe from expansion.
fn rule_init_container(case: &Value, theirs: &mut Value, ours: &mut Value) {
    let path = "/spec/template/spec/initContainers/0";
    let agent = theirs
        .pointer("/spec/template/spec/containers/0")
        .expect("the agent")
        .clone();
    let (theirs, ours) = (
        theirs.pointer_mut(path).expect("init"),
        ours.pointer_mut(path).expect("init"),
    );
    // The agent's own image has a shell, and is on the node anyway.
    for field in ["image", "imagePullPolicy"] {
        theirs[field] = agent[field].clone();
    }
    if case["input"]["selfPod"]["pvcClaimName"].is_string() {
        let mounts = theirs["volumeMounts"].as_array_mut().expect("a list");
        mounts.push(json!({"name": "data", "mountPath": "/paperclip"}));
    }
    let golden = theirs["command"][2].as_str().expect("text").to_owned();
    let script = ours["command"][2].as_str().expect("text").to_owned();
    assert!(script.starts_with(&format!("{golden}\n")), "{script}");
    ours["command"] = theirs["command"].clone();
    if let Some(env) = theirs.get_mut("env") {
        let prompt = env[0]["value"].as_str().expect("text").replace('$', "$$");
        env[0]["value"] = json!(prompt);
    }
}

/// The main command is judged by what it does (tests/it/pod_script), not by its text.
fn rule_main_command(theirs: &mut Value, ours: &mut Value) {
    let path = "/spec/template/spec/containers/0/command";
    let (theirs, ours) = (
        theirs.pointer_mut(path).expect("command"),
        ours.pointer_mut(path).expect("command"),
    );
    assert_eq!(ours[0], theirs[0]);
    assert_eq!(ours[1], theirs[1]);
    *ours = theirs.clone();
}

/// Permissions by environment, a development NODE_ENV, two fields of the pod for the script; generated `$` doubled.
fn rule_environment(theirs: &mut Value, ours: &mut Value) {
    let path = "/spec/template/spec/containers/0/env";
    let ours = ours.pointer_mut(path).and_then(Value::as_array_mut).expect("env");
    ours.retain(|entry| !ADDED_ENV.iter().any(|name| entry["name"] == *name));
    let theirs = theirs
        .pointer_mut(path)
        .and_then(Value::as_array_mut)
        .expect("env");
    for entry in theirs.iter_mut() {
        let value = entry["value"].as_str().unwrap_or_default().to_owned();
        assert!(
            !value.contains('$'),
            "no golden case has a dollar in its environment: {entry}"
        );
    }
}
