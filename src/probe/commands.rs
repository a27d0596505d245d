//! Commands that an operator can paste, for this server. They take their files from the installed package. Pure.

use crate::cluster::host_pod::SERVER_CONTAINER;
use crate::config::{POD_ROOT, SelfPod};

/// The package's name at npm.
const PACKAGE: &str = "paperclip-adapter-opencode-k8s";

/// Where the commands go.
#[derive(Debug, Clone)]
pub(super) struct Commands {
    /// Namespace of the server's pod.
    namespace: String,
    /// The server's pod, or its Deployment where the pod is unknown: what `kubectl exec` takes.
    server: String,
    /// The Deployment or StatefulSet that the pod belongs to, by its name.
    workload: String,
    /// The server's container: a pod may have a proxy beside it.
    container: String,
    /// Folder of the installed package in it.
    package: String,
}

impl Commands {
    pub(super) fn new(namespace: Option<&str>, pod: Option<&str>, package: Option<&str>) -> Self {
        let workload = pod.and_then(workload_of);
        let workload = workload.unwrap_or_else(|| "deployment/paperclip".to_owned());
        let installed = || format!("{POD_ROOT}/adapter-plugins/node_modules/{PACKAGE}");
        Self {
            namespace: given(namespace).unwrap_or("paperclip").to_owned(),
            server: given(pod).map_or_else(|| workload.clone(), str::to_owned),
            workload,
            container: SERVER_CONTAINER.to_owned(),
            package: given(package).map_or_else(installed, |path| path.trim_end_matches('/').to_owned()),
        }
    }

    /// The same server, whose namespace is known now.
    pub(super) fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// The same server, whose pod is known now.
    pub(super) fn of(&self, own: &SelfPod) -> Self {
        Self {
            container: given(Some(&own.container)).unwrap_or(&self.container).to_owned(),
            ..self.in_namespace(&own.namespace)
        }
    }

    /// A command that another one runs in the server's container.
    fn exec(&self, command: &str) -> String {
        let Self {
            namespace,
            server,
            container,
            ..
        } = self;
        format!("kubectl -n {namespace} exec {server} -c {container} -- {command}")
    }

    /// Applies a manifest of the package's `deploy` folder to a namespace.
    pub(super) fn apply(&self, file: &str, namespace: &str) -> String {
        let file = self.exec(&format!("cat {}/deploy/{file}", self.package));
        format!("{file} | kubectl -n {namespace} apply -f -")
    }

    /// Patches the server with the file of the package.
    pub(super) fn patch_server(&self) -> String {
        let patch = self.exec(&format!("cat {}/deploy/server-patch.yaml", self.package));
        format!(
            "kubectl -n {} patch {} -p \"$({patch})\"",
            self.namespace, self.workload
        )
    }

    /// Gives the server the account of the package's Role, which restarts it.
    pub(super) fn use_account(&self) -> String {
        format!(
            "kubectl -n {} set serviceaccount {} paperclip",
            self.namespace, self.workload
        )
    }

    /// Tells the server its own pod's name and namespace.
    pub(super) fn name_own_pod(&self) -> String {
        let variable = |name: &str, field: &str| {
            format!(r#"{{"name":"{name}","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.{field}"}}}}}}"#)
        };
        format!(
            r#"kubectl -n {} patch {} -p '{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"{}","env":[{},{}]}}]}}}}}}}}'"#,
            self.namespace,
            self.workload,
            self.container,
            variable("POD_NAME", "name"),
            variable("PAPERCLIP_NAMESPACE", "namespace")
        )
    }

    /// Sets a variable of the server.
    pub(super) fn set_env(&self, name: &str, value: &str) -> String {
        format!(
            "kubectl -n {} set env {} {name}={value}",
            self.namespace, self.workload
        )
    }

    /// Removes a variable of the server.
    pub(super) fn unset_env(&self, name: &str) -> String {
        format!("kubectl -n {} set env {} {name}-", self.namespace, self.workload)
    }

    /// Opens the server's Deployment in an editor.
    pub(super) fn edit_server(&self) -> String {
        format!("kubectl -n {} edit {}", self.namespace, self.workload)
    }

    /// Namespace of the server.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The address of the server's Service as it is usually named.
    pub(super) fn service_url(&self) -> String {
        format!("http://paperclip.{}.svc:3100", self.namespace)
    }

    /// Grants the package's Role to the server's account; in another namespace a binding of its own names that one. May
    /// be pasted again.
    pub(super) fn grant(&self, namespace: &str) -> String {
        let apply = self.apply("rbac.yaml", namespace);
        if namespace == self.namespace {
            return apply;
        }
        format!(
            "{apply} && kubectl -n {namespace} create rolebinding paperclip-server \
             --role=paperclip-adapter-opencode-k8s \
             --serviceaccount={}:paperclip --dry-run=client -o yaml | kubectl -n {namespace} apply -f -",
            self.namespace
        )
    }

    /// Runs a shell script in the server's container. The script has no single quotes.
    pub(super) fn in_server(&self, script: &str) -> String {
        self.exec(&format!("sh -c '{script}'"))
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Whose pod this is, by the names that Kubernetes' controllers give: `NAME-0`, or `NAME-HASH-SUFFIX`.
fn workload_of(pod: &str) -> Option<String> {
    let (rest, last) = pod.rsplit_once('-')?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) && last.len() < 4 {
        return Some(format!("statefulset/{rest}"));
    }
    let (name, hash) = rest.rsplit_once('-')?;
    let is_hash = (6..=10).contains(&hash.len()) && hash.bytes().any(|byte| byte.is_ascii_digit());
    (is_hash && last.len() == 5).then(|| format!("deployment/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_names_its_workload() {
        let of = |pod: &str| workload_of(pod);
        assert_eq!(of("paperclip-0").as_deref(), Some("statefulset/paperclip"));
        assert_eq!(
            of("paperclip-main-7d9f8c6b5-xk2lp").as_deref(),
            Some("deployment/paperclip-main")
        );
        assert_eq!(of("paperclip"), None);
        assert_eq!(of("some-body-else"), None);
    }

    #[test]
    fn commands_use_the_installed_package_of_this_server() {
        let commands = Commands::new(Some("prod"), Some("paperclip-7d9f8c6b5-xk2lp"), Some("/x/pkg/"));
        assert_eq!(
            commands.apply("rbac.yaml", "agents"),
            "kubectl -n prod exec paperclip-7d9f8c6b5-xk2lp -c paperclip -- cat /x/pkg/deploy/rbac.yaml | kubectl \
             -n agents apply -f -"
        );
        assert_eq!(commands.grant("prod"), commands.apply("rbac.yaml", "prod"));
        let bind = " --serviceaccount=prod:paperclip --dry-run=client -o yaml | kubectl -n agents apply -f -";
        assert!(commands.grant("agents").ends_with(bind));
        let own = SelfPod {
            namespace: "prod".to_owned(),
            container: "server".to_owned(),
            ..SelfPod::default()
        };
        assert_eq!(
            commands.of(&own).in_server("id"),
            "kubectl -n prod exec paperclip-7d9f8c6b5-xk2lp -c server -- sh -c 'id'"
        );
        assert!(
            commands
                .of(&own)
                .name_own_pod()
                .contains(r#""name":"server","env""#)
        );
        let unknown = Commands::new(None, None, None);
        assert!(
            unknown
                .name_own_pod()
                .starts_with("kubectl -n paperclip patch deployment/paperclip -p '{")
        );
        let patch = unknown.name_own_pod();
        let json = patch.split('\'').nth(1).expect("a quoted patch");
        assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
        assert!(
            unknown
                .apply("pvc.yaml", "paperclip")
                .contains("/paperclip/adapter-plugins/node_modules/")
        );
    }
}
