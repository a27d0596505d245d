//! The one place where a request becomes a spec.

use super::checks::{check_ids, is_dns_label, is_dns_subdomain, quantity};
use super::fields::{Fields, whole};
use super::{
    AgentDb, AgentDbMode, ConfigError, DbVolume, Json, RenderRequest, RunSpec, UserEnv, scheduling,
    working_dir,
};
use crate::config::session;

/// The API server takes no longer deadline and no longer time to live.
const MAX_SECONDS: u64 = i32::MAX as u64;

impl RunSpec {
    /// Reads, defaults and checks every field once.
    pub fn from_request(request: &RenderRequest) -> Result<Self, ConfigError> {
        check_ids(&request.agent.company_id, &request.agent.id, &request.run_id)?;
        let fields = Fields(&request.config);
        let retain_jobs = retain_jobs(request, fields);
        let storage_class = fields.text("agentDbStorageClass").map(str::to_owned);
        let resume = session::resume(request);
        // A resumed session knows some sections already.
        let resumed_prompt = request
            .resumed_prompt
            .as_ref()
            .filter(|_| resume.session_id.is_some());
        let resumed_metrics = request
            .resumed_prompt_metrics
            .as_ref()
            .filter(|_| resumed_prompt.is_some());
        let metrics = resumed_metrics.unwrap_or(&request.prompt_metrics);
        Ok(RunSpec {
            run_id: request.run_id.clone(),
            agent_id: request.agent.id.clone(),
            agent_name: request.agent.name.clone(),
            company_id: request.agent.company_id.clone(),
            task_id: task_id(&request.context),
            stored_session: session::stored_id(request),
            resume,
            auth_token: request.auth_token.clone().filter(|token| !token.is_empty()),
            cluster: request.cluster.clone().unwrap_or_default(),
            nonce: request.nonce.clone().filter(|nonce| !nonce.is_empty()),
            prompt: resumed_prompt.unwrap_or(&request.prompt).clone(),
            prompt_metrics: metrics.clone(),
            prompt_secret_name: request.prompt_secret_name.clone().filter(|name| !name.is_empty()),
            context: request.context.clone(),
            base_env: request.base_env.clone(),
            runtime_tools_env: request.runtime_tools_env.clone(),
            wake_payload_json: request.wake_payload_json.clone().filter(|text| !text.is_empty()),
            model: fields.0.trimmed("model").unwrap_or_default().to_owned(),
            variant: fields.0.trimmed("variant").unwrap_or_default().to_owned(),
            extra_args: extra_args(fields),
            env: UserEnv::read(
                request.config.get("env"),
                &request.forbidden_env_keys,
                request.server_path.as_deref(),
            )?,
            skip_permissions: fields.lenient_flag("dangerouslySkipPermissions", true),
            bundle_root: bundle_root(fields),
            namespace: namespace(fields, request)?,
            image: fields.text("image").unwrap_or(&request.self_pod.image).to_owned(),
            image_pull_policy: image_pull_policy(fields)?,
            service_account_name: service_account(fields)?,
            working_dir: absolute("cwd", &working_dir(request))?.to_owned(),
            resources: scheduling::resources(fields)?,
            node_selector: scheduling::node_selector(fields, &request.self_pod)?,
            tolerations: scheduling::tolerations(fields, &request.self_pod)?,
            labels: scheduling::label_pairs(fields, "labels")?,
            pod_annotations: scheduling::label_pairs(fields, "podAnnotations")?,
            evictable: fields.flag("evictable", false)?,
            kubeconfig: fields.text("kubeconfig").map(str::to_owned),
            data_root: data_root(fields)?,
            agent_db: agent_db(request)?,
            agent_db_mode: agent_db_mode(fields, storage_class.is_some())?,
            agent_db_storage_class: storage_class,
            agent_db_storage_capacity: storage_capacity(fields)?,
            timeout_sec: timeout(fields),
            grace_sec: whole(fields.lenient_number("graceSec", 60.0)).min(MAX_SECONDS),
            guard_wait_sec: fields.seconds("guardWaitSec", 0)?,
            schedule_timeout_sec: fields.seconds("scheduleTimeoutSec", 120)?,
            start_timeout_sec: fields.seconds("startTimeoutSec", 600)?,
            outage_timeout_sec: fields.seconds("outageTimeoutSec", 600)?,
            ttl_sec: if retain_jobs { None } else { Some(ttl(fields)) },
            log_retention_sec: fields.seconds("logRetentionSec", 7 * 24 * 3600)?,
            retain_jobs,
            reattach_orphaned_jobs: fields.flag("reattachOrphanedJobs", true)?,
            max_log_bytes: fields.number("maxLogBytes")?.map_or(2 << 30, whole),
            self_pod: own_pod(request)?,
        })
    }
}

fn retain_jobs(request: &RenderRequest, fields: Fields) -> bool {
    request
        .retain_jobs
        .unwrap_or(fields.lenient_flag("retainJobs", false))
}

/// The issue: `taskId`, and only without one `issueId`; a blank text is none.
fn task_id(context: &Json) -> Option<String> {
    let id = context
        .get("taskId")
        .or_else(|| context.get("issueId"))?
        .as_str()?
        .trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn extra_args(fields: Fields) -> Vec<String> {
    let list = fields.0.get("extraArgs").map(Json::items).unwrap_or_default();
    list.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn bundle_root(fields: Fields) -> Option<String> {
    let external = fields.text("instructionsBundleMode") == Some("external");
    fields
        .0
        .trimmed("instructionsRootPath")
        .filter(|_| external)
        .map(str::to_owned)
}

fn namespace(fields: Fields, request: &RenderRequest) -> Result<String, ConfigError> {
    match fields.text("namespace") {
        None => Ok(request.self_pod.namespace.clone()),
        Some(name) if is_dns_label(name) => Ok(name.to_owned()),
        Some(name) => {
            let problem =
                format!("is {name:?}; a namespace has lower-case letters, digits and `-`, at most 63");
            Err(ConfigError::field("namespace", problem))
        }
    }
}

fn image_pull_policy(fields: Fields) -> Result<String, ConfigError> {
    match fields.text("imagePullPolicy").unwrap_or("IfNotPresent") {
        policy @ ("Always" | "IfNotPresent" | "Never") => Ok(policy.to_owned()),
        other => {
            let problem = format!("is {other:?}; it must be Always, IfNotPresent or Never");
            Err(ConfigError::field("imagePullPolicy", problem))
        }
    }
}

fn service_account(fields: Fields) -> Result<Option<String>, ConfigError> {
    match fields.text("serviceAccountName") {
        Some(name) if !is_dns_subdomain(name) => {
            let problem = format!("is {name:?}, which is no name of a service account");
            Err(ConfigError::field("serviceAccountName", problem))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

fn data_root(fields: Fields) -> Result<String, ConfigError> {
    let root = absolute("dataRoot", fields.text("dataRoot").unwrap_or("/paperclip"))?.trim_end_matches('/');
    Ok(if root.is_empty() { "/" } else { root }.to_owned())
}

fn absolute<'a>(field: &str, path: &'a str) -> Result<&'a str, ConfigError> {
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(ConfigError::field(
            field,
            format!("must be an absolute path, it is {path:?}"),
        )),
    }
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
        .strip_prefix("/paperclip/")
        .is_some_and(|rest| rest.split('/').all(plain));
    if !below {
        let problem =
            format!("must be an absolute file path under /paperclip without `.` and `..`, it is {path:?}");
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

fn agent_db_mode(fields: Fields, has_class: bool) -> Result<AgentDbMode, ConfigError> {
    match fields.text("agentDbMode") {
        None if has_class => Ok(AgentDbMode::DedicatedPvc),
        None => Ok(AgentDbMode::WorkspaceSubpath),
        Some("dedicated_pvc") => Ok(AgentDbMode::DedicatedPvc),
        Some("ephemeral") => Ok(AgentDbMode::Ephemeral),
        Some("workspace_subpath") => Ok(AgentDbMode::WorkspaceSubpath),
        Some(other) => {
            let problem = format!("is {other:?}; it must be dedicated_pvc, ephemeral or workspace_subpath");
            Err(ConfigError::field("agentDbMode", problem))
        }
    }
}

fn storage_capacity(fields: Fields) -> Result<String, ConfigError> {
    let capacity = fields.text("agentDbStorageCapacity").unwrap_or("1Gi");
    match quantity(capacity) {
        Some(size) if size > 0.0 => Ok(capacity.to_owned()),
        _ => {
            let problem = format!("must be a quantity such as 1Gi, it is {capacity:?}");
            Err(ConfigError::field("agentDbStorageCapacity", problem))
        }
    }
}

/// Whole seconds; what is no number or not above 0 is no limit.
fn timeout(fields: Fields) -> Option<u64> {
    Some(whole(fields.lenient_number("timeoutSec", 0.0)).min(MAX_SECONDS)).filter(|seconds| *seconds > 0)
}

fn ttl(fields: Fields) -> i32 {
    let seconds = whole(fields.lenient_number("ttlSecondsAfterFinished", 300.0)).min(MAX_SECONDS);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn own_pod(request: &RenderRequest) -> Result<super::SelfPod, ConfigError> {
    let pod = request.self_pod.clone();
    match pod.data_sub_path_expr.as_deref().filter(|expr| !expr.is_empty()) {
        Some(expr) => {
            let problem = format!(
                "of the server's mount at /paperclip is {expr:?}: a Job cannot see the same folder; \
                 mount the volume with a plain subPath"
            );
            Err(ConfigError::field("subPathExpr", problem))
        }
        None => Ok(pod),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(config: &str) -> Result<RunSpec, ConfigError> {
        spec_of(&format!(r#""config":{config}"#))
    }

    fn spec_of(fields: &str) -> Result<RunSpec, ConfigError> {
        let text = format!(
            r#"{{"runId":"r","agent":{{"id":"a","companyId":"c"}},"selfPod":{{"namespace":"n","image":"i"}},{fields}}}"#
        );
        RunSpec::from_request(&RenderRequest::from_json(&text).expect("valid JSON"))
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let spec = spec("{}").expect("valid");
        assert_eq!((spec.namespace.as_str(), spec.image.as_str()), ("n", "i"));
        assert_eq!(
            (spec.timeout_sec, spec.grace_sec, spec.guard_wait_sec),
            (None, 60, 0)
        );
        assert_eq!(
            (
                spec.schedule_timeout_sec,
                spec.start_timeout_sec,
                spec.outage_timeout_sec
            ),
            (120, 600, 600)
        );
        assert_eq!(
            (spec.ttl_sec, spec.max_log_bytes, spec.log_retention_sec),
            (Some(300), 2 << 30, 604_800)
        );
        assert!(spec.reattach_orphaned_jobs && spec.skip_permissions && !spec.retain_jobs && !spec.evictable);
        assert_eq!(
            (spec.data_root.as_str(), spec.working_dir.as_str()),
            ("/paperclip", "/paperclip")
        );
        assert_eq!(
            (spec.agent_db, spec.agent_db_mode),
            (AgentDb::Home, AgentDbMode::WorkspaceSubpath)
        );
    }

    #[test]
    fn timeouts_are_whole_seconds_and_nonsense_is_none() {
        let timeout = |value: &str| {
            spec(&format!(r#"{{"timeoutSec":{value}}}"#))
                .expect("valid")
                .timeout_sec
        };
        assert_eq!(timeout("1.5"), Some(2));
        assert_eq!(timeout("3600"), Some(3600));
        assert_eq!(timeout("1e300"), Some(MAX_SECONDS));
        for none in ["0", "-5", "null", r#""60""#, "[]"] {
            assert_eq!(timeout(none), None, "{none}");
        }
    }

    #[test]
    fn the_database_mode_follows_the_storage_class() {
        let mode = |config: &str| spec(config).map(|spec| spec.agent_db_mode);
        assert_eq!(
            mode(r#"{"agentDbStorageClass":"fast"}"#),
            Ok(AgentDbMode::DedicatedPvc)
        );
        assert_eq!(
            mode(r#"{"agentDbStorageClass":"fast","agentDbMode":"ephemeral"}"#),
            Ok(AgentDbMode::Ephemeral)
        );
        assert!(mode(r#"{"agentDbMode":"none"}"#).is_err());
    }

    #[test]
    fn database_paths_stay_on_the_shared_volume() {
        let db = |path: &str| spec_of(&format!(r#""agentDbPath":"{path}""#)).map(|spec| spec.agent_db);
        assert_eq!(db("/paperclip/x/db"), Ok(AgentDb::File("/paperclip/x/db".into())));
        for bad in [
            "/paperclip",
            "/paperclip/",
            "/etc/db",
            "x",
            "/paperclip/../db",
            "/paperclip//db",
            "/paperclip/x/",
        ] {
            assert!(db(bad).is_err(), "{bad}");
        }
        let both = spec_of(r#""agentDbPath":"/paperclip/db","agentDbClaimName":"claim""#);
        assert!(
            both.expect_err("refused")
                .to_string()
                .contains("exclude each other")
        );
        let path_and_null =
            spec_of(r#""agentDbPath":"/paperclip/db","agentDbClaimName":null"#).expect("valid");
        assert_eq!(path_and_null.agent_db, AgentDb::File("/paperclip/db".into()));
    }

    #[test]
    fn bad_values_name_their_field() {
        let table = [
            (r#"{"namespace":"A b"}"#, "namespace"),
            (r#"{"imagePullPolicy":"Sometimes"}"#, "imagePullPolicy"),
            (r#"{"serviceAccountName":"a b"}"#, "serviceAccountName"),
            (r#"{"dataRoot":"relative"}"#, "dataRoot"),
            (r#"{"cwd":"~/work"}"#, "cwd"),
            (r#"{"guardWaitSec":"soon"}"#, "guardWaitSec"),
            (r#"{"evictable":"maybe"}"#, "evictable"),
            (r#"{"agentDbStorageCapacity":"much"}"#, "agentDbStorageCapacity"),
            (r#"{"labels":{"a b":"x"}}"#, "labels"),
            (r#"{"podAnnotations":"a b=x"}"#, "podAnnotations"),
            (r#"{"nodeSelector":{"a":"b c"}}"#, "nodeSelector"),
        ];
        for (config, field) in table {
            let message = spec(config).expect_err(config).to_string();
            assert!(
                message.starts_with(&format!("adapter configuration: {field} ")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_computed_sub_path_is_refused() {
        let text = r#"{"runId":"r","agent":{"id":"a","companyId":"c"},"selfPod":{"dataSubPathExpr":"$(X)"}}"#;
        let refused = RunSpec::from_request(&RenderRequest::from_json(text).expect("valid"));
        assert!(refused.expect_err("refused").to_string().contains("subPathExpr"));
    }

    #[test]
    fn retained_jobs_have_no_time_to_live() {
        assert_eq!(
            spec(r#"{"retainJobs":true,"ttlSecondsAfterFinished":5}"#)
                .expect("valid")
                .ttl_sec,
            None
        );
        assert_eq!(spec_of(r#""retainJobs":true"#).expect("valid").ttl_sec, None);
        assert_eq!(
            spec(r#"{"ttlSecondsAfterFinished":-3}"#).expect("valid").ttl_sec,
            Some(0)
        );
    }

    #[test]
    fn only_an_external_bundle_names_the_agents_home() {
        let root = |mode: &str| {
            let config =
                format!(r#"{{"instructionsBundleMode":"{mode}","instructionsRootPath":"/paperclip/b"}}"#);
            spec(&config).expect("valid").bundle_root
        };
        assert_eq!(root("external").as_deref(), Some("/paperclip/b"));
        assert_eq!(root("managed"), None);
    }
}
