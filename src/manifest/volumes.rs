//! The pod's volumes and where its two containers mount them.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};

use super::LogPaths;
use super::env::DB_MOUNT;
use super::mount_guard::MountGuard;
use super::narrow::parts;
use super::paths::POD_ROOT;
use super::prompt::{RunSecret, SECRET_KEY};
use crate::config::{AgentDb, RunSpec, SecretVolume};

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
pub(crate) fn storage(spec: &RunSpec, paths: &LogPaths, secret: Option<&RunSecret>) -> Storage {
    let mut storage = Storage::default();
    storage.volumes.push(scratch("prompt"));
    storage.agent.push(mount("prompt", "/tmp/prompt"));
    storage.init.push(mount("prompt", "/tmp/prompt"));
    if let Some(secret) = secret {
        storage.volumes.push(Volume {
            name: PROMPT_SECRET_VOLUME.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.name.clone()),
                // The variables in it are not for files.
                items: spec
                    .run
                    .run_secret_name
                    .as_ref()
                    .map(|_| vec![key(SECRET_KEY, SECRET_KEY)]),
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
        let mounts = data_mounts(spec, paths);
        storage.init.extend(mounts.iter().cloned());
        storage.agent.extend(mounts);
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
    let guard = MountGuard::of(spec, paths);
    let shown = spec.own_pod.secret_volumes.iter();
    for secret in shown.filter(|secret| !guard.is_hidden_by(&secret.mount_path)) {
        let mut name = secret.volume_name.clone();
        if taken.contains(&name) {
            name.push_str("-server"); // the server's pod has a volume with a name that is used here
        }
        // The server's pod may mount one volume at several paths.
        if !storage.volumes.iter().any(|volume| volume.name == name) {
            storage.volumes.push(secret_volume(&name, secret));
        }
        storage.agent.push(read_only(VolumeMount {
            sub_path: secret.sub_path.clone().filter(|path| !path.is_empty()),
            ..mount(&name, &secret.mount_path)
        }));
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
            items: (!secret.items.is_empty()).then(|| secret.items.clone()),
        }),
        ..Volume::default()
    }
}

fn key(name: &str, path: &str) -> KeyToPath {
    KeyToPath {
        key: name.to_owned(),
        path: path.to_owned(),
        mode: None,
    }
}

/// The server's own mount of the shared volume, the same folder of the same claim; or parts of it.
fn data_mounts(spec: &RunSpec, paths: &LogPaths) -> Vec<VolumeMount> {
    let of_server = spec
        .own_pod
        .data_sub_path
        .as_deref()
        .filter(|path| !path.is_empty());
    let Some(parts) = parts(spec, paths) else {
        return vec![VolumeMount {
            sub_path: of_server.map(str::to_owned),
            ..mount("data", POD_ROOT)
        }];
    };
    let below = |folder: &str| match of_server {
        Some(root) => format!("{}/{folder}", root.trim_end_matches('/')),
        None => folder.to_owned(),
    };
    let mounts = parts.iter().map(|part| VolumeMount {
        sub_path: Some(below(&part.folder)),
        ..mount("data", &part.path)
    });
    mounts.collect()
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
