//! Whoever may see Jobs and pods sees neither a key, nor a variable of the agent's, nor a word of a prompt.

use std::collections::BTreeMap;

use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest::{self, Manifest, SECRET_PROMPT_LIMIT_BYTES};
use serde_json::{Value, json};

use crate::support::pod::expand;

fn spec(fields: Value) -> RunSpec {
    let mut request = json!({
        "runId": "run-1",
        "agent": {"id": "agent-1", "companyId": "company-1", "name": "A"},
        "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data",
            "inheritedEnv": {"PUBLIC": "public-value", "PAPERCLIP_API_URL": "http://paperclip:3100", "PROXY": "http://$(TOKEN_OF_AGENT)@proxy"},
            "inheritedEnvFrom": [{"secretRef": {"name": "server"}}]},
        "baseEnv": {"PAPERCLIP_AGENT_ID": "agent-1"},
        "authToken": "hidden-api-key",
        "runtimeToolsEnv": {"PAPERCLIP_TOOL_TOKEN": "hidden-tool-token"},
        "mcpServers": [{"name": "linear", "url": "http://localhost:3100/mcp/1", "token": "hidden$$mcp"},
            {"name": "linear", "url": "http://127.0.0.1:9/x", "token": ""}],
        "serverPort": "3100",
        "wakePayloadJson": r#"{"comment":"hidden words of a person"}"#,
        "context": {"paperclipWorkspaces": [{"repoUrl": "https://hidden-in-list@host/r"}],
            "paperclipWorkspace": {"repoUrl": "https://hidden-in-url@host/r", "cwd": "/paperclip/w"},
            "paperclipRuntimePrimaryUrl": "http://h/?t=hidden-in-runtime"},
        "prompt": "hidden prompt $(PAPERCLIP_API_KEY)\n",
        "resumedPrompt": "hidden resumed prompt",
        "config": {"env": {
            "TOKEN_OF_AGENT": "hidden$$token",
            "URL": "https://$(TOKEN_OF_AGENT):$(PUBLIC)@host/$(NOBODY)",
            "OPENCODE_CONFIG_CONTENT": r#"{"provider":{"x":{"options":{"apiKey":"hidden-in-config"}}}}"#,
        }},
    });
    for (key, value) in fields.as_object().expect("an object") {
        request[key] = value.clone();
    }
    let request = RenderRequest::from_json(&request.to_string()).expect("a request");
    RunSpec::from_request(request).expect("a spec")
}

fn in_execute(mut spec: RunSpec) -> (RunSpec, Manifest) {
    spec.run.run_secret_name = Some("the-run".to_owned());
    let made = manifest::render(&spec).expect("a manifest");
    (spec, made)
}

/// The agent's variables as the kubelet makes them from Job and Secret.
fn seen_by_agent(made: &Manifest, secret: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let job = serde_json::to_value(&made.job).expect("JSON");
    let entries = job["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let mut known = BTreeMap::new();
    for entry in entries.as_array().expect("a list") {
        let from = &entry["valueFrom"]["secretKeyRef"];
        let value = match (entry["value"].as_str(), from["key"].as_str()) {
            (Some(text), _) => expand(text, &known),
            (None, Some(key)) => {
                assert_eq!(from["name"], "the-run");
                secret[key].clone()
            }
            (None, None) => continue,
        };
        known.insert(entry["name"].as_str().expect("text").to_owned(), value);
    }
    known
}

#[test]
fn job_and_pod_show_no_key_no_variable_and_no_prompt() {
    for resumed in [false, true] {
        let runtime = json!({"sessionId": "ses_1"});
        let fields = if resumed {
            json!({"runtime": runtime})
        } else {
            json!({})
        };
        let (spec, made) = in_execute(spec(fields));
        let job = serde_json::to_string(&made.job).expect("JSON");
        assert!(!job.contains("hidden"), "{job}");
        assert!(made.warnings.iter().all(|line| !line.contains("hidden")));
        let secret = manifest::run_secret(&spec, &made).expect("a secret");
        let data = secret.string_data.expect("data");
        let prompt = if resumed {
            "hidden resumed prompt"
        } else {
            "hidden prompt $(PAPERCLIP_API_KEY)\n"
        };
        assert_eq!(data["prompt"], prompt);
        let seen = seen_by_agent(&made, &data);
        assert_eq!(seen["PAPERCLIP_API_KEY"], "hidden-api-key");
        assert_eq!(seen["PAPERCLIP_TOOL_TOKEN"], "hidden-tool-token");
        assert_eq!(seen["TOKEN_OF_AGENT"], "hidden$token");
        assert_eq!(seen["URL"], "https://hidden$token:public-value@host/$(NOBODY)");
        assert!(seen["OPENCODE_CONFIG_CONTENT"].contains("hidden-in-config"));
        assert!(seen["OPENCODE_CONFIG_CONTENT"].contains("external_director"));
        let content: Value = serde_json::from_str(&seen["OPENCODE_CONFIG_CONTENT"]).expect("JSON");
        let linear = &content["mcp"]["linear"];
        assert_eq!(linear["headers"]["Authorization"], "Bearer hidden$$mcp");
        assert_eq!(
            linear["url"], "http://paperclip:3100/mcp/1",
            "as the pod reaches it"
        );
        assert_eq!(content["mcp"]["linear-2"]["url"], "http://127.0.0.1:9/x");
        let unreached = made
            .warnings
            .iter()
            .filter(|line| line.starts_with("MCP servers that a pod does not reach"));
        assert_eq!(unreached.count(), 1, "{:?}", made.warnings);
        assert_eq!(seen["PAPERCLIP_RUN_ID"], "run-1", "plain facts stay readable");
        // A whole Secret of the server is inherited, and what only the server needs is hidden.
        assert_eq!(seen["DATABASE_URL"], "");
        assert!(seen["PAPERCLIP_POD_HIDDEN"].contains("BETTER_AUTH_SECRET"));
    }
}

/// The same run means the same to the agent, whichever way its variables come.
#[test]
fn the_agent_sees_the_same_either_way() {
    let plain = manifest::render(&spec(json!({}))).expect("a manifest");
    let (spec, made) = in_execute(spec(json!({})));
    let data = manifest::run_secret(&spec, &made)
        .and_then(|secret| secret.string_data)
        .expect("data");
    let mut seen = seen_by_agent(&made, &data);
    let hidden = seen.remove("PAPERCLIP_POD_HIDDEN").expect("hidden");
    for name in hidden.split(' ') {
        assert_eq!(seen.remove(name).as_deref(), Some(""), "{name}");
    }
    // Kubernetes expands only what stands before: an inherited value that names a later variable stays as it is.
    assert_eq!(seen, seen_by_agent(&plain, &BTreeMap::new()));
}

#[test]
fn only_the_prompt_of_the_secret_becomes_a_file() {
    let (_, made) = in_execute(spec(json!({})));
    let job = serde_json::to_value(&made.job).expect("JSON");
    let pod = &job["spec"]["template"]["spec"];
    let volume = &pod["volumes"][1]["secret"];
    assert_eq!(volume["items"], json!([{"key": "prompt", "path": "prompt"}]));
    assert_eq!(
        volume["optional"],
        Value::Null,
        "no container starts before the Secret is there"
    );
    assert!(
        pod["containers"][0]["volumeMounts"]
            .to_string()
            .contains("/tmp/prompt")
    );
    assert!(
        !pod["containers"][0]["volumeMounts"]
            .to_string()
            .contains("prompt-secret")
    );
}

#[test]
fn variables_and_prompt_that_do_not_fit_are_refused_with_numbers() {
    let large = "x".repeat(100_000);
    let env: BTreeMap<String, &str> = (0..11).map(|at| (format!("V{at}"), large.as_str())).collect();
    let mut spec = spec(json!({"config": {"env": env}}));
    spec.run.run_secret_name = Some("the-run".to_owned());
    let error = manifest::render(&spec).expect_err("refused");
    assert_eq!(error.code(), "k8s_prompt_too_large");
    assert!(
        error.to_string().contains(&SECRET_PROMPT_LIMIT_BYTES.to_string()),
        "{error}"
    );
    assert!(!error.to_string().contains("xxx"));
}
