//! What the manifest's environment lets the real opencode do, and what an operator's rules still forbid. To be run with
//! every new version of opencode: `OPENCODE_BIN=… cargo test --test it manifest::permissions -- --ignored`.

mod provider;

use std::fs;
use std::process::Command;

use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest;
use provider::Provider;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything passes: a folder outside, a `.env` file, a second folder outside, four equal calls.
const ALL: &str = "outside+ env+ secret+ loop++++ end";
const SECRET_DENIED: &str = "outside+ env+ secret- loop++++ end";

/// The configuration file of the shared HOME, the operator's `env`, and what opencode then does: `+` done, `-` denied,
/// `?` asked and so refused (which ends the run), `0` a tool that the model is not offered.
fn cases(secret: &str) -> Vec<(Value, Value, &'static str)> {
    let one = json!({"permission": {"external_directory": {secret: "deny"}}});
    let rule = one["permission"].to_string();
    let ask = r#"{"external_directory":"ask"}"#;
    vec![
        (json!({}), json!({}), ALL),
        (one.clone(), json!({}), SECRET_DENIED),
        (json!({"agent": {"build": one}}), json!({}), SECRET_DENIED),
        (json!({}), json!({"OPENCODE_PERMISSION": rule}), SECRET_DENIED),
        (
            json!({}),
            json!({"OPENCODE_CONFIG_CONTENT": one.to_string()}),
            SECRET_DENIED,
        ),
        (
            json!({"permission": {"external_directory": "deny"}}),
            json!({}),
            "outside- env+ secret- loop++++ end",
        ),
        (
            json!({"permission": {"read": {"*.env": "deny"}}}),
            json!({}),
            "outside+ env- secret+ loop++++ end",
        ),
        (
            json!({"permission": {"read": "deny"}}),
            json!({}),
            "outside0 env0 secret0 loop++++ end",
        ),
        (
            json!({"permission": {"bash": "deny"}}),
            json!({}),
            "outside+ env+ secret+ loop0000 end",
        ),
        (json!({}), json!({"OPENCODE_PERMISSION": ask}), "outside?"),
        (
            json!({"permission": {"bash": "ask"}}),
            json!({}),
            "outside+ env+ secret+ loop????",
        ),
        // The one rule that does not stay: see src/manifest/permissions.rs.
        (json!({"tools": {"read": false}}), json!({}), ALL),
        (
            json!({}),
            json!({"OPENCODE_CONFIG_CONTENT": r#"{"tools":{"read":false}}"#}),
            "outside0 env0 secret0 loop++++ end",
        ),
    ]
}

#[test]
#[ignore = "needs the real opencode in OPENCODE_BIN"]
fn the_default_asks_pass_and_an_operators_rules_stay() {
    let opencode = std::env::var("OPENCODE_BIN").expect("OPENCODE_BIN names the binary of opencode");
    let secrets = TempDir::new().expect("a folder");
    fs::write(secrets.path().join("x"), "x").expect("written");
    let pattern = secrets.path().join("*").display().to_string();
    for (file, env, expected) in cases(&pattern) {
        let seen = run(&opencode, &secrets, &file, &env);
        assert!(seen.starts_with(expected), "{file} {env}: {seen}");
    }
}

/// Runs opencode with the environment of a real manifest; returns what became of each call.
fn run(opencode: &str, secrets: &TempDir, file: &Value, env: &Value) -> String {
    let root = TempDir::new().expect("a folder");
    let path = |name: &str| root.path().join(name);
    for folder in ["home/.config/opencode", "work", "outside"] {
        fs::create_dir_all(path(folder)).expect("a folder");
    }
    fs::write(path("work/.env"), "S=1").expect("written");
    fs::write(path("outside/x"), "x").expect("written");
    let read = |file: std::path::PathBuf| vec![("read", json!({"filePath": file}))];
    let same = ("bash", json!({"command": "echo same", "description": "Same"}));
    let provider = Provider::start(vec![
        read(path("outside/x")),
        read(path("work/.env")),
        read(secrets.path().join("x")),
        vec![same; 4],
    ]);
    let mut config = file.clone();
    config["provider"] = provider.config();
    fs::write(path("home/.config/opencode/opencode.json"), config.to_string()).expect("written");
    let output = Command::new(opencode)
        .args([
            "run", "--format", "json", "--model", "fake/x", "--title", "t", "Go",
        ])
        .current_dir(path("work"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("OPENCODE_DISABLE_MODELS_FETCH", "true")
        .env("OPENCODE_DISABLE_AUTOUPDATE", "true")
        .envs(manifest_env(env))
        .env("HOME", path("home"))
        .output()
        .expect("opencode runs");
    let calls = ["outside", "env", "secret", "loop", "loop", "loop", "loop"];
    outcome_of_calls(&String::from_utf8_lossy(&output.stdout), &calls)
}

/// The literal environment of the agent's container.
fn manifest_env(env: &Value) -> Vec<(String, String)> {
    let request = json!({
        "runId": "r", "agent": {"id": "a", "companyId": "c", "name": "A"}, "prompt": "Go", "config": {"env": env},
        "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data"},
    });
    let request = RenderRequest::from_json(&request.to_string()).expect("a request");
    let made = manifest::render(&RunSpec::from_request(request).expect("a spec")).expect("a manifest");
    let job = serde_json::to_value(made.job).expect("JSON");
    let entries = job["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .cloned();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    entries
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| Some((text(&entry["name"])?, text(&entry["value"])?)))
        .collect()
}

fn outcome_of_calls(stdout: &str, calls: &[&str]) -> String {
    let (mut words, mut at) = (String::new(), 0);
    for line in stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let (part, state) = (&event["part"], &event["part"]["state"]);
        if event["type"] == "text" {
            words.push_str(&format!(" {}", part["text"].as_str().expect("text")));
        } else if event["type"] == "tool_use" {
            let error = state["error"].as_str().unwrap_or_default();
            let mark = match (part["tool"].as_str(), state["status"].as_str()) {
                (Some("invalid"), _) => '0',
                (_, Some("completed")) => '+',
                _ if error.contains("rejected") => '?',
                _ if error.contains("prevents") => '-',
                _ => '!',
            };
            let same = at > 0 && calls.get(at) == calls.get(at - 1);
            if !same {
                words.push_str(&format!(" {}", calls.get(at).unwrap_or(&"more")));
            }
            words.push(mark);
            at += 1;
        }
    }
    words.trim().to_owned()
}
