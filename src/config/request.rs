//! The request as the TypeScript half sends it: one JSON text per run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, KeyToPath, LocalObjectReference, PodDNSConfig, SELinuxOptions, Toleration, Volume,
    VolumeMount,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ConfigError;
use super::context;
use super::json::{kind, read_named};

/// Everything one run needs to know. Unknown fields are ignored, `null` equals absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RenderRequest {
    /// The host's id of the run.
    #[serde(deserialize_with = "run_id")]
    pub run_id: String,
    /// The agent that runs.
    #[serde(deserialize_with = "or_default")]
    pub agent: Agent,
    /// The stored session of the agent, if any.
    #[serde(deserialize_with = "or_default")]
    pub runtime: Runtime,
    /// The raw adapter configuration.
    pub config: Value,
    /// What a run needs of the host's context.
    #[serde(deserialize_with = "context::listed")]
    pub context: Value,
    /// The agent's token for the Paperclip API.
    pub auth_token: Option<String>,
    /// What adapter-utils' `buildPaperclipEnv(agent)` returned.
    #[serde(deserialize_with = "or_default")]
    pub base_env: Texts,
    /// What adapter-utils' `buildRuntimeToolsEnv` returned.
    #[serde(deserialize_with = "or_default")]
    pub runtime_tools_env: Texts,
    /// PATH of the server's own process, which the host may write into the agent's `env`.
    pub server_path: Option<String>,
    /// Names that the host lets no agent's `env` set.
    #[serde(deserialize_with = "or_default")]
    pub forbidden_env_keys: Vec<String>,
    /// What the host's `runtimeMcp` lists.
    #[serde(deserialize_with = "or_default")]
    pub mcp_servers: Vec<McpServer>,
    /// The program that the host puts in the place of `git` and `gh` for a company with a GitHub connection.
    pub github_launcher: Option<String>,
    /// The port on which the server's own process listens.
    pub server_port: Option<String>,
    /// What adapter-utils' `stringifyPaperclipWakePayload` returned.
    pub wake_payload_json: Option<String>,
    /// The rendered prompt.
    #[serde(deserialize_with = "or_default")]
    pub prompt: String,
    /// Characters of each prompt section; passed on as it is.
    #[serde(deserialize_with = "or_default")]
    pub prompt_metrics: BTreeMap<String, serde_json::Number>,
    /// What the server knows about its own pod.
    #[serde(deserialize_with = "or_default")]
    pub self_pod: SelfPod,
    /// The prompt of a run that resumes a session, where it differs.
    pub resumed_prompt: Option<String>,
    /// Characters of its sections.
    pub resumed_prompt_metrics: Option<BTreeMap<String, serde_json::Number>>,
    /// A Secret that already holds the prompt.
    pub prompt_secret_name: Option<String>,
    /// Where the agent's database lives: absent, `null` for a volume of the pod, or the name of a claim.
    #[serde(deserialize_with = "claim")]
    pub agent_db_claim_name: DbVolume,
    /// A database file on the shared volume (absolute, under `/paperclip`).
    pub agent_db_path: Option<String>,
    /// Overrides the configuration field of the same name.
    pub retain_jobs: Option<bool>,
    /// Written by the server beside the log; the init container compares it.
    pub nonce: Option<String>,
    /// Identity of the cluster, written into the start record.
    pub cluster: Option<String>,
}

/// An MCP server of the company's connections.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct McpServer {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its address, as the server reaches it.
    #[serde(deserialize_with = "or_default")]
    pub url: String,
    /// What lets this run in.
    #[serde(deserialize_with = "or_default")]
    pub token: String,
}

/// The agent's identity.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Agent {
    /// The host's id of the agent.
    #[serde(deserialize_with = "agent_id")]
    pub id: String,
    /// The agent's name, for people.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The host's id of the company.
    #[serde(deserialize_with = "company_id")]
    pub company_id: String,
}

/// What the host remembers from the agent's last run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Runtime {
    /// A session id kept by old hosts.
    pub session_id: Option<String>,
    /// What the session codec stored.
    pub session_params: Value,
}

/// What the Job inherits from the pod that the server runs in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelfPod {
    /// Namespace of the server.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Name of the server's container; empty where nobody read the pod.
    #[serde(skip)]
    pub container: String,
    /// Image of the server's container.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// Pull secrets of the pod.
    #[serde(deserialize_with = "or_default")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The pod's DNS configuration.
    pub dns_config: Option<PodDNSConfig>,
    /// The claim that is mounted at `/paperclip`.
    pub pvc_claim_name: Option<String>,
    /// `subPath` of that mount.
    pub data_sub_path: Option<String>,
    /// `subPathExpr` of that mount; a Job cannot inherit it and is refused.
    pub data_sub_path_expr: Option<String>,
    /// Secrets that the server's container mounts.
    #[serde(deserialize_with = "or_default")]
    pub secret_volumes: Vec<SecretVolume>,
    /// Literal environment values, in the order of the pod spec.
    #[serde(deserialize_with = "or_default")]
    pub inherited_env: Texts,
    /// Environment values that come from secrets, config maps or fields.
    #[serde(deserialize_with = "or_default")]
    pub inherited_env_value_from: Vec<EnvVar>,
    /// Whole secrets or config maps as environment.
    #[serde(deserialize_with = "or_default")]
    pub inherited_env_from: Vec<EnvFromSource>,
    /// Names that such a source may hold and that only the server needs: they are hidden from agents.
    #[serde(skip)]
    pub hidden_env: Vec<String>,
    /// SELinux labels of the pod; the shared volume may be labelled like them.
    pub se_linux_options: Option<SELinuxOptions>,
    /// Groups of the pod beside its own; the shared volume may belong to one.
    #[serde(deserialize_with = "or_default")]
    pub supplemental_groups: Vec<i64>,
    /// ConfigMaps and projected volumes that the server's container mounts, without tokens.
    #[serde(deserialize_with = "or_default")]
    pub other_volumes: Vec<MountedVolume>,
    /// Where the server's container mounts anything.
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<String>,
    /// The names of all variables, in the order of the pod spec.
    #[serde(deserialize_with = "or_default")]
    pub env_order: Vec<String>,
    /// Names of variables that are not taken over, because they name what only the server has.
    #[serde(deserialize_with = "or_default")]
    pub left_out: Vec<String>,
    /// Node selector of the pod, used when the configuration has none.
    #[serde(deserialize_with = "or_default")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of the pod, used when the configuration has none.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
}

/// A volume of the server's pod and where its container mounts it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct MountedVolume {
    /// The volume.
    pub volume: Volume,
    /// The mount.
    pub mount: VolumeMount,
}

/// A secret volume of the server's pod.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretVolume {
    /// Name of the volume in the pod.
    #[serde(deserialize_with = "or_default")]
    pub volume_name: String,
    /// Name of the secret.
    #[serde(deserialize_with = "or_default")]
    pub secret_name: String,
    /// Where it is mounted.
    #[serde(deserialize_with = "or_default")]
    pub mount_path: String,
    /// File mode of its keys.
    pub default_mode: Option<i32>,
    /// The one key that is mounted as a file; none mounts a folder.
    pub sub_path: Option<String>,
    /// The keys that are mounted, and as what; empty for all.
    #[serde(deserialize_with = "or_default")]
    pub items: Vec<KeyToPath>,
}

/// The agent's database volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DbVolume {
    /// No volume: the database is where opencode puts it, or at `agentDbPath`.
    #[default]
    None,
    /// A volume that lives as long as the pod.
    Ephemeral,
    /// An existing claim.
    Claim(String),
}

/// Named texts in the order of the JSON object they came from; entries that are no text are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub Vec<(String, String)>);

impl Texts {
    /// The text under this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let Value::Object(entries) = Value::deserialize(input)? else {
            return Ok(Texts::default());
        };
        let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
        Ok(Texts(entries.into_iter().filter_map(text).collect()))
    }
}

impl RenderRequest {
    /// Reads the JSON text of a request.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        read_named(text).map_err(ConfigError::Request)
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

fn claim<'de, D: Deserializer<'de>>(input: D) -> Result<DbVolume, D::Error> {
    Ok(Option::deserialize(input)?.map_or(DbVolume::Ephemeral, DbVolume::Claim))
}

fn run_id<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    id(input, "runId")
}

fn agent_id<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    id(input, "agent.id")
}

fn company_id<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    id(input, "agent.companyId")
}

fn id<'de, D: Deserializer<'de>>(input: D, field: &str) -> Result<String, D::Error> {
    match Value::deserialize(input)? {
        Value::String(text) => Ok(text),
        other => Err(D::Error::custom(format!(
            "{field} must be a text, it is {}",
            kind(&other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{DbVolume, RenderRequest};

    #[test]
    fn null_equals_absent_but_for_the_database_volume() {
        let text = r#"{"runId":"r","agent":{"id":"a","companyId":"c","name":null},"runtime":null,"config":null,
            "selfPod":{"namespace":"n","image":"i","secretVolumes":null,"nodeSelector":null,"dnsConfig":null},
            "authToken":null,"agentDbClaimName":null,"unknown":1}"#;
        let request = RenderRequest::from_json(text).expect("valid");
        assert_eq!(request.agent.name, "");
        assert_eq!(request.agent_db_claim_name, DbVolume::Ephemeral);
        let absent = RenderRequest::from_json(r#"{"runId":"r"}"#).expect("valid");
        assert_eq!(absent.agent_db_claim_name, DbVolume::None);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let cases = [
            (
                r#"{"selfPod":{"image":5}}"#,
                "selfPod.image: invalid type: integer `5`, expected a string",
            ),
            (
                r#"{"selfPod":7}"#,
                "selfPod: invalid type: integer `7`, expected struct SelfPod",
            ),
            (
                r#"{"runId":"r","retainJobs":"yes"}"#,
                "retainJobs: invalid type: string \"yes\", expected a boolean",
            ),
            (
                r#"{"runtime":{"sessionId":1}}"#,
                "runtime.sessionId: invalid type: integer `1`, expected a string",
            ),
        ];
        for (text, message) in cases {
            let error = RenderRequest::from_json(text).expect_err("refused");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn an_id_of_the_wrong_type_is_named() {
        let wrong = RenderRequest::from_json(r#"{"runId":"r","agent":{"id":5,"companyId":"c"}}"#);
        assert!(
            wrong
                .expect_err("refused")
                .to_string()
                .contains("agent.id must be a text, it is a number")
        );
        let wrong = RenderRequest::from_json(r#"{"runId":null}"#)
            .expect_err("refused")
            .to_string();
        assert!(wrong.contains("runId must be a text, it is null"), "{wrong}");
    }
}
