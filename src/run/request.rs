//! Reads and checks the request of one run, as the shim sends it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::cluster::Access;
use crate::config::{ConfigError, RenderRequest, RunSpec};
use crate::manifest::POD_ROOT;
use crate::run::failure::{CONFIG_INVALID, Failure, INVALID_ID, INVALID_REQUEST};
use crate::tail::source::Ownership;

/// What the shim read from the server's environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// `HOSTNAME`: the pod's name, except with hostNetwork.
    pub hostname: Option<String>,
    /// `POD_NAME`: wins over `HOSTNAME`.
    pub pod_name: Option<String>,
    /// `PAPERCLIP_NAMESPACE`, else `POD_NAMESPACE`: the server's namespace.
    pub namespace: Option<String>,
    /// `PAPERCLIP_INSTANCE_ID`: the host's own name of this installation.
    pub instance_id: Option<String>,
    /// `KUBECONFIG`: a file, or several separated by colons.
    pub kubeconfig: Option<String>,
    /// `KUBERNETES_SERVICE_HOST`: set in a pod.
    pub kubernetes_service_host: Option<String>,
    /// `PAPERCLIP_K8S_DATA_ROOT`: where this server sees the volume that pods see at `/paperclip`.
    pub data_root: Option<String>,
    /// `PAPERCLIP_K8S_VOLUME_OWNER`: `uid:gid` under which the pods' files appear on this server's mount. Default
    /// `1000:1000`; another value only where the volume maps ids (rootless nodes, squashed exports).
    pub volume_owner: Option<String>,
}

/// A request that was checked.
#[derive(Clone)]
pub struct RunRequest {
    /// What the Job is rendered from. The server's own pod is not known yet.
    pub spec: RunSpec,
    /// The server's environment.
    pub environment: Environment,
    /// The host takes progress.
    pub wants_progress: bool,
}

/// The fields of the request that are not the manifest's.
#[derive(Deserialize)]
struct RunFields {
    #[serde(default)]
    environment: Option<Environment>,
    #[serde(default, rename = "wantsProgress")]
    wants_progress: bool,
}

impl RunRequest {
    /// Reads and checks the JSON text of a request.
    ///
    /// # Errors
    /// A result for the host: `k8s_invalid_request` or `k8s_config_invalid`, with what to do.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = |message: String| Failure::of_input(INVALID_REQUEST, message);
        let render = RenderRequest::from_json(text).map_err(|error| invalid(error.to_string()))?;
        let fields: RunFields = serde_json::from_str(text)
            .map_err(|error| invalid(format!("the request is no JSON: {error}")))?;
        if render.prompt.trim().is_empty() {
            return Err(invalid(
                "the prompt is empty: opencode would refuse it. Give the agent a promptTemplate or instructions"
                    .to_owned(),
            ));
        }
        let environment = fields.environment.unwrap_or_default();
        environment.owner(Ownership::default())?;
        Ok(Self {
            spec: RunSpec::from_request(render).map_err(of_config)?,
            environment,
            wants_progress: fields.wants_progress,
        })
    }

    /// The same without what may be large: enough to find the run's Job.
    #[must_use]
    pub fn without_texts(&self) -> Self {
        let mut request = self.clone();
        request.spec.run.forget_texts();
        request
    }

    /// How the API server is reached.
    #[must_use]
    pub fn access(&self) -> Access {
        let settings = &self.spec.settings;
        self.environment
            .access(settings.kubeconfig.clone(), settings.data_root.as_deref())
    }

    /// User and group of the pods' files. What is left to the namespace is what this server has there.
    ///
    /// # Errors
    /// When `PAPERCLIP_K8S_VOLUME_OWNER` is no `uid:gid`.
    pub fn owner(&self) -> Result<Ownership, Failure> {
        let (settings, here) = (&self.spec.settings, Ownership::of_this_process());
        let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        self.environment.owner(Ownership {
            uid: id(settings.run_as_user).unwrap_or(here.uid),
            gid: id(settings.fs_group.or(settings.run_as_group)).unwrap_or(here.gid),
        })
    }

    /// Where this server sees the shared volume.
    #[must_use]
    pub fn data_root(&self) -> PathBuf {
        PathBuf::from(
            self.environment
                .data_root(self.spec.settings.data_root.as_deref()),
        )
    }
}

impl Environment {
    /// How the API server is reached: by the agent's kubeconfig, else the server's, else as the pod of a cluster.
    /// `data_root`: the agent's. Where the server's own lies counts as well: an agent may say another.
    #[must_use]
    pub fn access(&self, configured: Option<String>, data_root: Option<&str>) -> Access {
        let of_server = || std::env::split_paths(self.kubeconfig.as_deref().unwrap_or_default()).collect();
        let mut kubeconfigs = configured.map_or_else(of_server, |path| vec![PathBuf::from(path)]);
        kubeconfigs.retain(|path| !path.as_os_str().is_empty());
        let own = self.data_root(None);
        let volumes = [Some(own), data_root.filter(|root| *root != own)];
        Access {
            kubeconfigs,
            in_cluster: self
                .kubernetes_service_host
                .as_ref()
                .is_some_and(|host| !host.is_empty()),
            volumes: volumes.into_iter().flatten().map(PathBuf::from).collect(),
        }
    }

    /// The data root: the agent's, else the server's, else the default.
    #[must_use]
    pub fn data_root<'a>(&'a self, configured: Option<&'a str>) -> &'a str {
        let of_server = self.data_root.as_deref().filter(|root| !root.is_empty());
        configured.or(of_server).unwrap_or(POD_ROOT)
    }

    /// The name of the server's own pod.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn own_pod(&self) -> Result<&str, Failure> {
        let names = [self.pod_name.as_deref(), self.hostname.as_deref()];
        names
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .ok_or_else(|| {
                let message =
                    "Server's own pod unknown: set POD_NAME (or HOSTNAME) in the server's environment";
                Failure::before_start(crate::run::failure::SELF_POD_FAILED, message)
            })
    }

    /// User and group of the pods' files on this server's mount of the shared volume; `of_pod` where nothing says
    /// that the volume maps ids.
    ///
    /// # Errors
    /// When `PAPERCLIP_K8S_VOLUME_OWNER` is no `uid:gid`.
    pub fn owner(&self, of_pod: Ownership) -> Result<Ownership, Failure> {
        let Some(text) = self.volume_owner.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(of_pod);
        };
        let ids = text
            .split_once(':')
            .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        let (uid, gid) = ids.ok_or_else(|| {
            let message = format!("PAPERCLIP_K8S_VOLUME_OWNER must be uid:gid in numbers, it is {text:?}");
            Failure::of_input(CONFIG_INVALID, message)
        })?;
        Ok(Ownership { uid, gid })
    }
}

/// An unusable request or setting as a failure.
pub fn of_config(error: ConfigError) -> Failure {
    let what = match error {
        // The name of a field may fill a list by itself.
        ConfigError::Field { .. } => "Bad setting: ",
        _ => "",
    };
    Failure::of_input(code_of(&error), format!("{what}{error}"))
}

/// The code of an unusable request or setting.
#[must_use]
pub fn code_of(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Id(_) => INVALID_ID,
        ConfigError::Field { .. } => CONFIG_INVALID,
        _ => INVALID_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(owner: &str) -> Environment {
        Environment {
            volume_owner: Some(owner.to_owned()),
            ..Environment::default()
        }
    }

    #[test]
    fn the_volume_owner_is_checked() {
        assert_eq!(
            environment("").owner(Ownership::default()),
            Ok(Ownership { uid: 1000, gid: 1000 })
        );
        assert_eq!(
            environment("501:20").owner(Ownership::default()),
            Ok(Ownership { uid: 501, gid: 20 })
        );
        assert!(environment("root").owner(Ownership::default()).is_err());
    }

    #[test]
    fn the_agents_kubeconfig_wins_over_the_list_of_the_server() {
        let environment = Environment {
            kubeconfig: Some("/a::/b".to_owned()),
            ..Environment::default()
        };
        let files = |configured: Option<&str>| {
            environment
                .access(configured.map(str::to_owned), None)
                .kubeconfigs
        };
        assert_eq!(files(None), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(
            files(Some("/c:d")),
            [PathBuf::from("/c:d")],
            "a field names one file"
        );
        assert!(Environment::default().access(None, None).kubeconfigs.is_empty());
        let volumes = |root| environment.access(None, root).volumes;
        assert_eq!(
            volumes(Some("/mnt")),
            [PathBuf::from(POD_ROOT), PathBuf::from("/mnt")]
        );
        assert_eq!(volumes(Some(POD_ROOT)), [PathBuf::from(POD_ROOT)]);
    }

    #[test]
    fn pod_name_wins_over_hostname() {
        let text = r#"{"hostname":"node-7","podName":"paperclip-0"}"#;
        let environment: Environment = serde_json::from_str(text).expect("an environment");
        assert_eq!(environment.own_pod(), Ok("paperclip-0"));
        assert!(Environment::default().own_pod().is_err());
    }
}
