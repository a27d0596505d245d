//! Checks every verb that a run uses by a SelfSubjectAccessReview. `deploy/rbac.yaml` grants them.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::commands::Commands;
use super::{Check, Level, bounded};
use crate::cluster::Cluster;

/// What a run does when the verb is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    /// It fails.
    Fails,
    /// It lists every two seconds instead of watching.
    Polls,
    /// It finds the server's own pod in a list.
    Lists,
    /// It cannot say in the cluster's words what refuses a pod.
    Guesses,
    /// The same, but this test cannot try an agent's pod.
    Untested,
    /// The same, but this test does not see whether a ConfigMap is missing.
    Unseen,
    /// The same, but the page of costs does not show what is used of the namespace's quotas.
    Unshown,
    /// The same: only the TypeScript adapter used this verb.
    IsTheSame,
}

/// Group, resource, verb, end of the check's code, and what a run does without it.
const RIGHTS: [(&str, &str, &str, &str, Without); 19] = [
    ("batch", "jobs", "create", "job_create", Without::Fails),
    ("batch", "jobs", "delete", "job_delete", Without::Fails),
    ("batch", "jobs", "get", "job_get", Without::Fails),
    ("batch", "jobs", "list", "job_list", Without::Fails),
    ("batch", "jobs", "watch", "job_watch", Without::Polls),
    ("", "pods", "get", "pod_get", Without::Lists),
    ("", "pods", "list", "pod_list", Without::Fails),
    ("", "pods", "watch", "pod_watch", Without::Polls),
    ("", "pods", "create", "pod_create", Without::Untested),
    ("", "events", "list", "event_list", Without::Guesses),
    ("", "resourcequotas", "list", "quota_list", Without::Unshown),
    ("", "configmaps", "get", "configmap_get", Without::Unseen),
    ("", "secrets", "create", "secret_create", Without::Fails),
    ("", "secrets", "delete", "secret_delete", Without::Fails),
    ("", "secrets", "get", "secret_get", Without::Fails),
    ("", "secrets", "patch", "secret_patch", Without::IsTheSame),
    ("", "persistentvolumeclaims", "get", "pvc_get", Without::Fails),
    (
        "",
        "persistentvolumeclaims",
        "create",
        "pvc_create",
        Without::Fails,
    ),
    (
        "",
        "persistentvolumeclaims",
        "delete",
        "pvc_delete",
        Without::IsTheSame,
    ),
];

/// `namespace` is that of the Jobs, `own` the server's.
pub(super) async fn check(cluster: &Cluster, namespace: &str, own: &str, commands: &Commands) -> Vec<Check> {
    let grants = [namespace, own].map(|namespace| commands.grant(namespace));
    let asked = RIGHTS.map(|right| match is_used_in_own(right.4) {
        true => ask(cluster, own, right, &grants[1]),
        false => ask(cluster, namespace, right, &grants[0]),
    });
    join_all(asked).await
}

/// Whether everything is refused that a run cannot be without.
pub(super) fn nothing_is_granted(checks: &[Check]) -> bool {
    let mut needed = RIGHTS.iter().filter(|right| right.4 == Without::Fails);
    needed.all(|right| {
        let code = code_of(right.3);
        checks
            .iter()
            .any(|check| check.code == code && check.level == Level::Error)
    })
}

fn code_of(word: &str) -> String {
    format!("k8s_rbac_{word}")
}

/// Whether the right is used in the server's namespace, wherever the Jobs are: the page of costs shows its quotas.
fn is_used_in_own(without: Without) -> bool {
    without == Without::Unshown
}

async fn ask(
    cluster: &Cluster,
    namespace: &str,
    right: (&str, &str, &str, &str, Without),
    command: &str,
) -> Check {
    let (group, resource, verb, word, without) = right;
    let code = code_of(word);
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
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client());
    let answer = bounded(
        "create",
        "selfsubjectaccessreview",
        api.create(&PostParams::default(), &review),
    )
    .await;
    let grant = format!(
        "Grant `{verb}` on `{resource}` in namespace {namespace} to the server's service account, which that file \
         names paperclip: {command}"
    );
    let refused = |level, message: String| Check::new(level, &code, message, Some(&grant));
    let unneeded = |so: &str| {
        refused(
            Level::Info,
            format!("The server may not {verb} {resource}: {so}."),
        )
    };
    match answer.map(|review| review.status.is_some_and(|status| status.allowed)) {
        Ok(true) => Check::new(
            Level::Info,
            &code,
            format!("The server may {verb} {resource}."),
            None,
        ),
        Ok(false) => match without {
            Without::Fails => refused(Level::Error, format!("The server may not {verb} {resource}.")),
            Without::Polls => refused(
                Level::Warn,
                format!("The server may not {verb} {resource}: it lists them every 2 s, which is slower."),
            ),
            Without::Lists => refused(
                Level::Warn,
                format!("The server may not {verb} {resource}: it looks for its own pod in their list."),
            ),
            Without::Guesses => unneeded("what refuses a pod is not told in the cluster's words"),
            Without::Untested => unneeded("runs do not need it, and this test tries no pod"),
            Without::Unseen => unneeded("runs do not need it, and this test does not see which are missing"),
            Without::Unshown => unneeded("runs do not need it, and what is used of them is not shown"),
            Without::IsTheSame => {
                let message = format!("The right to {verb} {resource} is not used.");
                Check::new(Level::Info, &code, message, None)
            }
        },
        Err(error) => {
            let message = format!("Nobody said whether the server may {verb} {resource}: {error}");
            let hint = "A run tries it anyway. Run the test again when the API server is well.";
            Check::new(Level::Warn, &code, message, Some(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_where_the_server_is_and_all_else_where_jobs_are() {
        let in_own = RIGHTS.iter().filter(|right| is_used_in_own(right.4));
        assert_eq!(in_own.map(|right| right.3).collect::<Vec<_>>(), ["quota_list"]);
    }

    #[test]
    fn one_right_that_a_run_needs_is_more_than_nothing() {
        let refused = |word: &str| Check::new(Level::Error, &code_of(word), "X.", None);
        let needed = RIGHTS.iter().filter(|right| right.4 == Without::Fails);
        let mut checks: Vec<Check> = needed.map(|right| refused(right.3)).collect();
        assert!(nothing_is_granted(&checks));
        // Nobody said it of this one.
        checks[0].level = Level::Warn;
        assert!(!nothing_is_granted(&checks) && !nothing_is_granted(&[]));
    }
}
