//! The variables of a pod, beyond the golden cases.

use serde_json::{Value, json};

use super::{env, manifest};

#[test]
fn the_pod_has_its_own_temporary_folder_and_a_development_default() {
    let made = manifest(json!({
        "selfPod": {"namespace": "n", "image": "i", "inheritedEnv": {"TMPDIR": "/server", "TMP": "/own"}},
        "config": {"env": {"TMPDIR": "/tmp/run-1", "PAPERCLIP_RUN_SCRATCH_DIR": "/tmp/run-1/s"}},
    }))
    .expect("a manifest");
    let env = env(&made);
    assert_eq!((&env["TMPDIR"], &env["TMP"]), (&json!("/tmp"), &json!("/own")));
    assert!(!env.contains_key("PAPERCLIP_RUN_SCRATCH_DIR"));
    assert_eq!(env["NODE_ENV"], "development");
    let own = json!({"namespace": "n", "image": "i", "inheritedEnv": {"NODE_ENV": "production"}});
    let made = manifest(json!({ "selfPod": own })).expect("a manifest");
    assert_eq!(self::env(&made)["NODE_ENV"], "production");
}

#[test]
fn configuration_that_the_manifest_cannot_read_is_not_replaced() {
    let ours = r#"{"tools":{"external_director?":true,"doom_loo?":true,"rea?":true}}"#;
    let commented = json!({"config": {"env": {"OPENCODE_CONFIG_CONTENT": "{} // mine"}}});
    let secret = json!({"selfPod": {"namespace": "n", "image": "i", "inheritedEnvValueFrom": [
        {"name": "OPENCODE_CONFIG_CONTENT", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}});
    let whole = json!({"selfPod": {"namespace": "n", "image": "i",
        "inheritedEnvFrom": [{"secretRef": {"name": "s"}}]}});
    for (request, own) in [
        (commented, Some(json!("{} // mine"))),
        (secret, Some(Value::Null)),
        (whole, None),
    ] {
        let env = env(&manifest(request).expect("a manifest"));
        assert_eq!(env["PAPERCLIP_POD_CONFIG"], ours);
        assert_eq!(env.get("OPENCODE_CONFIG_CONTENT"), own.as_ref());
        assert_eq!(env.contains_key("NODE_ENV"), own.is_some());
    }
}

#[test]
fn permissions_are_only_touched_when_wanted() {
    let kept = manifest(json!({"config": {"dangerouslySkipPermissions": false}})).expect("a manifest");
    let kept = env(&kept);
    assert!(!kept.contains_key("OPENCODE_CONFIG_CONTENT") && !kept.contains_key("PAPERCLIP_POD_CONFIG"));
    let text = serde_json::to_string(&manifest(json!({})).expect("a manifest").job).expect("JSON");
    assert!(
        !text.contains(".config/opencode"),
        "nothing is written to the shared HOME"
    );
}

#[test]
fn an_external_bundle_is_the_agents_home() {
    let config = json!({"instructionsBundleMode": "external", "instructionsRootPath": "/paperclip/bundle"});
    let context = json!({"paperclipWorkspace": {"agentHome": "/paperclip/agents/a"}});
    let made = manifest(json!({"config": config, "context": context})).expect("a manifest");
    assert_eq!(env(&made)["AGENT_HOME"], "/paperclip/bundle");
    let made = manifest(json!({"context": context})).expect("a manifest");
    assert_eq!(env(&made)["AGENT_HOME"], "/paperclip/agents/a");
}
