//! What the operator's fields make of the pod; each is one line. The patch comes last.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LocalObjectReference, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::names::{OPENCODE_CONTAINER, PROMPT_CONTAINER};
use super::patch::patched;
use super::patch_limits::RunParts;
use super::prompt::RunSecret;
use super::{LogPaths, ManifestError};
use crate::config::{MoreResources, RunSpec};

/// Label of Kueue: the queue that a Job waits in.
pub const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";

/// The pod with the operator's fields.
///
/// # Errors
/// A patch that touches what the run depends on, or is no pod's.
pub(crate) fn shaped(
    mut pod: PodSpec,
    spec: &RunSpec,
    paths: &LogPaths,
    secret: Option<&RunSecret>,
) -> Result<PodSpec, ManifestError> {
    let shape = &spec.settings.pod;
    let spread = &shape.topology_spread_constraints;
    pod.runtime_class_name.clone_from(&shape.runtime_class_name);
    pod.affinity.clone_from(&shape.affinity);
    pod.topology_spread_constraints = (!spread.is_empty()).then(|| spread.clone());
    for name in &shape.image_pull_secrets {
        let secrets = pod.image_pull_secrets.get_or_insert_default();
        if !secrets.iter().any(|secret| secret.name == *name) {
            secrets.push(LocalObjectReference { name: name.clone() });
        }
    }
    for container in pod
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut pod.containers)
    {
        match container.name.as_str() {
            PROMPT_CONTAINER => init(container, spec),
            OPENCODE_CONTAINER => add(container, &shape.resources),
            _ => {}
        }
    }
    match &shape.patch {
        None => Ok(pod),
        Some(patch) => patched(pod, patch, &RunParts::of(spec, paths, secret)).map_err(ManifestError::Patch),
    }
}

/// The agent's own image has a shell as well, and is on the node anyway.
fn init(container: &mut Container, spec: &RunSpec) {
    let shape = &spec.settings.pod;
    let (image, policy) = match &shape.init_image {
        Some(image) => (image.clone(), "IfNotPresent".to_owned()),
        None => (spec.image().to_owned(), spec.settings.image_pull_policy.clone()),
    };
    (container.image, container.image_pull_policy) = (Some(image), Some(policy));
    container.resources = None;
    add(container, &shape.init_resources);
}

fn add(container: &mut Container, more: &MoreResources) {
    let resources = container.resources.get_or_insert_default();
    for (sizes, more) in [
        (&mut resources.requests, &more.requests),
        (&mut resources.limits, &more.limits),
    ] {
        let more = more
            .iter()
            .map(|(name, size)| (name.clone(), Quantity(size.clone())));
        sizes.get_or_insert_default().extend(more);
    }
}

/// Labels of the Job: those of its pod, and the queue's.
pub(crate) fn job_labels(labels: &BTreeMap<String, String>, spec: &RunSpec) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    let queue = spec.settings.pod.queue_name.clone();
    labels.extend(queue.map(|queue| (QUEUE_NAME.to_owned(), queue)));
    labels
}
