//! The environment test: what a run needs, asked one by one, fast and bounded when the API server hangs.

mod address;
mod objects;
mod rights;
mod volume;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::ClusterError;
use crate::cluster::verbs::call;
use crate::config::{Json, RenderRequest, RunSpec, SelfPod};
use crate::manifest::POD_ROOT;
use crate::run::failure::CONFIG_INVALID;
use crate::run::request::Environment;
use crate::run::server::Server;

/// No single question takes longer.
const LIMIT: Duration = Duration::from_secs(5);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// A run works, but slower or with a risk.
    Warn,
    /// A run would fail.
    Error,
}

/// One finding, in the host's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A word of the contract.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    fn new(level: Level, code: &str, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            code: code.to_owned(),
            level,
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }
}

/// What the shim sends.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeRequest {
    config: Json,
    environment: Environment,
    paperclip_api_url: Option<String>,
}

/// Asks everything; never fails.
pub async fn probe(server: &Server, text: &str) -> Vec<Check> {
    match serde_json::from_str(text) {
        Ok(request) => ask_all(server, &request).await,
        Err(error) => {
            let message = format!("the request is no JSON: {error}");
            let hint = "Save the agent's configuration again; if that does not help, report the message";
            vec![Check::new(Level::Error, "k8s_probe_failed", message, Some(hint))]
        }
    }
}

async fn ask_all(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let (of_cluster, of_volume) = tokio::join!(ask_cluster(server, request), ask_volume(server, request));
    of_cluster.into_iter().chain(of_volume).collect()
}

/// The questions to the API server stop where it does not answer.
async fn ask_cluster(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let config = &request.config;
    let access = request
        .environment
        .access(config.text("kubeconfig").map(str::to_owned));
    let (cluster, reached) = match objects::reach(&server.connect, access).await {
        Ok(reached) => reached,
        Err(unreachable) => return vec![unreachable],
    };
    let own = objects::own_pod(&request.environment, &cluster).await;
    let found = own.as_ref().ok();
    let namespace = config.text("namespace").map(str::to_owned);
    let namespace = namespace
        .or_else(|| found.map(|own| own.namespace.clone()))
        .unwrap_or_else(|| cluster.default_namespace.clone());
    let claim = async {
        match &own {
            Ok(own) => objects::claim(&cluster, &namespace, own).await,
            Err(unknown) => unknown.clone(),
        }
    };
    let (exists, rights, secret, claim) = tokio::join!(
        objects::namespace(&cluster, &namespace),
        rights::check(&cluster, &namespace),
        objects::secret(&cluster, &namespace, config.text("secretRef")),
        claim,
    );
    let mut checks = vec![reached, exists];
    checks.extend(rights);
    checks.extend([secret, claim, address::check(address_in_pod(request, found))]);
    checks
}

/// The volume, and what of the configuration decides about it. Neither needs the API server.
async fn ask_volume(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let spec = spec_of(request);
    let database = spec.as_ref().ok().map(|spec| spec.agent_db_mode);
    let mut checks: Vec<Check> = spec.err().into_iter().collect();
    // The same decision as that of a run.
    let configured = request.config.text("dataRoot").unwrap_or(POD_ROOT);
    let root = request.environment.data_root(configured);
    match request.environment.owner() {
        Ok(owner) => checks.extend(volume::check(&server.volume, root, owner, database).await),
        Err(failure) => {
            let hint = "Remove PAPERCLIP_K8S_VOLUME_OWNER unless the volume maps ids";
            checks.push(Check::new(
                Level::Error,
                failure.code,
                failure.message,
                Some(hint),
            ));
        }
    }
    checks
}

/// The configuration, read as a run reads it.
fn spec_of(request: &ProbeRequest) -> Result<RunSpec, Check> {
    let mut render = RenderRequest {
        run_id: "probe".to_owned(),
        config: request.config.clone(),
        ..RenderRequest::default()
    };
    render.agent.id = "probe".to_owned();
    render.agent.company_id = "probe".to_owned();
    RunSpec::from_request(&render).map_err(|error| {
        let hint = "Correct the field in the agent's settings; runs are refused until then";
        Check::new(Level::Error, CONFIG_INVALID, error.to_string(), Some(hint))
    })
}

/// What PAPERCLIP_API_URL will be in a pod: the agent's own value, the Deployment's, or what the host works out.
fn address_in_pod<'a>(request: &'a ProbeRequest, own: Option<&'a SelfPod>) -> Option<&'a str> {
    let configured = request
        .config
        .get("env")
        .and_then(|env| env.get("PAPERCLIP_API_URL"));
    let inherited = own.and_then(|own| own.inherited_env.get("PAPERCLIP_API_URL"));
    configured
        .and_then(Json::as_str)
        .or(inherited.filter(|url| !url.is_empty()))
        .or(request.paperclip_api_url.as_deref())
}

/// One question, shorter than in a run.
async fn bounded<T>(
    verb: &'static str,
    on: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ClusterError> {
    match timeout(LIMIT, call(verb, on, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClusterError::Timeout {
            verb,
            on: on.to_owned(),
            after: LIMIT,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_request_that_is_no_json_is_a_finding() {
        let checks = probe(&Server::default(), "{").await;
        assert_eq!((checks.len(), checks[0].level), (1, Level::Error));
    }

    #[test]
    fn a_pod_gets_the_address_that_was_set_for_it() {
        let request = |config: serde_json::Value| -> ProbeRequest {
            serde_json::from_value(json!({"config": config, "paperclipApiUrl": "http://localhost:3100"}))
                .expect("a request")
        };
        let own: SelfPod =
            serde_json::from_value(json!({"inheritedEnv": {"PAPERCLIP_API_URL": "http://svc"}}))
                .expect("a pod");
        let plain = request(json!({}));
        assert_eq!(address_in_pod(&plain, None), Some("http://localhost:3100"));
        assert_eq!(address_in_pod(&plain, Some(&own)), Some("http://svc"));
        let set = request(json!({"env": {"PAPERCLIP_API_URL": "http://agents"}}));
        assert_eq!(address_in_pod(&set, Some(&own)), Some("http://agents"));
    }

    #[test]
    fn a_configuration_that_no_run_would_take_is_a_finding() {
        let request = ProbeRequest {
            config: Json::parse(r#"{"tolerations":"{{{"}"#).expect("JSON"),
            ..ProbeRequest::default()
        };
        let check = spec_of(&request).expect_err("refused");
        assert_eq!((check.level, check.code.as_str()), (Level::Error, CONFIG_INVALID));
        assert!(check.message.contains("tolerations"), "{}", check.message);
        assert!(spec_of(&ProbeRequest::default()).is_ok());
    }
}
