//! Commands that an operator can paste, for this server. They take their files from the installed package. Pure.

use crate::config::POD_ROOT;

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
    /// Folder of the installed package in the server's container.
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

    /// Applies a manifest of the package's `deploy` folder to a namespace.
    pub(super) fn apply(&self, file: &str, namespace: &str) -> String {
        format!(
            "kubectl -n {} exec {} -- cat {}/deploy/{file} | kubectl -n {namespace} apply -f -",
            self.namespace, self.server, self.package
        )
    }

    /// Patches the server with the file of the package.
    pub(super) fn patch_server(&self) -> String {
        let Self {
            namespace,
            server,
            workload,
            package,
        } = self;
        format!(
            "kubectl -n {namespace} patch {workload} -p \"$(kubectl -n {namespace} exec {server} -- cat \
             {package}/deploy/server-patch.yaml)\""
        )
    }

    /// Tells the server its own pod's name and namespace.
    pub(super) fn name_own_pod(&self) -> String {
        let variable = |name: &str, field: &str| {
            format!(r#"{{"name":"{name}","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.{field}"}}}}}}"#)
        };
        format!(
            r#"kubectl -n {} patch {} -p '{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"paperclip","env":[{},{}]}}]}}}}}}}}'"#,
            self.namespace,
            self.workload,
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
        format!(
            "kubectl -n {} exec {} -- sh -c '{script}'",
            self.namespace, self.server
        )
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
            "kubectl -n prod exec paperclip-7d9f8c6b5-xk2lp -- cat /x/pkg/deploy/rbac.yaml | kubectl -n agents apply \
             -f -"
        );
        assert_eq!(commands.grant("prod"), commands.apply("rbac.yaml", "prod"));
        let bind = " --serviceaccount=prod:paperclip --dry-run=client -o yaml | kubectl -n agents apply -f -";
        assert!(commands.grant("agents").ends_with(bind));
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
