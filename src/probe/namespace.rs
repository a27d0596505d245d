//! The namespace of the Jobs. Where it is missing, or nothing is granted in it, one result says so: every other check
//! would only repeat it.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::commands::Commands;
use super::{Check, Level, bounded, rights};
use crate::cluster::{Cluster, ClusterError};

/// What the API server says of it.
pub(super) async fn ask(cluster: &Cluster, name: &str) -> Result<(), ClusterError> {
    let api: Api<Namespace> = Api::all(cluster.client());
    bounded("get", &format!("namespace/{name}"), api.get_metadata(name))
        .await
        .map(drop)
}

/// The only result about a namespace in which no run can be; `own` is the server's. An API server that does not let the
/// server see it gives the same answers for one that is missing and one in which nothing is granted.
pub(super) fn unusable(
    answer: &Result<(), ClusterError>,
    rights: &[Check],
    name: &str,
    own: &str,
    commands: &Commands,
) -> Option<Check> {
    let error = answer.as_ref().err()?;
    let is_missing = error.is_not_found();
    if !is_missing && !rights::nothing_is_granted(rights) {
        return None;
    }
    let grant = commands.grant(name);
    let message = match (is_missing, name == own) {
        (true, _) => format!("There is no namespace {name}, in which Jobs are to run."),
        (false, true) => format!("Nothing is granted to the server in its namespace {name}."),
        (false, false) => {
            format!("Nothing is granted to the server in namespace {name}, or there is no such namespace.")
        }
    };
    let hint = match name == own {
        true => format!(
            "Apply the package's Role, and give the server the account that it names, paperclip: {grant} && {}",
            commands.use_account()
        ),
        false => format!(
            "Correct `namespace` on the agent's page, or make it and grant the Role there: kubectl create namespace \
             {name} --dry-run=client -o yaml | kubectl apply -f - && {grant}"
        ),
    };
    Some(Check::new(
        Level::Error,
        "k8s_namespace_check_failed",
        message,
        Some(&hint),
    ))
}

/// The result about a namespace in which runs can be.
pub(super) fn check(answer: Result<(), ClusterError>, name: &str, commands: &Commands) -> Check {
    match answer {
        Ok(()) => {
            let message = format!("Namespace {name} exists.");
            Check::new(Level::Info, "k8s_namespace_exists", message, None)
        }
        Err(error) => {
            let hint = match error.is_not_granted() {
                true => format!(
                    "Runs work without this right; files of Jobs that are gone are not swept. Grant `get namespaces`: {}",
                    commands.grant(name)
                ),
                false => format!("Run the test again, or look at it: kubectl -n {name} get namespace {name}"),
            };
            let message = format!("Namespace {name} cannot be read: {error}");
            Check::new(Level::Warn, "k8s_namespace_check_failed", message, Some(&hint))
        }
    }
}
