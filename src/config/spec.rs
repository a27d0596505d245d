//! One run, typed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use serde_json::Value;

use super::inherit;
use super::json::Json;
use super::server_paths;
use super::{
    Agent, ConfigError, DbVolume, McpServer, POD_ROOT, RenderRequest, Runtime, SelfPod, Settings, Texts,
};
use crate::config::session::{self, Resume};
use crate::ids::check_ids;

/// What a Job is rendered from: what the operator set, what the server's pod hands down, and this run.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The agent's settings.
    pub settings: Settings,
    /// What the Job inherits from the server's pod; empty until that was read.
    pub own_pod: SelfPod,
    /// This run.
    pub run: Run,
}

/// What is true of one run only.
#[derive(Clone, Debug)]
pub struct Run {
    /// The host's id of the run; safe as a part of a path.
    pub id: String,
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
    /// Identity of the Paperclip installation; none where nobody has to tell several apart.
    pub instance: Option<String>,
    /// Text that the nonce file beside the log must hold; none compares nothing.
    pub nonce: Option<String>,
    /// The prompt of a fresh session, and that of a resumed one.
    pub prompts: Prompts,
    /// The Secret that holds the prompt, when the caller made one.
    pub prompt_secret_name: Option<String>,
    /// The Secret that holds the variables and the prompt of this run, so that Job and pod show neither; none renders
    /// the variables into the Job.
    pub run_secret_name: Option<String>,
    /// The host's run context.
    pub context: Value,
    /// Base environment of the host for this agent.
    pub base_env: Texts,
    /// What the agent needs to reach the host's own tools.
    pub runtime_tools_env: Texts,
    /// MCP servers of the company's connections.
    pub mcp_servers: Vec<McpServer>,
    /// What stands in the place of `git` and `gh` in the pod.
    pub github_launcher: Option<String>,
    /// The port on which the server's own process listens.
    pub server_port: Option<String>,
    /// The wake payload as JSON text.
    pub wake_payload_json: Option<String>,
    /// Working directory: the run's workspace, else the configured one.
    pub working_dir: String,
    /// Where the database of this manifest lies.
    pub agent_db: AgentDb,
}

/// A rendered prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Its text.
    pub text: String,
    /// Characters of each section, as the renderer counted them.
    pub metrics: BTreeMap<String, serde_json::Number>,
}

/// The prompt of a fresh session, and that of a resumed one, which knows some sections already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompts {
    /// Of a fresh session.
    pub fresh: Prompt,
    /// Of a resumed one, where it differs.
    pub resumed: Option<Prompt>,
}

impl Prompts {
    fn take(request: &mut RenderRequest) -> Self {
        let metrics = request.resumed_prompt_metrics.take().unwrap_or_default();
        Self {
            fresh: Prompt {
                text: std::mem::take(&mut request.prompt),
                metrics: std::mem::take(&mut request.prompt_metrics),
            },
            resumed: request.resumed_prompt.take().map(|text| Prompt { text, metrics }),
        }
    }
}

/// Where the database of one manifest lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AgentDb {
    /// Nobody decided: opencode's own place below HOME.
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

/// How much of the shared volume a pod sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeAccess {
    /// All of it.
    All,
    /// Its log folder, its workspace, its database, and its company's HOME.
    Own,
}

impl RunSpec {
    /// Reads, defaults and checks every field, once for a run.
    ///
    /// # Errors
    /// Names the first id or field that cannot be used.
    pub fn from_request(mut request: RenderRequest) -> Result<Self, ConfigError> {
        check_ids(&request.agent.company_id, &request.agent.id, &request.run_id)?;
        let settings = Settings::read(&request)?;
        let pod = std::mem::take(&mut request.self_pod);
        let spec = RunSpec {
            run: Run::of(request, &settings)?,
            own_pod: SelfPod::default(),
            settings,
        };
        spec.in_pod(pod)
    }

    /// The same run with what the server's pod hands down.
    ///
    /// # Errors
    /// When a Job could not see the folder that the server sees.
    pub fn in_pod(mut self, pod: SelfPod) -> Result<Self, ConfigError> {
        if let Some(expr) = pod.data_sub_path_expr.as_deref().filter(|expr| !expr.is_empty()) {
            let problem = format!(
                "of the server's mount at {POD_ROOT} is {expr:?}: a Job cannot see the same folder; \
                 mount the volume with a plain subPath"
            );
            return Err(ConfigError::field("subPathExpr", problem));
        }
        let settings = &self.settings;
        self.own_pod = inherit::for_agents(pod, &settings.inherit_env, &settings.inherit_secret_mounts);
        server_paths::leave_out(&mut self.own_pod, settings.service_account_name.is_some());
        Ok(self)
    }

    /// Namespace of the Job: the configured one, else the server's.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.settings
            .namespace
            .as_deref()
            .unwrap_or(&self.own_pod.namespace)
    }

    /// Image of the agent's container: the configured one, else the server's.
    #[must_use]
    pub fn image(&self) -> &str {
        self.settings.image.as_deref().unwrap_or(&self.own_pod.image)
    }

    /// Labels that the node must have: the configured ones, else the server's.
    #[must_use]
    pub fn node_selector(&self) -> &BTreeMap<String, String> {
        let configured = self.settings.node_selector.as_ref();
        configured.unwrap_or(&self.own_pod.node_selector)
    }

    /// Taints that the pod tolerates: the configured ones, else the server's.
    #[must_use]
    pub fn tolerations(&self) -> &[Toleration] {
        let configured = self.settings.tolerations.as_deref();
        configured.unwrap_or(&self.own_pod.tolerations)
    }
}

impl Run {
    /// The prompt that fits the decision about the session.
    #[must_use]
    pub fn prompt(&self) -> &Prompt {
        let resumed = self.prompts.resumed.as_ref();
        resumed
            .filter(|_| self.resume.session_id.is_some())
            .unwrap_or(&self.prompts.fresh)
    }

    /// Lets go of what only a manifest needs: a prompt may be large, and runs take hours.
    pub fn forget_texts(&mut self) {
        self.prompts = Prompts::default();
        (self.github_launcher, self.wake_payload_json) = (None, None);
    }

    /// Goes on from this session instead of the one that the host has stored.
    pub fn resume_from(&mut self, runtime: &Runtime, settings: &Settings) {
        self.stored_session = session::stored_id(runtime);
        self.resume = session::resume(runtime, &self.working_dir, settings.resume_last_session);
    }

    fn of(mut request: RenderRequest, settings: &Settings) -> Result<Self, ConfigError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let working_dir = working_dir(&request.context, settings).to_owned();
        if !working_dir.starts_with('/') {
            let problem = format!("of the workspace must be an absolute path, it is {working_dir:?}");
            return Err(ConfigError::field("cwd", problem));
        }
        Ok(Run {
            task_id: task_id(&request.context),
            stored_session: session::stored_id(&request.runtime),
            resume: session::resume(&request.runtime, &working_dir, settings.resume_last_session),
            instance: None,
            prompts: Prompts::take(&mut request),
            run_secret_name: None,
            agent_db: agent_db(&request)?,
            base_env: base_env(request.base_env, &request.agent),
            id: request.run_id,
            agent_id: request.agent.id,
            agent_name: request.agent.name,
            company_id: request.agent.company_id,
            auth_token: given(request.auth_token),
            cluster: request.cluster.unwrap_or_default(),
            nonce: given(request.nonce),
            prompt_secret_name: given(request.prompt_secret_name),
            context: request.context,
            runtime_tools_env: request.runtime_tools_env,
            mcp_servers: request.mcp_servers,
            github_launcher: given(request.github_launcher),
            server_port: given(request.server_port),
            wake_payload_json: given(request.wake_payload_json),
            working_dir,
        })
    }
}

/// The host's variables; without a host at least whose run it is.
fn base_env(mut env: Texts, agent: &Agent) -> Texts {
    let ids = [
        ("PAPERCLIP_AGENT_ID", &agent.id),
        ("PAPERCLIP_COMPANY_ID", &agent.company_id),
    ];
    for (name, id) in ids {
        if env.get(name).is_none() {
            env.0.push((name.to_owned(), id.clone()));
        }
    }
    env
}

/// The run's working directory: the workspace's, else the configured one.
pub fn working_dir<'a>(context: &'a Value, settings: &'a Settings) -> &'a str {
    let workspace = context.member("paperclipWorkspace");
    let folder = workspace.and_then(|workspace| workspace.text("cwd"));
    folder.unwrap_or(&settings.cwd)
}

/// The issue: `taskId`, and only without one `issueId`; a blank text is none.
fn task_id(context: &Value) -> Option<String> {
    let id = context.member("taskId").or_else(|| context.member("issueId"))?;
    let id = id.as_str()?.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn agent_db(request: &RenderRequest) -> Result<AgentDb, ConfigError> {
    let Some(path) = request.agent_db_path.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(match &request.agent_db_claim_name {
            DbVolume::None => AgentDb::Home,
            DbVolume::Ephemeral => AgentDb::Ephemeral,
            DbVolume::Claim(name) if name.is_empty() => AgentDb::Ephemeral,
            DbVolume::Claim(name) => AgentDb::Claim(name.clone()),
        });
    };
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let below = path
        .strip_prefix(POD_ROOT)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| rest.split('/').all(plain));
    if !below {
        let problem =
            format!("must be an absolute file path under {POD_ROOT} without `.` and `..`, it is {path:?}");
        return Err(ConfigError::field("agentDbPath", problem));
    }
    if matches!(request.agent_db_claim_name, DbVolume::Claim(_)) {
        return Err(ConfigError::field(
            "agentDbPath",
            "and agentDbClaimName exclude each other; give one of them",
        ));
    }
    Ok(AgentDb::File(path.to_owned()))
}

#[cfg(test)]
mod tests;
