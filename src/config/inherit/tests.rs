use super::super::{RenderRequest, RunSpec};
use super::*;
use serde_json::{Value, json};

fn inherited(config: Value) -> SelfPod {
    let secret = |name: &str, from: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": from, "key": "k"}}});
    let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "config": config, "selfPod": {
        "inheritedEnv": {"ANTHROPIC_API_KEY": "k", "DATABASE_URL": "x", "STATE": "postgres://u:p@h/d", "PORT": "1",
            "PAPERCLIP_SECRETS_MASTER_KEY_FILE": "/etc/server/key", "PAPERCLIP_API_URL": "http://h"},
        "inheritedEnvValueFrom": [secret("BETTER_AUTH_SECRET", "server"), secret("OPENAI_API_KEY", "keys"),
            secret("PAPERCLIP_AGENT_JWT_SECRET", "server"), secret("DB_PASSWORD", "server")],
        "inheritedEnvFrom": [{"secretRef": {"name": "all"}}, {"secretRef": {"name": "more"}, "prefix": "X_"}],
        "secretVolumes": [
            {"volumeName": "npm", "secretName": "npm", "mountPath": "/etc/agents/npmrc", "subPath": "npmrc"},
            {"volumeName": "whole", "secretName": "server", "mountPath": "/etc/whole"},
            {"volumeName": "files", "secretName": "files", "mountPath": "/etc/server"},
            {"volumeName": "m", "secretName": "paperclip-master", "mountPath": "/etc/m"}],
    }});
    let request = RenderRequest::from_json(&request.to_string()).expect("a request");
    RunSpec::from_request(request).expect("a spec").own_pod
}

fn names(pod: &SelfPod) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let literals = pod.inherited_env.0.iter().map(|(name, _)| name.as_str());
    let others = pod
        .inherited_env_value_from
        .iter()
        .map(|entry| entry.name.as_str());
    let mounts = pod
        .secret_volumes
        .iter()
        .map(|volume| volume.secret_name.as_str());
    (literals.collect(), others.collect(), mounts.collect())
}

#[test]
fn what_only_the_server_needs_stays_with_it() {
    let pod = inherited(json!({}));
    let literals = vec!["ANTHROPIC_API_KEY", "PORT", "PAPERCLIP_API_URL"];
    assert_eq!(names(&pod), (literals, vec!["OPENAI_API_KEY"], vec!["npm"]));
    assert_eq!(pod.inherited_env_from.len(), 2);
    for hidden in ["DATABASE_URL", "X_PAPERCLIP_SECRETS_MASTER_KEY"] {
        assert!(pod.hidden_env.iter().any(|name| name == hidden), "{hidden}");
    }
}

#[test]
fn the_operator_widens_and_narrows_what_is_inherited() {
    let pod = inherited(json!({"inheritEnv": "DB_* !PORT", "inheritSecretMounts": ["all", "!/etc/m"]}));
    let (literals, others, mounts) = names(&pod);
    assert_eq!(literals, ["ANTHROPIC_API_KEY", "PAPERCLIP_API_URL"]);
    assert_eq!(others, ["OPENAI_API_KEY", "DB_PASSWORD"]);
    assert_eq!(mounts, ["npm", "server", "files"]);
    assert!(!pod.hidden_env.contains(&"DB_PASSWORD".to_owned()));
    let pod = inherited(json!({"inheritEnv": "none PORT", "inheritSecretMounts": "none"}));
    assert_eq!(names(&pod), (vec!["PORT"], vec![], vec![]));
    assert!(pod.inherited_env_from.is_empty() && pod.hidden_env.is_empty());
    let all = inherited(json!({"inheritEnv": "all", "inheritSecretMounts": "all"}));
    assert_eq!((all.inherited_env.0.len(), all.secret_volumes.len()), (6, 4));
    assert!(all.hidden_env.is_empty());
}

#[test]
fn a_word_that_is_no_name_is_refused() {
    for (key, word) in [("inheritEnv", "A=1"), ("inheritSecretMounts", "!")] {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "config": {key: [word]}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let said = RunSpec::from_request(request).expect_err("refused").to_string();
        assert!(said.starts_with(&format!("{key} has the word")), "{said}");
    }
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, fits) in [
        ("A", "A", true),
        ("A", "AB", false),
        ("A*", "A", true),
        ("*B*", "ABC", true),
        ("*A*A", "A", false),
        ("*A*A", "AXA", true),
        ("A*B*C", "AxByC", true),
        ("A*B", "AB", true),
        ("AB*B", "AB", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
}
