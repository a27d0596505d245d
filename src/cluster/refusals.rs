//! Who refuses a request, told from the status and the API server's words: what is wrong in words that fit a list, and
//! what a person can do. Pure.

use std::borrow::Cow;

pub(super) const NOT_GRANTED: &str = "Not granted to the server";
pub(super) const CREDENTIALS_REFUSED: &str = "Credentials refused";
pub(super) const TOO_LARGE: &str = "Request too large";
/// Somebody else changes the object, or a quota, in the same moment; or one of its name is still being removed; or the
/// quota is so new that nobody knows what is used of it.
pub(super) const CONTENDED: [&str; 3] = [
    "Changed by others meanwhile",
    "Still being deleted",
    "Quota not counted yet",
];
/// How much of a policy's name is shown in front.
const POLICY_CHARS: usize = 19;

/// Who refuses by which words. The first row that fits decides; `None` fits every status.
const REFUSALS: [(Option<u16>, &str, &str, &str); 23] = [
    (
        None,
        "admission webhook",
        "Refused by a webhook",
        ". A webhook of the cluster refuses it: change the agent's configuration, or ask whoever runs the webhook",
    ),
    (
        Some(403),
        "status unknown for quota",
        CONTENDED[2],
        ". The namespace's quota is new, and the cluster has not counted what is used of it: try again later",
    ),
    (
        Some(403),
        "failed quota",
        "Quota wants a limit",
        ". The namespace's quota counts a resource that the pod does not state: set it on the agent's page, for the init \
         container as well, or give the namespace defaults by a LimitRange",
    ),
    (
        Some(403),
        "insufficient quota to match",
        "No quota for this priority",
        ". Change *Priority class* on the agent's page, or give the namespace a quota with this scope",
    ),
    (
        Some(403),
        "quota",
        "Quota exceeded",
        ". Free some of the namespace's quota, raise it, or lower the agent's resources",
    ),
    (
        Some(403),
        "violates PodSecurity",
        "Refused by Pod Security",
        ". Allow such pods in the namespace (pod-security.kubernetes.io/enforce)",
    ),
    (
        Some(403),
        "being terminated",
        "Namespace is being deleted",
        ". Wait until it is gone and create it again, or correct `namespace` in the agent's configuration",
    ),
    (
        Some(403),
        " usage per ",
        "Refused by a LimitRange",
        ". Set the agent's resources within the limits of the namespace's LimitRange",
    ),
    (
        Some(403),
        " max limit to request ratio per ",
        "Refused by a LimitRange",
        ". Set the agent's resources within the limits of the namespace's LimitRange",
    ),
    (
        Some(403),
        "looking up service account",
        "Service account not found",
        ". Create it, or correct `serviceAccountName` in the agent's configuration",
    ),
    (
        Some(403),
        "PriorityClass",
        "Priority class not found",
        ". Create it, or correct `priorityClassName` in the agent's configuration",
    ),
    (
        Some(403),
        "RuntimeClass",
        "Runtime class not found",
        ". Create it, or correct `runtimeClassName` in the agent's configuration",
    ),
    (
        Some(403),
        " cannot ",
        NOT_GRANTED,
        ". Grant this verb in the Role of the server's service account",
    ),
    (
        Some(403),
        "",
        "Refused by the cluster",
        ". A policy of the cluster refuses it: change the agent's configuration, or ask whoever runs the cluster",
    ),
    (
        Some(401),
        "",
        CREDENTIALS_REFUSED,
        ". The server's credentials are missing or expired: look at its service account or kubeconfig",
    ),
    (
        Some(404),
        "namespaces",
        "Namespace not found",
        ". Create the namespace, or correct `namespace` in the agent's configuration",
    ),
    (Some(404), "", "Not found", ""),
    (
        Some(409),
        "has been modified",
        CONTENDED[0],
        ". Others change the same object, or the namespace's quota, all the time: try again later",
    ),
    (
        Some(409),
        "is being deleted",
        CONTENDED[1],
        ". Something holds an object of that name, such as a finalizer: look at what is to remove it",
    ),
    (
        Some(409),
        "",
        "Exists already",
        ". An object of that name exists already: delete it if no run needs it",
    ),
    (
        Some(429),
        "",
        "API server too busy",
        ". The API server is too busy: try again later",
    ),
    (
        Some(400),
        "",
        "Refused as invalid",
        ". Correct the adapter configuration of the agent",
    ),
    (
        Some(422),
        "",
        "Refused as invalid",
        ". Correct the adapter configuration of the agent",
    ),
];

/// What is wrong, in at most 30 characters, and what a person can do. A policy's own words win over the status: it may
/// answer with any.
pub(super) fn refusal(code: u16, message: &str) -> (Cow<'static, str>, &'static str) {
    if let Some(policy) = policy(message) {
        let named: String = policy.chars().take(POLICY_CHARS).collect();
        return (
            Cow::Owned(format!("Refused by {named}")),
            ". A policy of the cluster refuses it: change the agent's configuration, or ask whoever runs the policy",
        );
    }
    if code == 413 || message.contains("request is too large") {
        return (
            Cow::Borrowed(TOO_LARGE),
            ". The API server takes no Job of this size: shorten the prompt, or the agent's `env`",
        );
    }
    let row = REFUSALS
        .iter()
        .find(|(status, words, ..)| status.is_none_or(|status| status == code) && message.contains(words));
    match row {
        Some((_, _, what, advice)) => (Cow::Borrowed(what), advice),
        None if code >= 500 => (
            Cow::Borrowed("API server in trouble"),
            ". The API server or a webhook of the cluster is in trouble: look at its logs",
        ),
        None => (Cow::Borrowed("Request refused"), ""),
    }
}

/// The name of the ValidatingAdmissionPolicy that refuses.
fn policy(message: &str) -> Option<&str> {
    let (_, named) = message.split_once("ValidatingAdmissionPolicy '")?;
    Some(named.split_once('\'')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        let cases = [
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1",
                "quota, raise it",
            ),
            (
                403,
                "jobs.batch \"x\" is forbidden: status unknown for quota: q, resources: count/jobs.batch",
                "try again later",
            ),
            (
                403,
                "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: opencode",
                "set it on the agent's page",
            ),
            (
                403,
                "pods \"x\" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [high]}]",
                "*Priority class*",
            ),
            (
                403,
                "pods \"x\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
                "LimitRange",
            ),
            (
                403,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted\"",
                "Allow such pods",
            ),
            (
                403,
                "User \"u\" cannot create resource \"jobs\"",
                "Grant this verb",
            ),
            (
                400,
                "admission webhook \"w\" denied the request: no",
                "whoever runs the webhook",
            ),
            (
                422,
                "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'no-agents-on-sundays-please' with binding 'b' denied \
                 request: failed expression: false",
                "whoever runs the policy",
            ),
            (
                403,
                "unable to create new content in namespace n because it is being terminated",
                "Wait until",
            ),
            (
                403,
                "pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
                "LimitRange",
            ),
            (
                413,
                "Request entity too large: limit is 3145728",
                "shorten the prompt",
            ),
            (500, "etcdserver: request is too large", "shorten the prompt"),
            (401, "Unauthorized", "credentials"),
            (404, "namespaces \"n\" not found", "Create the namespace"),
            (409, "jobs.batch \"x\" already exists", "delete it"),
            (
                409,
                "resourcequotas \"q\": the object has been modified; please apply your changes",
                "try again later",
            ),
            (
                409,
                "object is being deleted: jobs.batch \"x\" already exists",
                "finalizer",
            ),
            (
                422,
                "Job.batch \"x\" is invalid: spec",
                "Correct the adapter configuration",
            ),
            (503, "apiserver is shutting down", "look at its logs"),
        ];
        for (code, message, expected) in cases {
            let (what, advice) = refusal(code, message);
            assert!(advice.contains(expected), "{code} {message}: {advice}");
            assert!(what.chars().count() <= 30, "{what}");
            let names_role = advice.contains("Role");
            assert_eq!(
                names_role,
                message.contains("cannot"),
                "only a verb is granted by a Role: {message}"
            );
        }
    }
}
