//! What a manifest promises, beyond the golden cases.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::RenderRequest;

mod environment;

/// A manifest of a small request with these fields replaced.
fn manifest(fields: Value) -> Result<Manifest, ManifestError> {
    render(&spec(fields))
}

fn spec(fields: Value) -> RunSpec {
    let mut request = json!({
        "runId": "run-1",
        "agent": {"id": "agent-1", "companyId": "company-1", "name": "A"},
        "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data"},
        "baseEnv": {"PAPERCLIP_AGENT_ID": "agent-1"},
        "prompt": "Hello",
    });
    for (key, value) in fields.as_object().expect("an object") {
        request[key] = value.clone();
    }
    let request = RenderRequest::from_json(&request.to_string()).expect("a request");
    RunSpec::from_request(request).expect("a spec")
}

fn pod(manifest: &Manifest) -> Value {
    let job = serde_json::to_value(&manifest.job).expect("JSON");
    job["spec"]["template"]["spec"].clone()
}

fn env(manifest: &Manifest) -> BTreeMap<String, Value> {
    let entries = pod(manifest)["containers"][0]["env"]
        .as_array()
        .expect("a list")
        .clone();
    let count = entries.len();
    let env: BTreeMap<String, Value> = entries
        .into_iter()
        .map(|e| (e["name"].as_str().expect("text").to_owned(), e["value"].clone()))
        .collect();
    assert_eq!(env.len(), count, "a name twice");
    env
}

/// The kubelet's expansion of values, commands and arguments.
fn expand(text: &str, known: &BTreeMap<&str, &str>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let named = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = match (after.strip_prefix('$'), named) {
            (Some(after), _) => {
                out.push('$');
                after
            }
            (None, Some((name, after))) => {
                out.push_str(known.get(name).copied().unwrap_or(&format!("$({name})")));
                after
            }
            (None, None) => {
                out.push('$');
                after
            }
        };
    }
    out + rest
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("$".to_owned()),
        Just("$$".to_owned()),
        Just("$(HOME)".to_owned()),
        Just("$(X".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\c".to_owned()),
        Just("\n".to_owned()),
        Just("`id`".to_owned()),
        Just("日本🚀".to_owned()),
        Just(")".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().replace('\0', ""))
}

proptest! {
    #[test]
    fn any_prompt_argument_and_value_survives_the_kubelet(prompt in hostile(), arg in hostile(), value in hostile()) {
        let known = [("HOME", "/paperclip"), ("PAPERCLIP_API_KEY", "secret"), ("", "empty")].into();
        let made = manifest(json!({
            "prompt": prompt, "wakePayloadJson": value, "config": {"extraArgs": [arg]},
        })).expect("a manifest");
        let pod = pod(&made);
        let content = pod["initContainers"][0]["env"][0]["value"].as_str().expect("text");
        prop_assert_eq!(expand(content, &known), prompt);
        let words = pod["containers"][0]["command"].as_array().expect("a list");
        prop_assert_eq!(expand(words.last().and_then(Value::as_str).expect("text"), &known), arg);
        let payload = env(&made).remove("PAPERCLIP_WAKE_PAYLOAD_JSON").unwrap_or(json!(""));
        prop_assert_eq!(expand(payload.as_str().expect("text"), &known), value);
    }
}

#[test]
fn inherited_and_user_values_are_passed_through() {
    let made = manifest(json!({
        "selfPod": {"namespace": "n", "image": "i",
            "inheritedEnv": {"A": "$(B)$$", "PAPERCLIP_API_URL": "http://$(H)"}},
        "baseEnv": {"PAPERCLIP_API_URL": "http://localhost"},
        "config": {"env": {"U": "$(HOME)/x", "PAPERCLIP_API_KEY": "mine"}},
        "authToken": "a$b", "runtimeToolsEnv": {"PAPERCLIP_RUNTIME_TOOLS_TOKEN": "t$"},
        "forbiddenEnvKeys": ["PAPERCLIP_API_KEY"],
    }))
    .expect("a manifest");
    assert_eq!(made.warnings.len(), 1, "{:?}", made.warnings);
    let env = env(&made);
    assert_eq!(env["PAPERCLIP_RUNTIME_TOOLS_TOKEN"], "t$$");
    assert_eq!((&env["A"], &env["U"]), (&json!("$(B)$$"), &json!("$(HOME)/x")));
    assert_eq!(
        (&env["PAPERCLIP_API_URL"], &env["PAPERCLIP_API_KEY"]),
        (&json!("http://$(H)"), &json!("a$$b"))
    );
}

#[test]
fn large_prompts_go_through_a_secret_and_larger_ones_are_refused() {
    let small =
        manifest(json!({"prompt": "é".repeat(LARGE_PROMPT_THRESHOLD_BYTES / 2)})).expect("a manifest");
    assert_eq!(small.secret, None);
    let bytes = LARGE_PROMPT_THRESHOLD_BYTES + 1;
    let large = manifest(json!({"prompt": "x".repeat(bytes)})).expect("a manifest");
    let name = format!("{}-prompt", large.job_name);
    assert_eq!(
        large.secret,
        Some(RunSecret {
            name: name.clone(),
            bytes,
            env: BTreeMap::new()
        })
    );
    assert_eq!(pod(&large)["volumes"][1]["secret"]["secretName"], json!(name));
    assert!(pod(&large)["initContainers"][0]["env"].is_null());
    assert!(
        manifest(json!({"prompt": "a\0b"}))
            .expect("a manifest")
            .secret
            .is_some()
    );
    let named = manifest(json!({"promptSecretName": "mine"})).expect("a manifest");
    assert_eq!(named.secret.map(|secret| secret.name).as_deref(), Some("mine"));
    let error = manifest(json!({"prompt": "x".repeat(SECRET_PROMPT_LIMIT_BYTES + 1)})).expect_err("refused");
    assert_eq!(error.code(), "k8s_prompt_too_large");
    assert!(error.to_string().contains("1044481 bytes"), "{error}");
}

#[test]
fn the_secret_is_labelled_like_its_job() {
    let spec = spec(json!({"prompt": "text", "promptSecretName": "s"}));
    let made = render(&spec).expect("a manifest");
    let secret = serde_json::to_value(run_secret(&spec, &made).expect("a secret")).expect("JSON");
    assert_eq!(secret["stringData"], json!({"prompt": "text"}));
    assert_eq!(secret["metadata"]["labels"][names::AGENT_ID], "agent-1");
    assert_eq!(
        (&secret["kind"], &secret["metadata"]["namespace"]),
        (&json!("Secret"), &json!("n"))
    );
}

#[test]
fn generated_values_over_the_limit_are_left_out_with_one_warning() {
    let large = "$".repeat(LARGE_PROMPT_THRESHOLD_BYTES + 1);
    let made = manifest(json!({
        "wakePayloadJson": large, "context": {"paperclipWorkspaces": [large]}, "config": {"env": {"USER": large}},
    })).expect("a manifest");
    let env = env(&made);
    assert!(
        !env.contains_key("PAPERCLIP_WAKE_PAYLOAD_JSON") && !env.contains_key("PAPERCLIP_WORKSPACES_JSON")
    );
    assert!(env.contains_key("USER"));
    assert_eq!(made.warnings.len(), 1, "{:?}", made.warnings);
    let fits =
        manifest(json!({"wakePayloadJson": "$".repeat(LARGE_PROMPT_THRESHOLD_BYTES)})).expect("a manifest");
    assert!(fits.warnings.is_empty());
}

#[test]
fn managed_labels_win_and_say_so() {
    let labels = json!({"paperclip.io/agent-id": "other", "paperclip.io/extra": "X", "team": "--", "area": "é", "no": ""});
    let made = manifest(json!({"config": {"labels": labels}})).expect("a manifest");
    let labels = made.job.metadata.labels.expect("labels");
    assert_eq!(labels[names::AGENT_ID], "agent-1");
    assert_eq!(labels["paperclip.io/extra"], "x");
    for gone in ["team", "area", "no"] {
        assert!(!labels.contains_key(gone), "{gone}");
    }
    let left_out = made
        .warnings
        .iter()
        .filter(|warning| warning.ends_with("it is left out."));
    assert_eq!(
        (left_out.count(), made.warnings.len()),
        (2, 3),
        "{:?}",
        made.warnings
    );
}

#[test]
fn a_workspace_that_the_server_has_on_another_volume_is_refused_unless_it_is_mounted() {
    let own = json!({"namespace": "n", "image": "i", "pvcClaimName": "data",
        "mounts": ["/paperclip", "/paperclip/workspaces", "/paperclip/cache"]});
    let of = |cwd: &str, config: Value| {
        manifest(json!({"selfPod": own, "config": config, "context": {"paperclipWorkspace": {"cwd": cwd}}}))
    };
    let mounted = |path: &str| {
        json!({"podSpecPatch": {"volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}],
            "containers": [{"name": "opencode", "volumeMounts": [{"name": "work", "mountPath": path}]}]}})
    };
    let refused = of("/paperclip/workspaces/w", json!({})).expect_err("refused");
    let said = refused.to_string();
    assert!(
        said.starts_with(
            "Workspace on another volume: /paperclip/workspaces/w is below /paperclip/workspaces,"
        ),
        "{said}"
    );
    let own_parts = of("/paperclip/workspaces/w", json!({"volumeAccess": "own"}));
    assert_eq!(own_parts.expect_err("refused").code(), refused.code());
    for (cwd, config) in [
        ("/paperclip/workspaces/w", mounted("/paperclip/workspaces/")),
        ("/paperclip/projects/w", json!({})),
        ("/paperclip", json!({})),
        ("/srv/w", json!({})),
    ] {
        assert!(of(cwd, config).is_ok(), "{cwd}");
    }
    assert!(of("/paperclip/projects/w", mounted("/paperclip/projects")).is_err());
}

#[test]
fn the_servers_sub_path_is_mounted_in_both_containers() {
    let own = json!({"namespace": "n", "image": "i", "pvcClaimName": "c", "dataSubPath": "tenants/a"});
    let pod = pod(&manifest(json!({"selfPod": own})).expect("a manifest"));
    let mount = json!({"name": "data", "mountPath": "/paperclip", "subPath": "tenants/a"});
    assert_eq!(pod["containers"][0]["volumeMounts"][1], mount);
    assert_eq!(pod["initContainers"][0]["volumeMounts"][1], mount);
}

#[test]
fn a_secret_mounted_twice_is_one_volume() {
    let secret = |path: &str| json!({"volumeName": "tls", "secretName": "tls", "mountPath": path});
    let own = json!({"namespace": "n", "image": "i", "secretVolumes": [secret("/a"), secret("/b")]});
    let pod = pod(&manifest(json!({"selfPod": own})).expect("a manifest"));
    assert_eq!(pod["volumes"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        pod["containers"][0]["volumeMounts"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn a_servers_volume_with_a_name_of_ours_is_another_volume() {
    let mounted = |path: &str| json!({"volumeName": "data", "secretName": "s", "mountPath": path});
    let secrets = json!([mounted("/a"), mounted("/b")]);
    let own = json!({"namespace": "n", "image": "i", "pvcClaimName": "claim", "secretVolumes": secrets});
    let pod = pod(&manifest(json!({"selfPod": own})).expect("a manifest"));
    let volumes = pod["volumes"].as_array().expect("a list");
    let named: Vec<&Value> = volumes
        .iter()
        .filter(|volume| volume["name"] == "data-server")
        .collect();
    assert_eq!(
        named,
        [&json!({"name": "data-server", "secret": {"secretName": "s", "optional": true}})]
    );
    let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("a list");
    let of = |path: &str| {
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path);
        mount.expect("a mount")["name"].clone()
    };
    assert_eq!(
        (of("/paperclip"), of("/a"), of("/b")),
        (json!("data"), json!("data-server"), json!("data-server"))
    );
}

#[test]
fn a_database_on_the_shared_volume_needs_no_volume_of_its_own() {
    let made = manifest(json!({"agentDbPath": "/paperclip/db/$t/opencode.db"})).expect("a manifest");
    assert_eq!(env(&made)["OPENCODE_DB"], "/paperclip/db/$$t/opencode.db");
    let pod = pod(&made);
    assert_eq!(pod["volumes"].as_array().map(Vec::len), Some(2));
    let words = pod["initContainers"][0]["command"].as_array().expect("a list");
    assert_eq!(words.last(), Some(&json!("/paperclip/db/$$t")));
}

#[test]
fn eviction_and_annotations_are_configurable() {
    let annotations = |config: Value| {
        let made = manifest(json!({"config": config})).expect("a manifest");
        serde_json::to_value(made.job.spec.expect("a spec").template.metadata).expect("JSON")["annotations"]
            .clone()
    };
    assert_eq!(annotations(json!({"evictable": true})), Value::Null);
    let all = annotations(json!({"podAnnotations": "a.b/c=d", "evictable": false}));
    assert_eq!(
        (&all["a.b/c"], &all["karpenter.sh/do-not-disrupt"]),
        (&json!("d"), &json!("true"))
    );
}

#[test]
fn a_session_of_another_folder_is_not_passed_on() {
    let runtime = json!({"sessionParams": {"sessionId": "ses_1", "cwd": "/elsewhere"}});
    let made = manifest(json!({"runtime": runtime})).expect("a manifest");
    assert_eq!(made.opencode_args, ["run", "--format", "json"]);
    assert_eq!(
        made.job.metadata.labels.expect("labels")[names::SESSION_ID],
        "ses_1"
    );
}

#[test]
fn the_pod_has_its_priority_class() {
    let class = |config: Value| {
        pod(&manifest(json!({"config": config})).expect("a manifest"))["priorityClassName"].clone()
    };
    assert_eq!(class(json!({})), Value::Null);
    assert_eq!(class(json!({"priorityClassName": "agents-low"})), "agents-low");
}

#[test]
fn no_value_of_an_option_is_an_option() {
    let stored =
        json!({"sessionId": "--attach=http://x", "sessionParams": {"sessionId": "--attach=http://x"}});
    let rendered = manifest(json!({"runtime": stored})).expect("a manifest");
    assert_eq!(rendered.opencode_args, ["run", "--format", "json"]);
    let command = |session: &str| {
        let mut words = vec!["sh".to_owned(); 13];
        words.extend(["run", "--session", session].map(str::to_owned));
        words
    };
    assert_eq!(session_argument(&command("ses_1")), Some("ses_1"));
    assert_eq!(session_argument(&command("--attach=http://x")), None);
}
