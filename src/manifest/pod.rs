//! The pod: one init container that writes the prompt, one container that runs the agent.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::env::{double_dollars, literal};
use super::prompt::RunSecret;
use super::volumes::storage;
use super::{LogPaths, command, names};
use crate::config::RunSpec;

/// The variable of the init container that holds the prompt, where no Secret does.
pub(super) const PROMPT_CONTENT: &str = "PROMPT_CONTENT";

/// The pod of a run.
pub(crate) fn pod_spec(
    spec: &RunSpec,
    paths: &LogPaths,
    args: &[String],
    secret: Option<&RunSecret>,
    env: Vec<EnvVar>,
) -> PodSpec {
    let storage = storage(spec, paths, secret);
    let own = &spec.own_pod;
    let init = Container {
        volume_mounts: Some(storage.init),
        ..init_container(spec, paths, secret.is_some())
    };
    let agent = Container {
        env: Some(env),
        volume_mounts: Some(storage.agent),
        ..agent_container(spec, paths, args)
    };
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(30),
        service_account_name: spec.settings.service_account_name.clone(),
        priority_class_name: spec.settings.priority_class_name.clone(),
        // The agent needs the API server only where it was given an account for it.
        automount_service_account_token: spec.settings.service_account_name.is_none().then_some(false),
        security_context: Some(pod_security(spec)),
        image_pull_secrets: (!own.image_pull_secrets.is_empty()).then(|| own.image_pull_secrets.clone()),
        dns_config: own.dns_config.clone(),
        node_selector: (!spec.node_selector().is_empty()).then(|| spec.node_selector().clone()),
        tolerations: (!spec.tolerations().is_empty()).then(|| spec.tolerations().to_vec()),
        init_containers: Some(vec![init]),
        containers: vec![agent],
        volumes: Some(storage.volumes),
        ..PodSpec::default()
    }
}

fn init_container(spec: &RunSpec, paths: &LogPaths, from_secret: bool) -> Container {
    let content = || vec![literal(PROMPT_CONTENT, double_dollars(&spec.run.prompt().text))];
    Container {
        name: names::PROMPT_CONTAINER.to_owned(),
        command: Some(command::init_command(spec, paths, from_secret)),
        env: (!from_secret).then(content),
        security_context: Some(container_security(spec)),
        ..Container::default()
    }
}

fn agent_container(spec: &RunSpec, paths: &LogPaths, args: &[String]) -> Container {
    let sizes = &spec.settings.resources;
    let env_from = &spec.own_pod.inherited_env_from;
    Container {
        name: names::OPENCODE_CONTAINER.to_owned(),
        image: Some(spec.image().to_owned()),
        image_pull_policy: Some(spec.settings.image_pull_policy.clone()),
        working_dir: Some(spec.run.working_dir.clone()),
        command: Some(command::pod_command(spec, paths, args)),
        env_from: (!env_from.is_empty()).then(|| env_from.clone()),
        security_context: Some(container_security(spec)),
        resources: Some(resources(
            [&sizes.cpu_request, &sizes.memory_request],
            [&sizes.cpu_limit, &sizes.memory_limit],
        )),
        // If the script is killed before it writes a message, the kubelet takes the end of the container's output.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn resources(requests: [&str; 2], limits: [&str; 2]) -> ResourceRequirements {
    let sizes = |[cpu, memory]: [&str; 2]| -> Option<BTreeMap<String, Quantity>> {
        let size = |text: &str| Quantity(text.to_owned());
        Some([("cpu".to_owned(), size(cpu)), ("memory".to_owned(), size(memory))].into())
    };
    ResourceRequirements {
        requests: sizes(requests),
        limits: sizes(limits),
        ..ResourceRequirements::default()
    }
}

fn container_security(spec: &RunSpec) -> SecurityContext {
    SecurityContext {
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        read_only_root_filesystem: Some(false),
        run_as_non_root: Some(true),
        run_as_user: spec.settings.run_as_user,
        allow_privilege_escalation: Some(false),
        ..SecurityContext::default()
    }
}

/// What Pod Security *restricted* asks for. User and groups are those of the shared volume; on OpenShift they are the
/// namespace's, and the labels and groups of the server's pod are what lets both into one volume.
fn pod_security(spec: &RunSpec) -> PodSecurityContext {
    let own = &spec.own_pod;
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: spec.settings.run_as_user,
        run_as_group: spec.settings.run_as_group,
        fs_group: spec.settings.fs_group,
        fs_group_change_policy: spec
            .settings
            .fs_group
            .is_some()
            .then(|| "OnRootMismatch".to_owned()),
        se_linux_options: own.se_linux_options.clone(),
        supplemental_groups: (!own.supplemental_groups.is_empty()).then(|| own.supplemental_groups.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}
