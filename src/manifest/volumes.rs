//! The pod's volumes and where its two containers mount them.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};

use super::env::DB_MOUNT;
use super::paths::POD_ROOT;
use super::prompt::PromptSecret;
use crate::config::{AgentDb, RunSpec, SecretVolume, SelfPod};

/// Name of the volume of the Secret with the prompt.
pub const PROMPT_SECRET_VOLUME: &str = "prompt-secret";

/// The volumes of the pod, and the mounts of both containers.
#[derive(Default)]
pub(crate) struct Storage {
    /// Volumes of the pod.
    pub(crate) volumes: Vec<Volume>,
    /// Mounts of the agent's container.
    pub(crate) agent: Vec<VolumeMount>,
    /// Mounts of the init container.
    pub(crate) init: Vec<VolumeMount>,
}

/// The volumes and mounts of a run.
pub(crate) fn storage(spec: &RunSpec, secret: Option<&PromptSecret>) -> Storage {
    let mut storage = Storage::default();
    storage.volumes.push(scratch("prompt"));
    storage.agent.push(mount("prompt", "/tmp/prompt"));
    storage.init.push(mount("prompt", "/tmp/prompt"));
    if let Some(secret) = secret {
        storage.volumes.push(Volume {
            name: PROMPT_SECRET_VOLUME.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.name.clone()),
                ..Default::default()
            }),
            ..Volume::default()
        });
        storage
            .init
            .push(read_only(mount(PROMPT_SECRET_VOLUME, "/tmp/prompt-secret")));
    }
    if let Some(name) = spec
        .own_pod
        .pvc_claim_name
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        storage.volumes.push(claim("data", name));
        storage.agent.push(data_mount(&spec.own_pod));
        storage.init.push(data_mount(&spec.own_pod));
    }
    let database = match &spec.run.agent_db {
        AgentDb::Ephemeral => Some(scratch("opencode-db")),
        AgentDb::Claim(name) => Some(claim("opencode-db", name)),
        AgentDb::Home | AgentDb::File(_) => None,
    };
    if let Some(volume) = database {
        storage.volumes.push(volume);
        storage.agent.push(mount("opencode-db", DB_MOUNT));
    }
    let taken: Vec<String> = storage.volumes.iter().map(|volume| volume.name.clone()).collect();
    for secret in &spec.own_pod.secret_volumes {
        let mut name = secret.volume_name.clone();
        if taken.contains(&name) {
            name.push_str("-server"); // the server's pod has a volume with a name that is used here
        }
        // The server's pod may mount one volume at several paths.
        if !storage.volumes.iter().any(|volume| volume.name == name) {
            storage.volumes.push(secret_volume(&name, secret));
        }
        storage.agent.push(read_only(mount(&name, &secret.mount_path)));
    }
    storage
}

fn secret_volume(name: &str, secret: &SecretVolume) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.secret_name.clone()),
            default_mode: secret.default_mode,
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The server's own mount of the shared volume: the same folder of the same claim.
fn data_mount(own: &SelfPod) -> VolumeMount {
    let sub_path = own.data_sub_path.clone().filter(|path| !path.is_empty());
    VolumeMount {
        sub_path,
        ..mount("data", POD_ROOT)
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only(mount: VolumeMount) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount
    }
}

fn scratch(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn claim(name: &str, claim_name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name.to_owned(),
            read_only: None,
        }),
        ..Volume::default()
    }
}
