//! The agent's environment: its layers in order, and the variables that no layer may override.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector};

use super::permissions::{CONFIG_CONTENT, allow_default_asks};
use super::prompt::LARGE_PROMPT_THRESHOLD_BYTES;
use serde_json::Value;

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

/// Environment of the agent's container. Adds a warning about what is left out.
pub(crate) fn agent_env(spec: &RunSpec, warnings: &mut Vec<String>) -> Vec<EnvVar> {
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
        layers.pass_through(name, value);
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
    permissions(spec, &mut layers);

    let mut env = layers.into_env(warnings);
    let from_elsewhere = inherited
        .iter()
        .filter(|entry| !env.iter().any(|known| known.name == entry.name));
    let from_elsewhere: Vec<EnvVar> = from_elsewhere.cloned().collect();
    env.extend(from_elsewhere);
    database(spec, &mut env);
    env.retain(|entry| !POD_FIELDS.iter().any(|(name, _)| *name == entry.name));
    env.extend(POD_FIELDS.map(|(name, path)| field(name, path)));
    env
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
        layers.generate(name, value);
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
    layers.generate_some(
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
            layers.generate(name, &list.to_string());
        }
    }
    layers.generate_some(
        "PAPERCLIP_RUNTIME_PRIMARY_URL",
        text("paperclipRuntimePrimaryUrl"),
    );
    layers.generate_some("PAPERCLIP_API_KEY", spec.run.auth_token.as_deref());
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
    for (name, key) in WORKSPACE_FIELDS {
        layers.generate_some(name, workspace.trimmed(key));
    }
    // An external bundle has its companion files below its own root.
    let home = spec
        .settings
        .bundle_root
        .as_deref()
        .or_else(|| workspace.trimmed("agentHome"));
    layers.generate_some("AGENT_HOME", home);
}

/// Allows what opencode asks for by default, with less weight than the user's own inline configuration. Where that
/// cannot be read here (it comes from a Secret or a ConfigMap, or is no plain JSON), the pod's script puts our part
/// where it replaces nothing.
fn permissions(spec: &RunSpec, layers: &mut Layers) {
    if !spec.settings.skip_permissions {
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
        user => allow_default_asks(user),
    };
    match merged {
        // Not doubled: our part has no `$`, and Kubernetes expands the user's part as the user expects.
        Some(content) => layers.pass_through(CONFIG_CONTENT, &content),
        None => layers.generate_some(POD_CONFIG, allow_default_asks(None).as_deref()),
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
    text.replace('\0', "").replace('$', "$$")
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

/// Named values; a later value takes the place of an earlier one.
#[derive(Default)]
struct Layers(Vec<Variable>);

struct Variable {
    name: String,
    value: String,
    /// The adapter made it: it reaches the agent as it is. In other values Kubernetes expands `$(NAME)`, as whoever
    /// wrote them expects.
    generated: bool,
}

impl Layers {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| entry.value.as_str())
    }

    fn generate(&mut self, name: &str, value: &str) {
        self.set(name, value, true);
    }

    fn generate_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.generate(name, value);
        }
    }

    fn pass_through(&mut self, name: &str, value: &str) {
        self.set(name, value, false);
    }

    fn set(&mut self, name: &str, value: &str, generated: bool) {
        let entry = Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            generated,
        };
        match self.0.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    fn into_env(self, warnings: &mut Vec<String>) -> Vec<EnvVar> {
        let too_large =
            |entry: &Variable| entry.generated && entry.value.len() > LARGE_PROMPT_THRESHOLD_BYTES;
        let (large, fitting): (Vec<Variable>, Vec<Variable>) = self.0.into_iter().partition(too_large);
        if !large.is_empty() {
            let list: Vec<String> = large
                .iter()
                .map(|entry| format!("{} ({} bytes)", entry.name, entry.value.len()))
                .collect();
            warnings.push(format!(
                "Left out of the agent's environment, over {LARGE_PROMPT_THRESHOLD_BYTES} bytes: {}.",
                list.join(", ")
            ));
        }
        let value = |entry: &Variable| match entry.generated {
            true => double_dollars(&entry.value),
            false => entry.value.clone(),
        };
        fitting
            .into_iter()
            .map(|entry| literal(&entry.name, value(&entry)))
            .collect()
    }
}
