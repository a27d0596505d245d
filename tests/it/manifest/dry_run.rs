//! Every golden manifest passes the API server's own validation. Needs a cluster, so it runs only when asked:
//! `KUBECONFIG=… cargo test --test it manifest::dry_run -- --ignored`; nothing is created.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::golden::{cases, request};
use opencode_k8s::config::RunSpec;
use opencode_k8s::manifest;
use serde_json::json;

#[test]
#[ignore = "needs kubectl and a cluster with the namespace paperclip"]
fn the_api_server_accepts_every_golden_manifest() {
    let cases = cases();
    let valid = (0..cases.len()).filter(|index| cases[*index].get("result").is_some());
    let mut items = Vec::new();
    for index in valid {
        let mut spec = RunSpec::from_request(request(index)).expect("a spec");
        spec.settings.namespace = Some("paperclip".to_owned());
        let made = manifest::render(&spec).expect("a manifest");
        items.push(serde_json::to_value(&made.job).expect("JSON"));
        if let Some(secret) = manifest::run_secret(&spec, &made) {
            items.push(serde_json::to_value(secret).expect("JSON"));
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let mut kubectl = Command::new("kubectl")
        .args(["create", "--dry-run=server", "-o", "name", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    kubectl
        .stdin
        .take()
        .expect("a pipe")
        .write_all(list.as_bytes())
        .expect("written");
    let output = kubectl.wait_with_output().expect("an end");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().count(),
        items.len()
    );
}
