//! Every verb that a run uses, asked with a SelfSubjectAccessReview each.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::{Check, Level, bounded};
use crate::cluster::Cluster;

/// Group, resource, verb, word in the check's code, and whether a run works without it.
const RIGHTS: [(&str, &str, &str, &str, bool); 16] = [
    ("batch", "jobs", "create", "job_create", true),
    ("batch", "jobs", "delete", "job_delete", true),
    ("batch", "jobs", "get", "job_get", true),
    ("batch", "jobs", "list", "job_list", true),
    ("batch", "jobs", "watch", "job_watch", false),
    ("", "pods", "get", "pod_get", false),
    ("", "pods", "list", "pod_list", true),
    ("", "pods", "watch", "pod_watch", false),
    ("", "secrets", "create", "secret_create", true),
    ("", "secrets", "delete", "secret_delete", true),
    ("", "secrets", "get", "secret_get", true),
    ("", "secrets", "patch", "secret_patch", false),
    ("", "persistentvolumeclaims", "get", "pvc_get", true),
    ("", "persistentvolumeclaims", "create", "pvc_create", true),
    ("", "persistentvolumeclaims", "delete", "pvc_delete", false),
    ("batch", "jobs", "patch", "job_patch", false),
];

pub(super) async fn check(cluster: &Cluster, namespace: &str) -> Vec<Check> {
    join_all(RIGHTS.map(|right| ask(cluster, namespace, right))).await
}

async fn ask(cluster: &Cluster, namespace: &str, right: (&str, &str, &str, &str, bool)) -> Check {
    let (group, resource, verb, word, needed) = right;
    let code = format!("k8s_rbac_{word}");
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                verb: Some(verb.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = bounded(
        "create",
        "selfsubjectaccessreview",
        api.create(&PostParams::default(), &review),
    )
    .await;
    match answer.map(|review| review.status.is_some_and(|status| status.allowed)) {
        Ok(true) => Check::new(Level::Info, &code, format!("may {verb} {resource}"), None),
        Ok(false) if needed => {
            let hint = format!(
                "Grant `{verb}` on `{resource}` in namespace {namespace} to the server's service account"
            );
            Check::new(
                Level::Error,
                &code,
                format!("may not {verb} {resource}"),
                Some(&hint),
            )
        }
        Ok(false) => {
            let message =
                format!("may not {verb} {resource}: a run works without it, in a slower or plainer way");
            Check::new(Level::Warn, &code, message, None)
        }
        Err(error) => Check::new(Level::Warn, &code, error.to_string(), None),
    }
}
