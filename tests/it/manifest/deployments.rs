//! What an agent's pod takes over from the server's, by the ways in which people deploy the server.

use k8s_openapi::api::core::v1::Pod;
use opencode_k8s::cluster::host_pod::self_pod;
use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest;
use serde_json::{Value, json};

/// One way of deployment: the server's container and volumes, and what the agent's pod has of them.
struct Deployment {
    name: &'static str,
    container: Value,
    volumes: Value,
    config: Value,
    /// `NAME=value`, `NAME` for a value from elsewhere, `!NAME` for a variable that is not there.
    env: &'static [&'static str],
    /// A mount path, or `!path`.
    mounts: &'static [&'static str],
    /// Names that the one warning has.
    said: &'static [&'static str],
}

impl Default for Deployment {
    fn default() -> Self {
        Deployment {
            name: "",
            container: json!({}),
            volumes: json!([]),
            config: json!({}),
            env: &[],
            mounts: &[],
            said: &[],
        }
    }
}

fn secret(name: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "paperclip-env", "key": name}}})
}

fn token(path: &str) -> Value {
    json!({"serviceAccountToken": {"path": path, "audience": "sts.amazonaws.com"}})
}

fn deployments() -> Vec<Deployment> {
    let mut all = charts();
    all.extend(identities());
    all.extend(mounts());
    all.extend(values());
    all
}

fn charts() -> Vec<Deployment> {
    vec![
        Deployment {
            name: "a chart with its account's token, a database and a scratch folder",
            container: json!({"env": [secret("ANTHROPIC_API_KEY"), secret("DB_PASSWORD"),
                {"name": "DATABASE_URL", "value": "postgres://p:$(DB_PASSWORD)@db/p"},
                {"name": "REPORTS", "value": "https://r:$(DB_PASSWORD)@reports"},
                {"name": "CACHE_DIR", "value": "/var/cache/paperclip/x"}],
                "volumeMounts": [{"name": "cache", "mountPath": "/var/cache/paperclip/"},
                    {"name": "kube-api-access-1", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}),
            volumes: json!([{"name": "cache", "emptyDir": {}}, {"name": "kube-api-access-1", "projected": {"sources": [
                token("token"), {"configMap": {"name": "kube-root-ca.crt"}}]}}]),
            config: json!({"serviceAccountName": "agents"}),
            env: &[
                "ANTHROPIC_API_KEY",
                "!DATABASE_URL",
                "!REPORTS",
                "!CACHE_DIR",
                "!DB_PASSWORD",
            ],
            mounts: &[
                "!/var/cache/paperclip",
                "!/var/run/secrets/kubernetes.io/serviceaccount",
            ],
            said: &["REPORTS", "CACHE_DIR"],
        },
        Deployment {
            name: "an operator that loads its own module and hands on sizes of the container",
            container: json!({"env": [
                {"name": "NODE_OPTIONS", "value":
                    "--max-old-space-size=900 --require /otel-auto/autoinstrumentation.js"},
                {"name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/otel-auto/javaagent.jar"},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef":
                    {"containerName": "paperclip", "resource": "limits.memory"}}},
                {"name": "OF_PROXY", "valueFrom": {"resourceFieldRef":
                    {"containerName": "istio-proxy", "resource": "limits.cpu"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "SELF", "value": "http://$(POD_IP):3100"}],
                "volumeMounts": [{"name": "otel", "mountPath": "/otel-auto"}]}),
            volumes: json!([{"name": "otel", "emptyDir": {}}]),
            env: &[
                "NODE_OPTIONS=--max-old-space-size=900",
                "!JAVA_TOOL_OPTIONS",
                "MEMORY",
                "!OF_PROXY",
                "POD_IP",
                "SELF=http://$(POD_IP):3100",
            ],
            said: &["NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "OF_PROXY"],
            ..Deployment::default()
        },
        Deployment {
            name: "whole Secrets as environment, and what the agent has of its own",
            container: json!({"env": [{"name": "NODE_OPTIONS", "value": "--import ./x.js"},
                {"name": "PLAIN", "value": "$$(X)"}],
                "envFrom": [{"secretRef": {"name": "paperclip-env"}}]}),
            config: json!({"env": {"NODE_OPTIONS": "--no-warnings"}}),
            env: &["NODE_OPTIONS=--no-warnings", "PLAIN=$$(X)"],
            ..Deployment::default()
        },
    ]
}

fn identities() -> Vec<Deployment> {
    vec![
        Deployment {
            name: "IRSA, whose token the webhook mounts",
            container: json!({"env": [{"name": "AWS_REGION", "value": "eu-west-1"},
                {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::111122223333:role/server"},
                {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value":
                    "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"}],
                "volumeMounts": [{"name": "aws-iam-token", "mountPath":
                    "/var/run/secrets/eks.amazonaws.com/serviceaccount"}]}),
            volumes: json!([{"name": "aws-iam-token", "projected": {"sources": [token("token")]}}]),
            env: &[
                "AWS_REGION=eu-west-1",
                "!AWS_ROLE_ARN",
                "!AWS_WEB_IDENTITY_TOKEN_FILE",
            ],
            mounts: &["!/var/run/secrets/eks.amazonaws.com/serviceaccount"],
            said: &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
            ..Deployment::default()
        },
        Deployment {
            name: "an identity of a pod without a mount in the manifest",
            container: json!({"env": [
                {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"},
                {"name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                    "value": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"}]}),
            env: &[
                "!AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "!AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            ],
            said: &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
            ..Deployment::default()
        },
        Deployment {
            name: "Azure workload identity",
            container: json!({"env": [{"name": "AZURE_CLIENT_ID", "value": "c"},
                {"name": "AZURE_TENANT_ID", "value": "t"},
                {"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/var/run/secrets/azure/tokens/azure-identity-token"}],
                "volumeMounts": [{"name": "azure-identity-token", "mountPath": "/var/run/secrets/azure/tokens"}]}),
            volumes: json!([{"name": "azure-identity-token", "projected": {"sources": [
                token("azure-identity-token")]}}]),
            env: &[
                "!AZURE_FEDERATED_TOKEN_FILE",
                "!AZURE_CLIENT_ID",
                "!AZURE_TENANT_ID",
            ],
            said: &["AZURE_FEDERATED_TOKEN_FILE"],
            ..Deployment::default()
        },
    ]
}

fn mounts() -> Vec<Deployment> {
    vec![
        Deployment {
            name: "a company's CA and proxy",
            container: json!({"env": [secret("PROXY_PASSWORD"),
                {"name": "HTTPS_PROXY", "value": "http://agents:$(PROXY_PASSWORD)@proxy.example:3128"},
                {"name": "NODE_EXTRA_CA_CERTS", "value": "/etc/corp-ca/ca.crt"},
                {"name": "SSL_CERT_FILE", "value": "/etc/ssl/certs/company.pem"},
                {"name": "SSL_CERT_DIR", "value": "/host/certs:/etc/corp-ca"}],
                "volumeMounts": [{"name": "corp-ca", "mountPath": "/etc/corp-ca"},
                    {"name": "corp-ca", "mountPath": "/etc/ssl/certs/company.pem", "subPath": "ca.crt"},
                    {"name": "host", "mountPath": "/host/certs"}]}),
            volumes: json!([{"name": "corp-ca", "configMap":
                {"name": "corp-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"name": "host", "hostPath": {"path": "/etc/ssl/certs"}}]),
            env: &[
                "PROXY_PASSWORD",
                "HTTPS_PROXY=http://agents:$(PROXY_PASSWORD)@proxy.example:3128",
                "NODE_EXTRA_CA_CERTS=/etc/corp-ca/ca.crt",
                "SSL_CERT_FILE=/etc/ssl/certs/company.pem",
                "!SSL_CERT_DIR",
            ],
            mounts: &["/etc/corp-ca", "/etc/ssl/certs/company.pem", "!/host/certs"],
            said: &["SSL_CERT_DIR"],
            ..Deployment::default()
        },
        Deployment {
            name: "files by subPath, items, projections, and a folder of the server's own",
            container: json!({"env": [{"name": "NPM_CONFIG_USERCONFIG", "value": "/etc/agents/npmrc"},
                {"name": "PAPERCLIP_CONFIG", "value": "/paperclip/instances/default/config.json"}],
                "volumeMounts": [{"name": "npmrc", "mountPath": "/etc/agents/npmrc", "subPath": "npmrc"},
                    {"name": "npmrc", "mountPath": "/etc/agents/by-name", "subPathExpr": "$(POD_NAME)"},
                    {"name": "all", "mountPath": "/etc/all"},
                    {"name": "logs", "mountPath": "/tmp/prompt"},
                    {"name": "config", "mountPath": "/paperclip/instances/default/config.json",
                        "subPath": "config.json"}]}),
            volumes: json!([{"name": "npmrc", "secret": {"secretName": "npm"}},
                {"name": "all", "projected": {"sources": [token("token"), {"secret": {"name": "keys"}},
                    {"secret": {"name": "paperclip-jwt"}}, {"configMap": {"name": "ca"}}]}},
                {"name": "logs", "configMap": {"name": "x"}},
                {"name": "config", "configMap": {"name": "paperclip"}}]),
            env: &["NPM_CONFIG_USERCONFIG=/etc/agents/npmrc", "!PAPERCLIP_CONFIG"],
            said: &["PAPERCLIP_CONFIG"],
            mounts: &[
                "/etc/agents/npmrc",
                "!/etc/agents/by-name",
                "/etc/all",
                "!/paperclip/instances/default/config.json",
            ],
            ..Deployment::default()
        },
    ]
}

/// Variables that are said twice, that name one another, or that this version of the types does not know.
fn values() -> Vec<Deployment> {
    let config_map = json!({"configMapKeyRef": {"name": "addresses", "key": "api"}});
    vec![
        Deployment {
            name: "a chart whose values are said again further down: the last one counts",
            container: json!({"env": [{"name": "OPENAI_API_KEY", "value": ""}, secret("OPENAI_API_KEY"),
                secret("REGION"), {"name": "REGION", "value": "eu"}]}),
            env: &["OPENAI_API_KEY", "REGION=eu"],
            ..Deployment::default()
        },
        Deployment {
            name: "a source that newer clusters have",
            container: json!({"env": [{"name": "OF_FILE", "valueFrom": {"fileKeyRef":
                {"volumeName": "made", "path": "config.env", "key": "A"}}}, {"name": "PLAIN", "value": "1"},
                {"name": "NAMES_IT", "value": "x-$(OF_FILE)"}],
                "envFrom": [{"prefix": "X_", "inventedRef": {"name": "x"}}]}),
            env: &["!OF_FILE", "!NAMES_IT", "PLAIN=1"],
            said: &["OF_FILE", "NAMES_IT"],
            ..Deployment::default()
        },
        Deployment {
            name: "a literal that names what is withheld of a whole Secret",
            container: json!({"env": [{"name": "CACHE", "value": "https://c:$(REDIS_PASSWORD)@cache"},
                {"name": "TRACKER", "value": "https://c:$(TRACKER_KEY)@tracker"}],
                "envFrom": [{"secretRef": {"name": "paperclip-env"}}]}),
            env: &["!CACHE", "TRACKER=https://c:$(TRACKER_KEY)@tracker"],
            said: &["CACHE"],
            ..Deployment::default()
        },
        Deployment {
            name: "an address from a ConfigMap that others are made of",
            container: json!({"env": [{"name": "PAPERCLIP_RUN_ID", "valueFrom": config_map},
                {"name": "TRACE", "value": "run/$(PAPERCLIP_RUN_ID)"}]}),
            env: &["PAPERCLIP_RUN_ID=r", "TRACE=run/$(PAPERCLIP_RUN_ID)"],
            ..Deployment::default()
        },
        Deployment {
            name: "the server's own configuration in a Secret",
            container: json!({"volumeMounts": [{"name": "settings", "subPath": "config.json",
                "mountPath": "/paperclip/instances/default/config.json"},
                {"name": "settings", "mountPath": "/opencode-db"}]}),
            volumes: json!([{"name": "settings", "secret": {"secretName": "paperclip-settings"}}]),
            mounts: &["!/paperclip/instances/default/config.json", "!/opencode-db"],
            ..Deployment::default()
        },
    ]
}

fn job_of(deployment: &Deployment) -> (Value, Vec<String>) {
    let mut container = deployment.container.clone();
    container["name"] = json!("paperclip");
    container["image"] = json!("paperclip:1");
    let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
    let data = json!({"name": "data", "mountPath": "/paperclip"});
    container["volumeMounts"] = [vec![data], mounts].concat().into();
    let mut volumes = deployment.volumes.as_array().cloned().expect("a list");
    volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": "paperclip-data"}}));
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": [container], "volumes": volumes}}))
    .expect("a pod");
    let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
        "config": deployment.config});
    let request = RenderRequest {
        self_pod: self_pod(&pod).expect("a container"),
        ..RenderRequest::from_json(&request.to_string()).expect("a request")
    };
    let spec = RunSpec::from_request(request).expect("a spec");
    let made = manifest::render(&spec).expect("a manifest");
    let job = serde_json::to_value(made.job).expect("JSON");
    (job["spec"]["template"]["spec"].clone(), made.warnings)
}

#[test]
fn an_agents_pod_has_of_the_servers_what_works_there_and_says_the_rest_once() {
    for deployment in deployments() {
        let name = deployment.name;
        let (pod, warnings) = job_of(&deployment);
        let agent = &pod["containers"][0];
        let entries = agent["env"].as_array().expect("a list");
        for wanted in deployment.env {
            let (key, value) = wanted.split_once('=').unwrap_or((wanted, ""));
            let entry = entries
                .iter()
                .find(|entry| entry["name"] == key.trim_start_matches('!'));
            match entry {
                None => assert!(key.starts_with('!'), "{name}: {key} is missing"),
                Some(entry) if value.is_empty() => assert!(entry["valueFrom"].is_object(), "{name}: {entry}"),
                Some(entry) => assert_eq!(entry["value"], value, "{name}"),
            }
        }
        // What a value names stands before it, or comes with a whole Secret.
        let is_alone = agent["envFrom"].is_null();
        for (at, entry) in entries.iter().enumerate().filter(|_| is_alone) {
            let value = entry["value"].as_str().unwrap_or_default();
            if let Some((_, named)) = value
                .split_once("$(")
                .filter(|(before, _)| !before.ends_with('$'))
            {
                let named = named.split(')').next().expect("a name");
                assert!(
                    entries[..at].iter().any(|entry| entry["name"] == named),
                    "{name}: {entry}"
                );
            }
        }
        let mounts = agent["volumeMounts"].as_array().expect("a list");
        for wanted in deployment.mounts {
            let path = wanted.trim_start_matches('!');
            let is_there = mounts.iter().any(|mount| mount["mountPath"] == path);
            assert_eq!(is_there, !wanted.starts_with('!'), "{name}: {path}");
        }
        let text = pod.to_string();
        assert!(
            !text.contains("serviceAccountToken") && !text.contains("paperclip-jwt"),
            "{name}: {text}"
        );
        let said: Vec<&String> = warnings
            .iter()
            .filter(|text| text.starts_with("Not taken over"))
            .collect();
        assert_eq!(
            said.len(),
            usize::from(!deployment.said.is_empty()),
            "{name}: {warnings:?}"
        );
        for word in deployment.said {
            assert!(said[0].contains(word), "{name}: {word} in {said:?}");
        }
        let volumes = pod["volumes"].as_array().expect("a list");
        for mount in mounts {
            assert!(
                volumes.iter().any(|volume| volume["name"] == mount["name"]),
                "{name}: {mount}"
            );
        }
    }
}
