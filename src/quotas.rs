//! What is used of the ResourceQuotas of the server's namespace, as the host's page of costs shows quotas of providers.
//! The right to list them is optional: without it the answer says so.

use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::ClusterError;
use crate::cluster::verbs::call;
use crate::config::quantity;
use crate::run::request::Environment;
use crate::run::server::Server;

/// How long all of it may take: the host waits 20 s for the quotas of all adapters.
const LIMIT: Duration = Duration::from_secs(10);
/// Most quotas of a namespace that are read, and most lines that are shown.
const MOST_QUOTAS: u32 = 20;
const MOST_WINDOWS: usize = 50;

/// The request, as the shim sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaRequest {
    environment: Environment,
}

/// One limit of a quota, in the host's words for those of a provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The limited resource.
    label: String,
    /// How much of it is used; none where a quantity cannot be read.
    used_percent: Option<f64>,
    /// Never: a quota has no end.
    resets_at: Option<String>,
    /// Used and allowed, as Kubernetes writes them.
    value_label: String,
    /// The quota's name.
    detail: String,
}

/// The windows, or in a sentence why there are none.
pub type Quotas = Result<Vec<Window>, String>;

/// Reads the quotas of the namespace in which the server is.
pub async fn read(server: &Server, text: &str) -> Quotas {
    let request: QuotaRequest =
        serde_json::from_str(text).map_err(|error| format!("Quotas not read: it is no request: {error}"))?;
    let asked = timeout(LIMIT, list(server, &request.environment)).await;
    match asked {
        Ok(Ok(quotas)) => Ok(windows(&quotas)),
        Ok(Err(error)) if error.is_forbidden() => Err(format!(
            "Quotas not granted: {error}. Give the server `list` on resourcequotas, as deploy/rbac.yaml does. Runs do \
             not need it"
        )),
        Ok(Err(error)) => Err(format!("Quotas not read: {error}")),
        Err(_) => Err(format!(
            "Quotas not read: the API server did not answer within {} s",
            LIMIT.as_secs()
        )),
    }
}

async fn list(server: &Server, environment: &Environment) -> Result<Vec<ResourceQuota>, ClusterError> {
    let cluster = server.connect.to(environment.access(None, None)).await?;
    let own = environment.namespace.as_deref().filter(|name| !name.is_empty());
    let namespace = own.unwrap_or(&cluster.default_namespace);
    let api: Api<ResourceQuota> = Api::namespaced(cluster.client(), namespace);
    let on = format!("resourcequotas of namespace {namespace}");
    let few = ListParams::default().limit(MOST_QUOTAS);
    Ok(call("list", &on, api.list(&few)).await?.items)
}

/// One window for each limit, by quota and resource. Pure.
fn windows(quotas: &[ResourceQuota]) -> Vec<Window> {
    let limits = quotas.iter().flat_map(|quota| {
        let status = quota.status.iter();
        let name = quota.metadata.name.as_deref().unwrap_or_default();
        status.flat_map(move |status| {
            let hard = status.hard.iter().flatten();
            hard.map(move |(resource, hard)| {
                let used = status.used.as_ref().and_then(|used| used.get(resource));
                let used = used.map_or("0", |used| used.0.as_str());
                window(name, resource, used, &hard.0)
            })
        })
    });
    limits.take(MOST_WINDOWS).collect()
}

fn window(quota: &str, resource: &str, used: &str, hard: &str) -> Window {
    let used_percent = match (quantity(used), quantity(hard)) {
        (Some(_), Some(0.0)) => Some(100.0),
        (Some(used), Some(hard)) => Some((used / hard * 100.0).clamp(0.0, 100.0).round()),
        _ => None,
    };
    Window {
        label: resource.to_owned(),
        used_percent,
        resets_at: None,
        value_label: format!("{used} of {hard}"),
        detail: format!("ResourceQuota {quota}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_limit_is_a_window_with_what_is_used_of_it() {
        let quota = |name: &str, status: serde_json::Value| -> ResourceQuota {
            serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).expect("a quota")
        };
        let quotas = [
            quota(
                "agents",
                json!({"hard": {"pods": "50", "requests.cpu": "2", "requests.memory": "4Gi", "x": "?"},
                    "used": {"pods": "60", "requests.cpu": "500m", "requests.memory": "1Gi", "x": "1"}}),
            ),
            quota("none", json!({"hard": {"count/jobs.batch": "0"}})),
            quota("new", json!({})),
        ];
        let shown: Vec<(String, Option<f64>, String, String)> = windows(&quotas)
            .into_iter()
            .map(|window| {
                (
                    window.label,
                    window.used_percent,
                    window.value_label,
                    window.detail,
                )
            })
            .collect();
        let row = |label: &str, percent, value: &str, quota: &str| {
            let detail = format!("ResourceQuota {quota}");
            (label.to_owned(), percent, value.to_owned(), detail)
        };
        assert_eq!(
            shown,
            [
                row("pods", Some(100.0), "60 of 50", "agents"),
                row("requests.cpu", Some(25.0), "500m of 2", "agents"),
                row("requests.memory", Some(25.0), "1Gi of 4Gi", "agents"),
                row("x", None, "1 of ?", "agents"),
                row("count/jobs.batch", Some(100.0), "0 of 0", "none"),
            ]
        );
    }
}
