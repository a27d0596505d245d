//! The environment test: checks one by one what a run needs. Each check has a limit, for an API server that hangs.

mod address;
mod commands;
mod dry_run;
mod namespace;
mod objects;
mod references;
mod rights;
mod storage_class;
mod volume;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use self::commands::Commands;

use crate::cluster::ClusterError;
use crate::cluster::verbs::call;
use crate::config::{
    AgentDbMode, ConfigError, RenderRequest, SelfPod, Settings, company_namespace, text_setting,
};
use crate::run::failure::CONFIG_INVALID;
use crate::run::request::Environment;
use crate::run::server::Server;
use crate::tail::source::Ownership;

/// How long one check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// The same for the client, which waits for files and plugins as a run does and says then what is wrong with them.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// How bad a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be; with a hint something that no run needs, or that nobody could look up.
    Info,
    /// A run works, but slower or with a risk.
    Warn,
    /// A run would fail.
    Error,
}

/// The result of one check, as the host takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Names the result, such as `k8s_pvc_rwx`. The host and its users may rely on it.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// What was found, a sentence.
    pub message: String,
    /// What to do, sentences; a command to paste stands at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    fn new(level: Level, code: &str, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            code: code.to_owned(),
            level,
            message: sentence(message.into()),
            hint: hint.map(str::to_owned),
        }
    }
}

/// With a full stop: words of the API server stand at the end of some messages.
fn sentence(text: String) -> String {
    match text.ends_with(['.', '!', '?']) {
        true => text,
        false => text + ".",
    }
}

/// The request, as the shim sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeRequest {
    config: Value,
    environment: Environment,
    paperclip_api_url: Option<String>,
    /// The HTTP status with which that address answered the shim; absent when there was no answer.
    paperclip_api_status: Option<u16>,
    /// The company whose agent is tested, where one namespace for each is wanted.
    company_id: Option<String>,
    /// Folder of the installed package, for commands.
    package_dir: Option<String>,
}

impl ProbeRequest {
    fn commands(&self) -> Commands {
        Commands::new(
            self.environment.namespace.as_deref(),
            self.environment.own_pod().ok(),
            self.package_dir.as_deref(),
        )
    }
}

/// Makes all checks, the worst first. A failure is a result, too.
pub async fn probe(server: &Server, text: &str) -> Vec<Check> {
    match serde_json::from_str(text) {
        Ok(request) => check_all(server, &of_company(request)).await,
        Err(error) => {
            let message = format!("The request is no JSON: {error}");
            let hint = "Save the agent's configuration again. If that does not help, report this message.";
            vec![Check::new(Level::Error, "k8s_probe_failed", message, Some(hint))]
        }
    }
}

/// With the namespace of the company in the place of the pattern for all.
fn of_company(mut request: ProbeRequest) -> ProbeRequest {
    let company = request.company_id.as_deref().unwrap_or_default();
    if let (false, Some(Value::String(name))) = (company.is_empty(), request.config.get_mut("namespace")) {
        *name = company_namespace(name, company);
    }
    request
}

async fn check_all(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let (of_cluster, of_volume) = tokio::join!(check_cluster(server, request), check_volume(server, request));
    worst_first(of_cluster.into_iter().chain(of_volume).collect())
}

/// The page shows them in this order.
fn worst_first(mut checks: Vec<Check>) -> Vec<Check> {
    checks.sort_by_key(|check| match check.level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
    });
    checks
}

/// Checks that ask the API server. When it does not answer the first one, the others are left out.
async fn check_cluster(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let config = &request.config;
    let commands = request.commands();
    let data_root = text_setting(config, "dataRoot");
    let access = (request.environment).access(text_setting(config, "kubeconfig"), data_root.as_deref());
    let (cluster, reached) = match objects::reach(&server.connect, access, &commands).await {
        Ok(reached) => reached,
        Err(unreachable) => return vec![unreachable],
    };
    let own = objects::own_pod(&request.environment, &cluster, &commands).await;
    let found = own.as_ref().ok();
    let commands = match found {
        Some(own) => commands.of(own),
        None => commands,
    };
    let name = text_setting(config, "namespace")
        .or_else(|| found.map(|own| own.namespace.clone()))
        .unwrap_or_else(|| cluster.default_namespace.clone());
    let own_namespace = request.environment.namespace.as_deref();
    let own_namespace = own_namespace.filter(|name| !name.is_empty());
    let own_namespace = own_namespace.unwrap_or(&cluster.default_namespace);
    let claim = async {
        match &own {
            Ok(own) => objects::claim(&cluster, &name, own, &commands).await,
            Err(unknown) => unknown.clone(),
        }
    };
    let secret = text_setting(config, "secretRef").unwrap_or_default();
    let is_wanted = config
        .get("secretRef")
        .and_then(Value::as_str)
        .is_some_and(|name| !name.trim().is_empty());
    let tried = async {
        match found {
            Some(own) => dry_run::check(&cluster, config, own).await,
            None => Vec::new(),
        }
    };
    let settings = settings(config).ok();
    let (answer, rights, secret, claim, class, tried) = tokio::join!(
        namespace::ask(&cluster, &name),
        rights::check(&cluster, &name, own_namespace, &commands),
        objects::secret(&cluster, &name, &secret, is_wanted),
        claim,
        storage_class::check(&cluster, settings.as_ref(), &name),
        tried,
    );
    let address = check_address(request, found, &commands);
    if let Some(unusable) = namespace::unusable(&answer, &rights, &name, own_namespace, &commands) {
        // In the server's own namespace its pod is unknown for the same reason.
        let unknown = own.as_ref().err().filter(|_| name != own_namespace).cloned();
        return [reached, unusable, address].into_iter().chain(unknown).collect();
    }
    let mut checks = vec![reached, namespace::check(answer, &name, &commands)];
    checks.extend(rights);
    checks.extend(tried);
    checks.extend([secret, claim, address]);
    checks.extend(class);
    checks
}

/// Checks of the volume and of the configuration. They do not need the API server.
async fn check_volume(server: &Server, request: &ProbeRequest) -> Vec<Check> {
    let (database, mut checks) = read(request);
    // As a run decides it.
    let configured = text_setting(&request.config, "dataRoot");
    let root = request.environment.data_root(configured.as_deref());
    match request.environment.owner(Ownership::default()) {
        Ok(owner) => {
            checks.extend(volume::check(&server.volume, root, owner, database, &request.commands()).await)
        }
        Err(failure) => {
            let hint = format!(
                "Remove the variable unless the volume maps ids: {}",
                request.commands().unset_env("PAPERCLIP_K8S_VOLUME_OWNER")
            );
            checks.push(Check::new(
                Level::Error,
                failure.code,
                failure.message,
                Some(&hint),
            ));
        }
    }
    checks
}

/// The settings, read as a run reads them.
fn settings(config: &Value) -> Result<Settings, ConfigError> {
    Settings::read(&RenderRequest {
        config: config.clone(),
        ..RenderRequest::default()
    })
}

/// What the settings say: where the database would be, and what is wrong with them.
fn read(request: &ProbeRequest) -> (Option<AgentDbMode>, Vec<Check>) {
    match settings(&request.config) {
        Ok(settings) => {
            let hint = "The README lists all fields.";
            let warned = |text: String| Check::new(Level::Warn, "k8s_config_unknown_field", text, Some(hint));
            (
                Some(settings.agent_db_mode),
                settings.warnings.into_iter().map(warned).collect(),
            )
        }
        Err(error) => {
            let hint = "Correct the field on the agent's page, under Harness / Runtime. Runs are refused until then.";
            let refused = Check::new(Level::Error, CONFIG_INVALID, error.to_string(), Some(hint));
            (None, vec![refused])
        }
    }
}

/// The shim has asked its own address; of another one no answer is known.
fn check_address(request: &ProbeRequest, own: Option<&SelfPod>, commands: &Commands) -> Check {
    let address = address_in_pod(request, own);
    let is_asked = address == request.paperclip_api_url.as_deref();
    let status = request.paperclip_api_status.filter(|_| is_asked);
    address::check(address, status, commands)
}

/// What PAPERCLIP_API_URL will be in a pod: the agent's value, else the server's Deployment's, else the host's.
fn address_in_pod<'a>(request: &'a ProbeRequest, own: Option<&'a SelfPod>) -> Option<&'a str> {
    let configured = request
        .config
        .get("env")
        .and_then(|env| env.get("PAPERCLIP_API_URL"));
    let inherited = own.and_then(|own| own.inherited_env.get("PAPERCLIP_API_URL"));
    configured
        .and_then(Value::as_str)
        .or(inherited.filter(|url| !url.is_empty()))
        .or(request.paperclip_api_url.as_deref())
}

/// One request, with a shorter limit than in a run.
async fn bounded<T>(
    verb: &'static str,
    on: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ClusterError> {
    match timeout(CHECK_LIMIT, call(verb, on, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClusterError::Timeout {
            verb,
            on: on.to_owned(),
            after: CHECK_LIMIT,
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
    fn errors_stand_before_warnings_and_both_before_the_rest() {
        let check = |level| Check::new(level, "k8s_x", "X.", None);
        let levels: Vec<Level> =
            worst_first(vec![check(Level::Info), check(Level::Warn), check(Level::Error)])
                .into_iter()
                .map(|check| check.level)
                .collect();
        assert_eq!(levels, [Level::Error, Level::Warn, Level::Info]);
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
    fn an_answer_counts_for_the_address_that_gave_it() {
        let request = |config: serde_json::Value| -> ProbeRequest {
            let asked = json!({"config": config, "paperclipApiUrl": "http://svc", "paperclipApiStatus": 403});
            serde_json::from_value(asked).expect("a request")
        };
        let commands = Commands::new(None, None, None);
        let level = |config| check_address(&request(config), None, &commands).level;
        assert_eq!(level(json!({})), Level::Error);
        assert_eq!(
            level(json!({"env": {"PAPERCLIP_API_URL": "http://agents"}})),
            Level::Info
        );
    }

    #[test]
    fn a_configuration_that_no_run_would_take_is_a_finding() {
        let request = ProbeRequest {
            config: json!({"tolerations": "{{{"}),
            ..ProbeRequest::default()
        };
        let (_, checks) = read(&request);
        assert_eq!(
            (checks[0].level, checks[0].code.as_str()),
            (Level::Error, CONFIG_INVALID)
        );
        assert!(
            checks[0].message.starts_with("tolerations "),
            "{}",
            checks[0].message
        );
        assert!(read(&ProbeRequest::default()).1.is_empty());
    }
}
