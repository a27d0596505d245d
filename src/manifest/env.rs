//! The agent's environment: its layers in order, and the variables that no layer may override.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};
use serde_json::{Map, Value};

use super::addresses::{Addresses, Reach};
use super::layers::{Layers, Rendered};
use super::mcp;
use super::permissions::{CONFIG_CONTENT, merged_content};
use crate::config::{AgentDb, Json as _, POD_ROOT, RunSpec, items};

/// Where the database's own volume is mounted.
pub(crate) const DB_MOUNT: &str = "/opencode-db";
/// Fields of the pod for its script, which removes these variables before it starts opencode.
const POD_FIELDS: [(&str, &str); 2] = [
    ("PAPERCLIP_POD_NAME", "metadata.name"),
    ("PAPERCLIP_POD_UID", "metadata.uid"),
];

/// Configuration for opencode that the pod's script puts into a free variable or file: what is taken is not known here.
const POD_CONFIG: &str = "PAPERCLIP_POD_CONFIG";

/// Variables that the pod's script removes: they hide what only the server needs.
const POD_HIDDEN: &str = "PAPERCLIP_POD_HIDDEN";

/// Names of variables that take the server's access to GitHub away, and what the pod's script puts in the place of
/// `git` and `gh` then. Where it cannot, it removes those variables.
const POD_GITHUB: &str = "PAPERCLIP_POD_GITHUB";
const POD_LAUNCHER: &str = "PAPERCLIP_POD_LAUNCHER";

/// Environment of the agent's container.
pub(crate) struct AgentEnv {
    /// The entries of the container.
    pub(crate) entries: Vec<EnvVar>,
    /// What the entries take from the run's Secret, by key.
    pub(crate) secret: BTreeMap<String, String>,
}

/// Environment of the agent's container. Adds a warning about what is left out.
pub(crate) fn agent_env(spec: &RunSpec, warnings: &mut Vec<String>) -> AgentEnv {
    let mut layers = Layers::default();
    for (name, value) in &spec.own_pod.inherited_env.0 {
        layers.pass_through(name, value);
    }
    paperclip_layer(spec, &mut layers);
    if !spec.settings.env.forbidden.is_empty() {
        let names = spec.settings.env.forbidden.join(", ");
        warnings.push(format!(
            "Paperclip sets {names} itself; the value in the agent's env is ignored."
        ));
    }
    for name in &spec.settings.env.host_only {
        if matches!(name.as_str(), "TMPDIR" | "TMP" | "TEMP") {
            layers.generate(name, "/tmp");
        }
    }
    for (name, value) in &spec.settings.env.kept.0 {
        layers.pass_through_secret(name, value);
    }
    layers.generate("OPENCODE_DISABLE_PROJECT_CONFIG", "true");
    layers.generate("HOME", POD_ROOT);
    let inherited = &spec.own_pod.inherited_env_value_from;
    // A literal would hide a value from a Secret or ConfigMap that is inherited as a whole. There the pod's script sets
    // the default.
    let elsewhere =
        !spec.own_pod.inherited_env_from.is_empty() || inherited.iter().any(|entry| entry.name == "NODE_ENV");
    if layers.get("NODE_ENV").is_none() && !elsewhere {
        layers.generate("NODE_ENV", "development");
    }
    of_host(spec, &mut layers, warnings);

    let secret_name = spec.run.run_secret_name.as_deref();
    let Rendered { mut env, mut secret } = layers.render(secret_name, warnings);
    let from_elsewhere = inherited
        .iter()
        .filter(|entry| !env.iter().any(|known| known.name == entry.name));
    let from_elsewhere: Vec<EnvVar> = from_elsewhere.cloned().collect();
    env.extend(from_elsewhere);
    database(spec, &mut env);
    env.retain(|entry| !POD_FIELDS.iter().any(|(name, _)| *name == entry.name));
    if secret_name.is_some() {
        hide(&spec.own_pod.hidden_env, &mut env);
    }
    env.extend(POD_FIELDS.map(|(name, path)| field(name, path)));
    let keys: Vec<&String> = env.iter().filter_map(secret_key).map(|from| &from.key).collect();
    secret.retain(|key, _| keys.contains(&key));
    AgentEnv { entries: env, secret }
}

fn secret_key(entry: &EnvVar) -> Option<&SecretKeySelector> {
    entry.value_from.as_ref()?.secret_key_ref.as_ref()
}

/// A variable of the container wins over one that comes with a whole Secret.
fn hide(names: &[String], env: &mut Vec<EnvVar>) {
    let is_free = |name: &&String| !env.iter().any(|known| known.name == **name);
    let hidden: Vec<String> = names.iter().filter(is_free).cloned().collect();
    if hidden.is_empty() {
        return;
    }
    let list = literal(POD_HIDDEN, hidden.join(" "));
    env.extend(hidden.iter().map(|name| literal(name, String::new())));
    env.push(list);
}

/// Variables and the fields of the context's workspace that they come from.
const WORKSPACE_FIELDS: [(&str, &str); 8] = [
    ("PAPERCLIP_WORKSPACE_CWD", "cwd"),
    ("PAPERCLIP_WORKSPACE_SOURCE", "source"),
    ("PAPERCLIP_WORKSPACE_STRATEGY", "strategy"),
    ("PAPERCLIP_WORKSPACE_ID", "workspaceId"),
    ("PAPERCLIP_WORKSPACE_REPO_URL", "repoUrl"),
    ("PAPERCLIP_WORKSPACE_REPO_REF", "repoRef"),
    ("PAPERCLIP_WORKSPACE_BRANCH", "branchName"),
    ("PAPERCLIP_WORKSPACE_WORKTREE_PATH", "worktreePath"),
];
/// Variables that hold a list of the context as JSON text.
const LISTS: [(&str, &str); 3] = [
    ("PAPERCLIP_WORKSPACES_JSON", "paperclipWorkspaces"),
    (
        "PAPERCLIP_RUNTIME_SERVICE_INTENTS_JSON",
        "paperclipRuntimeServiceIntents",
    ),
    ("PAPERCLIP_RUNTIME_SERVICES_JSON", "paperclipRuntimeServices"),
];

/// What Paperclip tells the agent about this run.
fn paperclip_layer(spec: &RunSpec, layers: &mut Layers) {
    let context = &spec.run.context;
    for (name, value) in &spec.run.base_env.0 {
        layers.generate(name, value);
    }
    for (name, value) in &spec.run.runtime_tools_env.0 {
        layers.generate_secret(name, value);
    }
    layers.generate("PAPERCLIP_RUN_ID", &spec.run.id);
    let comment = context
        .member("wakeCommentId")
        .or_else(|| context.member("commentId"));
    let text = |key: &str| context.trimmed(key);
    layers.generate_some("PAPERCLIP_TASK_ID", spec.run.task_id.as_deref());
    layers.generate_some("PAPERCLIP_WAKE_REASON", text("wakeReason"));
    layers.generate_some(
        "PAPERCLIP_WAKE_COMMENT_ID",
        comment.and_then(Value::as_str).map(str::trim),
    );
    layers.generate_some("PAPERCLIP_APPROVAL_ID", text("approvalId"));
    layers.generate_some("PAPERCLIP_APPROVAL_STATUS", text("approvalStatus"));
    // It holds the words of people, as the prompt does.
    layers.generate_some_secret(
        "PAPERCLIP_WAKE_PAYLOAD_JSON",
        spec.run.wake_payload_json.as_deref(),
    );
    workspace_layer(spec, layers);
    let issues = context.member("issueIds").map(items).unwrap_or_default();
    let issues: Vec<&str> = issues
        .iter()
        .filter_map(Value::as_str)
        .filter(|id| !id.trim().is_empty())
        .collect();
    layers.generate_some("PAPERCLIP_LINKED_ISSUE_IDS", Some(issues.join(",").as_str()));
    for (name, key) in LISTS {
        if let Some(list) = context.member(key).filter(|list| !items(list).is_empty()) {
            layers.generate_secret(name, &list.to_string());
        }
    }
    layers.generate_some_secret(
        "PAPERCLIP_RUNTIME_PRIMARY_URL",
        text("paperclipRuntimePrimaryUrl"),
    );
    layers.generate_some_secret("PAPERCLIP_API_KEY", spec.run.auth_token.as_deref());
    // The Deployment knows the address that works inside the cluster.
    if let Some(url) = spec
        .own_pod
        .inherited_env
        .get("PAPERCLIP_API_URL")
        .filter(|url| !url.is_empty())
    {
        layers.pass_through("PAPERCLIP_API_URL", url);
    }
}

fn workspace_layer(spec: &RunSpec, layers: &mut Layers) {
    let workspace = spec
        .run
        .context
        .member("paperclipWorkspace")
        .unwrap_or(&Value::Null);
    for (name, key) in &WORKSPACE_FIELDS {
        match *key {
            // The address of a repository may hold a token.
            "repoUrl" => layers.generate_some_secret(name, workspace.trimmed(key)),
            _ => layers.generate_some(name, workspace.trimmed(key)),
        }
    }
    // An external bundle has its companion files below its own root.
    let home = spec
        .settings
        .bundle_root
        .as_deref()
        .or_else(|| workspace.trimmed("agentHome"));
    layers.generate_some("AGENT_HOME", home);
}

/// What the host offers the agent: its addresses as the pod reaches them, GitHub, and MCP servers.
fn of_host(spec: &RunSpec, layers: &mut Layers, warnings: &mut Vec<String>) {
    let api = layers.get("PAPERCLIP_API_URL").map(str::to_owned);
    let of_server = spec.run.base_env.get("PAPERCLIP_API_URL");
    let addresses = Addresses::new(api.as_deref(), of_server, spec.run.server_port.as_deref());
    let tools = spec.run.runtime_tools_env.0.iter().map(|(name, _)| name.as_str());
    for name in tools.chain(["PAPERCLIP_GITHUB_BROKER_URL"]) {
        if let Some(Reach::At(url)) = layers.get(name).map(|url| addresses.reach(url)) {
            layers.generate_secret(name, &url);
        }
    }
    let github = &spec.settings.env.managed_github;
    if !github.is_empty() {
        layers.generate(POD_GITHUB, &github.join(" "));
        layers.generate_some_secret(POD_LAUNCHER, spec.run.github_launcher.as_deref());
    }
    configuration(spec, layers, &mcp::servers(spec, &addresses, warnings));
}

/// Names opencode's MCP servers, and allows what opencode asks for by default, with less weight than the user's own
/// inline configuration. Where that cannot be read here (it comes from a Secret or a ConfigMap, or is no plain JSON),
/// the pod's script puts our part where it replaces nothing.
fn configuration(spec: &RunSpec, layers: &mut Layers, servers: &Map<String, Value>) {
    let allows_asks = spec.settings.skip_permissions;
    if !allows_asks && servers.is_empty() {
        return;
    }
    let own = &spec.own_pod;
    let user = layers.get(CONFIG_CONTENT);
    let elsewhere = !own.inherited_env_from.is_empty()
        || own
            .inherited_env_value_from
            .iter()
            .any(|entry| entry.name == CONFIG_CONTENT);
    let merged = match user {
        None if elsewhere => None,
        // Kubernetes expands the user's part as the user expects, and ours is doubled against that.
        user => merged_content(user, allows_asks, &mcp::doubled(servers)),
    };
    let own = || merged_content(None, allows_asks, servers);
    match merged {
        Some(content) if servers.is_empty() => layers.replace(CONFIG_CONTENT, &content),
        // The servers' tokens are in it.
        Some(content) => layers.pass_through_secret(CONFIG_CONTENT, &content),
        None if servers.is_empty() => layers.generate_some(POD_CONFIG, own().as_deref()),
        None => layers.generate_some_secret(POD_CONFIG, own().as_deref()),
    }
}

fn database(spec: &RunSpec, env: &mut Vec<EnvVar>) {
    let value = match &spec.run.agent_db {
        AgentDb::Home => return,
        AgentDb::Ephemeral | AgentDb::Claim(_) => format!("{DB_MOUNT}/opencode.db"),
        AgentDb::File(path) => double_dollars(path),
    };
    match env.iter_mut().find(|entry| entry.name == "OPENCODE_DB") {
        Some(entry) => *entry = literal("OPENCODE_DB", value),
        None => env.push(literal("OPENCODE_DB", value)),
    }
}

/// The text with every `$` doubled. In values, commands and arguments Kubernetes expands `$(NAME)` and turns `$$` into
/// `$`, so that a doubled one arrives as it was. NULs are left out: none of these can hold one.
pub(crate) fn double_dollars(text: &str) -> String {
    let mut doubled = String::with_capacity(text.len() + text.len() / 16);
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'$', b'\0', rest.as_bytes()) {
        let (before, after) = rest.split_at(at);
        doubled.push_str(before);
        if after.starts_with('$') {
            doubled.push_str("$$");
        }
        rest = after.get(1..).unwrap_or_default();
    }
    doubled.push_str(rest);
    doubled
}

/// Whether this is the text with every `$` doubled, without making it.
pub(crate) fn is_doubled(doubled: &str, text: &str) -> bool {
    let mut parts = text.split('$');
    let first = parts.next().unwrap_or_default();
    let rest = doubled.strip_prefix(first);
    let rest = parts.try_fold(rest, |rest, part| {
        Some(rest?.strip_prefix("$$")?.strip_prefix(part))
    });
    rest.flatten() == Some("")
}

/// A literal entry.
pub(crate) fn literal(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector {
        api_version: None,
        field_path: path.to_owned(),
    };
    let source = EnvVarSource {
        field_ref: Some(field_ref),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_doubled_text_is_known_again_and_no_other_is(text in "[$a\0é]{0,12}", other in "[$aé]{0,12}") {
            let plain = text.replace('\0', "");
            let doubled = double_dollars(&text);
            prop_assert_eq!(&doubled, &plain.replace('$', "$$"));
            prop_assert!(is_doubled(&doubled, &plain));
            prop_assert_eq!(is_doubled(&other, &plain), other == doubled);
        }
    }
}
