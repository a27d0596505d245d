//! One run, typed: after this no code says "or default".

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;

use super::{Json, SelfPod, Texts, UserEnv};
use crate::config::session::Resume;

/// One run with every field read, defaulted and checked. In brackets: the configuration field, where it has one.
#[derive(Clone, Debug)]
pub struct RunSpec {
    // ── who ──
    /// The host's id of the run; safe as a part of a path.
    pub run_id: String,
    /// The host's id of the agent; safe as a part of a path.
    pub agent_id: String,
    /// The agent's name, for people; may be empty.
    pub agent_name: String,
    /// The host's id of the company; safe as a part of a path.
    pub company_id: String,
    /// The issue that the run works on, if the context names one.
    pub task_id: Option<String>,
    /// The session that the host has stored, whether it is resumed or not.
    pub stored_session: Option<String>,
    /// The session that this run resumes, and what to say when it does not.
    pub resume: Resume,
    /// The agent's token for the Paperclip API.
    pub auth_token: Option<String>,
    /// Identity of the cluster for the start record; empty when unknown.
    pub cluster: String,
    /// Text that the nonce file beside the log must hold; none compares nothing.
    pub nonce: Option<String>,

    // ── what ──
    /// The rendered prompt.
    pub prompt: String,
    /// Characters of each prompt section, as the renderer counted them.
    pub prompt_metrics: BTreeMap<String, serde_json::Number>,
    /// The Secret that holds the prompt, when the caller made one.
    pub prompt_secret_name: Option<String>,
    /// The host's run context.
    pub context: Json,
    /// Base environment of the host for this agent.
    pub base_env: Texts,
    /// What the agent needs to reach the host's own tools.
    pub runtime_tools_env: Texts,
    /// The wake payload as JSON text.
    pub wake_payload_json: Option<String>,
    /// [`model`] `provider/model`; empty lets opencode choose. Default empty.
    pub model: String,
    /// [`variant`] Variant of the model; empty for none. Default empty.
    pub variant: String,
    /// [`extraArgs`] Further arguments for `opencode run`. Default none.
    pub extra_args: Vec<String>,
    /// [`env`] Environment for the agent; wins over all but HOME and OPENCODE_DISABLE_PROJECT_CONFIG. Default none.
    pub env: UserEnv,
    /// [`dangerouslySkipPermissions`] Allow what opencode asks for by default; deny rules stay. Default true.
    pub skip_permissions: bool,
    /// [`instructionsRootPath`, only with `instructionsBundleMode: external`] Becomes AGENT_HOME. Default none.
    pub bundle_root: Option<String>,

    // ── where ──
    /// What the Job inherits from the server's pod.
    pub self_pod: SelfPod,
    /// [`namespace`] Namespace of the Job. Default the server's.
    pub namespace: String,
    /// [`image`] Image of the agent's container. Default the server's.
    pub image: String,
    /// [`imagePullPolicy`] `Always`, `IfNotPresent` or `Never`. Default `IfNotPresent`.
    pub image_pull_policy: String,
    /// [`serviceAccountName`] Service account of the pod. Default the namespace's default account.
    pub service_account_name: Option<String>,
    /// [`cwd`] Working directory; a workspace of the run wins. Default `/paperclip`.
    pub working_dir: String,
    /// [`resources.requests.cpu` …] Requests and limits. Default 1000m and 2Gi, 4000m and 8Gi.
    pub resources: Resources,
    /// [`nodeSelector`] Object, JSON text or `key=value` lines. Default the server's.
    pub node_selector: BTreeMap<String, String>,
    /// [`tolerations`] List, or JSON or YAML text of one. Default the server's.
    pub tolerations: Vec<Toleration>,
    /// [`labels`] Further labels, values not cleaned yet. Default none.
    pub labels: Vec<(String, String)>,
    /// [`podAnnotations`] Further annotations of the pod. Default none.
    pub pod_annotations: Vec<(String, String)>,
    /// [`evictable`] Let autoscalers evict the pod in mid-run. Default false.
    pub evictable: bool,
    /// [`kubeconfig`] Path of a kubeconfig on the server. Default the service account of the server's pod.
    pub kubeconfig: Option<String>,
    /// [`dataRoot`] Where the server itself sees the volume that pods see at `/paperclip`. Default `/paperclip`.
    pub data_root: String,

    // ── the agent's database ──
    /// Where the database of this manifest lies.
    pub agent_db: AgentDb,
    /// [`agentDbMode`] What `execute` prepares. Default `dedicated_pvc` with a storage class, else `workspace_subpath`.
    pub agent_db_mode: AgentDbMode,
    /// [`agentDbStorageClass`] Storage class of the agent's claim. Default none.
    pub agent_db_storage_class: Option<String>,
    /// [`agentDbStorageCapacity`] Size of the agent's claim. Default `1Gi`.
    pub agent_db_storage_capacity: String,

    // ── how long ──
    /// [`timeoutSec`] Seconds the run may take; none without limit. Fractions are rounded up. Default none.
    pub timeout_sec: Option<u64>,
    /// [`graceSec`] Seconds that our own clock waits beyond `timeoutSec`. Default 60.
    pub grace_sec: u64,
    /// [`guardWaitSec`] Seconds to wait for another run of the agent; 0 without limit. Default 0.
    pub guard_wait_sec: u64,
    /// [`scheduleTimeoutSec`] Seconds until the pod is bound to a node. Default 120.
    pub schedule_timeout_sec: u64,
    /// [`startTimeoutSec`] Seconds from there until the agent's container runs. Default 600.
    pub start_timeout_sec: u64,
    /// [`outageTimeoutSec`] Seconds without any answer of the API server until the outcome is unknown. Default 600.
    pub outage_timeout_sec: u64,
    /// [`ttlSecondsAfterFinished`] Seconds that a finished Job stays; none with `retainJobs`. Default 300.
    pub ttl_sec: Option<i32>,
    /// [`logRetentionSec`] Seconds until the sweep removes files of a Job that is gone. Default 604800 (7 days).
    pub log_retention_sec: u64,

    // ── switches ──
    /// [`retainJobs`] Keep Job, Secret and files after the run. Default false.
    pub retain_jobs: bool,
    /// [`reattachOrphanedJobs`] Go on with a running Job of the same task. Default true.
    pub reattach_orphaned_jobs: bool,
    /// [`maxLogBytes`] Bytes of stdout after which the pod ends opencode; 0 without limit. Default 2 GiB.
    pub max_log_bytes: u64,
}

/// Requests and limits of the agent's container, as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// CPU that the scheduler reserves.
    pub cpu_request: String,
    /// Memory that the scheduler reserves.
    pub memory_request: String,
    /// CPU that the kernel allows.
    pub cpu_limit: String,
    /// Memory beyond which the kernel kills.
    pub memory_limit: String,
}

/// Where the database of one manifest lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AgentDb {
    /// SilentHost decided: opencode's own place below HOME.
    #[default]
    Home,
    /// A volume that lives as long as the pod.
    Ephemeral,
    /// A claim of the agent.
    Claim(String),
    /// A file on the shared volume, absolute, below `/paperclip`.
    File(String),
}

/// What `execute` prepares for the agent's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentDbMode {
    /// `dedicated_pvc`: a claim per agent.
    DedicatedPvc,
    /// `ephemeral`: lost with the pod.
    Ephemeral,
    /// `workspace_subpath`: a folder per company, agent and task on the shared volume.
    WorkspaceSubpath,
}

impl AgentDbMode {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentDbMode::DedicatedPvc => "dedicated_pvc",
            AgentDbMode::Ephemeral => "ephemeral",
            AgentDbMode::WorkspaceSubpath => "workspace_subpath",
        }
    }
}
