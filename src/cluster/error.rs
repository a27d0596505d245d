//! Why a request to the API server failed, in a message that says what to do.

use std::time::Duration;

use super::error_chain::chain;

/// A request that failed. The message names verb, object, the API's own reason and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// The API server answered with an error.
    #[error("cannot {verb} {on}: {message} (HTTP {code} {reason}){}", advice(*.code, .message))]
    Api {
        /// What was asked, as RBAC names it.
        verb: &'static str,
        /// The object, as `kind/name` or the plural.
        on: String,
        /// HTTP status.
        code: u16,
        /// Machine-readable reason, such as `NotFound`.
        reason: String,
        /// The API server's own words.
        message: String,
    },
    /// No answer in time.
    #[error("cannot {verb} {on}: the API server did not answer within {} s. Look at its load, and at network policies between it and the \
         Paperclip server", .after.as_secs())]
    Timeout {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// How long the request had waited.
        after: Duration,
    },
    /// The connection failed.
    #[error(
        "cannot {verb} {on}: the API server cannot be reached: {message}. Check its address in the kubeconfig, and the network"
    )]
    Unreachable {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// The chain of causes.
        message: String,
    },
    /// There is no usable configuration of the client.
    #[error("{0}")]
    Config(String),
}

/// What a person can do. The HTTP status decides, and the message where one status has several causes.
fn advice(code: u16, message: &str) -> &'static str {
    match code {
        400 | 403 if message.contains("admission webhook") => {
            ". An admission webhook of the cluster refuses it: change the agent's configuration, or ask whoever runs the webhook"
        }
        403 if message.contains("quota") => {
            ". Free some of the namespace's quota, raise it, or lower the agent's resources"
        }
        403 if message.contains("violates PodSecurity") => {
            ". Allow such pods in the namespace (pod-security.kubernetes.io/enforce)"
        }
        401 => ". The server's credentials are missing or expired: look at its service account or kubeconfig",
        403 => ". Grant this verb in the Role of the server's service account",
        404 if message.contains("namespaces") => {
            ". Create the namespace, or correct `namespace` in the agent's configuration"
        }
        409 => ". An object of that name exists already: delete it if no run needs it",
        400 | 422 => ". Correct the adapter configuration of the agent",
        429 => ". The API server is too busy: try again later",
        500.. => ". The API server or a webhook of the cluster is in trouble: look at its logs",
        _ => "",
    }
}

impl ClusterError {
    /// Translates an error of kube. `verb` and `on` say what was asked: `get`, `pod/x`.
    #[must_use]
    pub fn from_kube(verb: &'static str, on: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Api {
                verb,
                on: on.to_owned(),
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => Self::Unreachable {
                verb,
                on: on.to_owned(),
                message: chain(other),
            },
        }
    }

    /// The HTTP status, if the API server answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The object does not exist: by status, never by text.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The verb is not granted.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The object exists already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api { code, .. } => *code == 429 || *code >= 500,
            Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::Config(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, reason: &str) -> ClusterError {
        let status = kube::core::Status {
            code,
            reason: reason.to_owned(),
            message: "jobs.batch \"x\" is wrong".to_owned(),
            ..Default::default()
        };
        ClusterError::from_kube("create", "job/x", &kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn the_message_has_verb_object_reason_and_advice() {
        let text = api(403, "Forbidden").to_string();
        assert!(
            text.starts_with("cannot create job/x: jobs.batch \"x\" is wrong (HTTP 403 Forbidden). Grant"),
            "{text}"
        );
    }

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
            (401, "Unauthorized", "credentials"),
            (404, "namespaces \"n\" not found", "Create the namespace"),
            (409, "jobs.batch \"x\" already exists", "delete it"),
            (
                422,
                "Job.batch \"x\" is invalid: spec",
                "Correct the adapter configuration",
            ),
            (503, "apiserver is shutting down", "look at its logs"),
        ];
        for (code, message, expected) in cases {
            assert!(advice(code, message).contains(expected), "{code} {message}");
        }
    }

    #[test]
    fn classes_go_by_status() {
        assert!(api(404, "NotFound").is_not_found());
        for code in [429, 500, 503, 504] {
            assert!(api(code, "").is_transient());
        }
        assert!(!api(422, "Invalid").is_transient());
    }
}
