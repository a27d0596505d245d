//! A pod's state in words. Pure.

use k8s_openapi::api::core::v1::{ContainerState, Pod};

/// The pod's state in parts for a person: `phase=Pending`, `init/write-prompt: running`, `opencode: waiting`.
#[must_use]
pub fn describe(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else {
        return vec!["phase=Unknown".to_owned()];
    };
    let init = status.init_container_statuses.iter().flatten();
    let main = status.container_statuses.iter().flatten();
    let containers = init
        .map(|status| ("init/", status))
        .chain(main.map(|status| ("", status)))
        .map(|(kind, status)| format!("{kind}{}: {}", status.name, describe_state(status.state.as_ref())));
    let phase = status.phase.as_deref().unwrap_or("Unknown");
    std::iter::once(format!("phase={phase}"))
        .chain(containers)
        .collect()
}

fn describe_state(state: Option<&ContainerState>) -> String {
    let Some(state) = state else {
        return "waiting".to_owned();
    };
    if let Some(ended) = &state.terminated {
        return format!("ended (exit {})", ended.exit_code);
    }
    if state.running.is_some() {
        return "running".to_owned();
    }
    match state
        .waiting
        .as_ref()
        .and_then(|waiting| waiting.reason.as_deref())
    {
        Some(reason) => format!("waiting ({reason})"),
        None => "waiting".to_owned(),
    }
}
