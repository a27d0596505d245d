//! The settings of an agent, typed: after this no code says "or default". Types, bounds and defaults are those of the
//! rows; here stands only what a row cannot say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Toleration;
use serde_json::Value;

use super::checks::why_not_an_argument;
use super::pod_shape::is_extended_resource;
use super::row::rows;
use super::scheduling::{self, Resources};
use super::values::Values;
use super::{AgentDbMode, ConfigError, Inherit, PodShape, RenderRequest, UserEnv, VolumeAccess};

/// The settings of an agent. What they mean stands in `settings.json`; `None` where the server's pod decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `provider/model`; empty lets opencode choose.
    pub model: String,
    /// Variant of the model; empty for none.
    pub variant: String,
    /// Further arguments of opencode.
    pub extra_args: Vec<String>,
    /// Environment for the agent; wins over all but HOME and OPENCODE_DISABLE_PROJECT_CONFIG.
    pub env: UserEnv,
    /// Which variables of the server's pod agents get.
    pub inherit_env: Inherit,
    /// Which Secrets that the server's pod mounts agents get.
    pub inherit_secret_mounts: Inherit,
    /// How much of the shared volume agents see.
    pub volume_access: VolumeAccess,
    /// User of the pod's containers; none leaves it to the namespace.
    pub run_as_user: Option<i64>,
    /// Group of the pod's containers; none leaves it to the namespace.
    pub run_as_group: Option<i64>,
    /// Group that owns the pod's volumes; none leaves it to the namespace.
    pub fs_group: Option<i64>,
    /// Allow what opencode asks for by default; deny rules stay.
    pub skip_permissions: bool,
    /// Go on with the session of the task's last run.
    pub resume_last_session: bool,
    /// Root of an external bundle of instructions: becomes AGENT_HOME.
    pub bundle_root: Option<String>,
    /// Working directory where the run has no workspace.
    pub cwd: String,
    /// Namespace of the Job.
    pub namespace: Option<String>,
    /// Image of the agent's container.
    pub image: Option<String>,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Service account of the pod.
    pub service_account_name: Option<String>,
    /// Priority class of the pod.
    pub priority_class_name: Option<String>,
    /// Requests and limits of the agent's container.
    pub resources: Resources,
    /// Labels that the node must have.
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints that the pod tolerates.
    pub tolerations: Option<Vec<Toleration>>,
    /// Further labels, values not cleaned yet.
    pub labels: Vec<(String, String)>,
    /// Further annotations of the pod.
    pub pod_annotations: Vec<(String, String)>,
    /// Let autoscalers evict the pod in mid-run.
    pub evictable: bool,
    /// Fields of the pod beside its place and sizes.
    pub pod: PodShape,
    /// Path of a kubeconfig on the server.
    pub kubeconfig: Option<String>,
    /// Where the server itself sees the volume that pods see at `/paperclip`, without a slash at its end.
    pub data_root: Option<String>,
    /// What `execute` prepares for the agent's database.
    pub agent_db_mode: AgentDbMode,
    /// Storage class of the agent's claim.
    pub agent_db_storage_class: Option<String>,
    /// Size of the agent's claim.
    pub agent_db_storage_capacity: String,
    /// Seconds the run may take; none without limit.
    pub timeout_sec: Option<u64>,
    /// Seconds that our own clock waits beyond `timeout_sec`.
    pub grace_sec: u64,
    /// Seconds to wait for another run of the agent; 0 without limit.
    pub guard_wait_sec: u64,
    /// Runs of the namespace that one server has at once; 0 without limit.
    pub max_concurrent_runs: u64,
    /// Seconds until the pod is bound to a node. Without limit it is 68 years, here and in the next two.
    pub schedule_timeout_sec: u64,
    /// Seconds from there until the agent's container runs.
    pub start_timeout_sec: u64,
    /// Seconds without any answer of the API server until the outcome is unknown.
    pub outage_timeout_sec: u64,
    /// Seconds that a working agent may print nothing; 0 without limit.
    pub silence_timeout_sec: u64,
    /// Seconds that a finished Job stays; none with `retain_jobs`.
    pub ttl_sec: Option<i32>,
    /// Seconds until the sweep removes files of a Job that is gone.
    pub log_retention_sec: u64,
    /// Keep Job, Secret and files after the run.
    pub retain_jobs: bool,
    /// Go on with a running Job of the same task.
    pub reattach_orphaned_jobs: bool,
    /// Bytes of stdout after which the pod ends opencode; 0 without limit.
    pub max_log_bytes: u64,
    /// What has no effect, one sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads and checks every row.
    ///
    /// # Errors
    /// Names the first field whose value cannot be read.
    pub fn read(request: &RenderRequest) -> Result<Self, ConfigError> {
        Self::of(&mut Values::read(&request.config)?, request)
    }

    fn of(read: &mut Values, request: &RenderRequest) -> Result<Self, ConfigError> {
        let retain_jobs = read.flag("retainJobs")?;
        let retain_jobs = request.retain_jobs.unwrap_or(retain_jobs);
        let ttl = i32::try_from(read.number("ttlSecondsAfterFinished")?).unwrap_or(i32::MAX);
        let storage_class = read.text("agentDbStorageClass")?;
        let external = read.text("instructionsBundleMode")?.as_deref() == Some("external");
        let env = read.pairs("env")?.unwrap_or_default();
        let effort = read.text("effort")?;
        let timeout_sec = Some(read.number("timeoutSec")?).filter(|seconds| *seconds > 0);
        let server_path = request.server_path.as_deref();
        Ok(Settings {
            model: read.text("model")?.unwrap_or_default(),
            variant: read.text("variant")?.or(effort).unwrap_or_default(),
            extra_args: arguments(read.words("extraArgs")?)?,
            env: UserEnv::read(env, &request.forbidden_env_keys, server_path)?,
            inherit_env: Inherit::read(read, "inheritEnv")?,
            inherit_secret_mounts: Inherit::read(read, "inheritSecretMounts")?,
            volume_access: match read.text("volumeAccess")?.as_deref() {
                Some("own") => VolumeAccess::Own,
                _ => VolumeAccess::All,
            },
            run_as_user: scheduling::id(read, "runAsUser")?,
            run_as_group: scheduling::id(read, "runAsGroup")?,
            fs_group: scheduling::id(read, "fsGroup")?,
            skip_permissions: read.flag("dangerouslySkipPermissions")?,
            resume_last_session: read.flag("resumeLastSession")?,
            bundle_root: read.text("instructionsRootPath")?.filter(|_| external),
            cwd: read.text("cwd")?.unwrap_or_default(),
            namespace: scheduling::namespace(read, &request.agent.company_id)?,
            image: read.text("image")?,
            image_pull_policy: read.text("imagePullPolicy")?.unwrap_or_default(),
            service_account_name: read.text("serviceAccountName")?,
            priority_class_name: read.text("priorityClassName")?,
            resources: scheduling::resources(read)?,
            node_selector: scheduling::node_selector(read)?,
            tolerations: scheduling::tolerations(read)?,
            labels: scheduling::labels(read)?,
            pod_annotations: scheduling::annotations(read)?,
            evictable: read.flag("evictable")?,
            pod: PodShape::read(read, &request.config)?,
            kubeconfig: read.text("kubeconfig")?,
            data_root: read.text("dataRoot")?.map(|root| without_slash(&root)),
            agent_db_mode: agent_db_mode(read.text("agentDbMode")?, storage_class.is_some()),
            agent_db_storage_class: storage_class,
            agent_db_storage_capacity: read.text("agentDbStorageCapacity")?.unwrap_or_default(),
            timeout_sec,
            grace_sec: read.number("graceSec")?,
            guard_wait_sec: read.number("guardWaitSec")?,
            max_concurrent_runs: read.number("maxConcurrentRuns")?,
            schedule_timeout_sec: read.limit("scheduleTimeoutSec")?,
            start_timeout_sec: read.limit("startTimeoutSec")?,
            outage_timeout_sec: read.limit("outageTimeoutSec")?,
            silence_timeout_sec: read.number_if_set("silenceTimeoutSec")?.unwrap_or(
                if timeout_sec.is_some() {
                    0
                } else {
                    USUAL_SILENCE_SEC
                },
            ),
            ttl_sec: (!retain_jobs).then_some(ttl),
            log_retention_sec: read.number("logRetentionSec")?,
            retain_jobs,
            reattach_orphaned_jobs: read.flag("reattachOrphanedJobs")?,
            max_log_bytes: read.number("maxLogBytes")?,
            warnings: unknown(&request.config).into_iter().collect(),
        })
    }
}

/// Arguments of opencode, each as the kernel takes one.
fn arguments(words: Vec<String>) -> Result<Vec<String>, ConfigError> {
    match words.iter().find_map(|word| why_not_an_argument(0, word)) {
        None => Ok(words),
        Some(problem) => Err(ConfigError::field(
            "extraArgs",
            format!("has an argument that {problem}"),
        )),
    }
}

fn without_slash(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// What the choice says; the row has no default because it follows the storage class.
fn agent_db_mode(word: Option<String>, has_class: bool) -> AgentDbMode {
    match word.as_deref() {
        Some("ephemeral") => AgentDbMode::Ephemeral,
        Some("workspace_subpath") => AgentDbMode::WorkspaceSubpath,
        None if !has_class => AgentDbMode::WorkspaceSubpath,
        _ => AgentDbMode::DedicatedPvc,
    }
}

/// More unknown fields are counted, not named: all that another adapter's agent may have are.
const NAMED: usize = 16;
/// Where no `timeoutSec` bounds a run: the host calls a run critical that says nothing for so long.
const USUAL_SILENCE_SEC: u64 = 4 * 3_600;
/// Longest name that is shown.
const LONGEST_NAME: usize = 60;

/// The keys of all rows, and of the objects around them.
static KNOWN: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let key_and_objects = |key: &'static str| {
        let ends = key.match_indices('.').map(|(end, _)| end);
        ends.filter_map(move |end| key.get(..end)).chain([key])
    };
    rows().iter().flat_map(|row| key_and_objects(row.key)).collect()
});

/// One sentence about the fields that no row knows. The host's own begin with `paperclip`.
fn unknown(config: &Value) -> Option<String> {
    let mut names = Vec::new();
    collect_unknown("", config, &mut names);
    if names.is_empty() {
        return None;
    }
    let shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| name.chars().take(LONGEST_NAME).collect())
        .collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "Unknown settings have no effect: {}{more}. Correct their names, or remove them from the agent's settings.",
        shown.join(", ")
    ))
}

fn collect_unknown(prefix: &str, value: &Value, names: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return };
    let is_set = |value: &Value| !value.is_null() && value.as_str() != Some("");
    for (key, value) in object.iter().filter(|(_, value)| is_set(value)) {
        let name = format!("{prefix}{key}");
        let is_row = rows().iter().any(|row| row.key == name);
        match KNOWN.contains(name.as_str()) {
            true if is_row => {}
            true => collect_unknown(&format!("{name}."), value, names),
            false if is_resource(&name) => {}
            false if prefix.is_empty() && HOSTS_OWN.iter().any(|start| key.starts_with(start)) => {}
            false => names.push(name),
        }
    }
}

/// A device, under the name that it has in a manifest.
fn is_resource(name: &str) -> bool {
    let resource = name.strip_prefix("resources.requests.");
    let resource = resource.or_else(|| name.strip_prefix("resources.limits."));
    resource.is_some_and(is_extended_resource)
}

/// How fields begin that the host or its page writes for itself.
const HOSTS_OWN: [&str; 4] = ["paperclip", "instructions", "workspace", "adapterSchema"];

#[cfg(test)]
mod tests;
