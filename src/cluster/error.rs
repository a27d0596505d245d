//! Why a request to the API server failed, in a message that says what to do.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::{NoApiServer, foreign, shown};
use super::credentials::NoCredentials;
use super::error_chain::chain;
use super::no_connection::NoConnection;
use super::refusals::{CONTENDED, CREDENTIALS_REFUSED, NOT_GRANTED, TOO_LARGE, command, refusal};

/// A request that failed. The message begins with the reason, in words that fit a list; then come verb, object, the
/// API's own words and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// The API server answered with an error.
    #[error("{}: cannot {verb} {on}: {message} (HTTP {code} {reason}){}", refusal(*.code, .message).0, refusal(*.code, .message).1)]
    Api {
        /// What was asked, as RBAC names it.
        verb: &'static str,
        /// The object, as `kind/name` or the plural.
        on: String,
        /// HTTP status.
        code: u16,
        /// Machine-readable reason, such as `NotFound`.
        reason: String,
        /// The API server's own words: one line of at most 500 characters.
        message: String,
    },
    /// No answer in time.
    #[error("API server is silent: cannot {verb} {on}: the API server did not answer within {} s. Look at its load, and at network \
         policies between it and the Paperclip server", .after.as_secs())]
    Timeout {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// How long the request had waited.
        after: Duration,
    },
    /// The connection failed.
    #[error("{}: cannot {verb} {on}: {message}. {}", .why.class(), .why.advice())]
    Unreachable {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// The chain of causes.
        message: String,
        /// What kind of failure it was.
        why: NoConnection,
    },
    /// Something else answered.
    #[error(
        "Not the API server's answer: cannot {verb} {on}: {message}. A login page or a proxy stands before the API \
         server: check the address in the kubeconfig, and its `proxy-url`"
    )]
    Foreign {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// What was answered.
        message: String,
    },
    /// The request was not sent: its credentials could not be had.
    #[error("No credentials: cannot {verb} {on}: {message}")]
    Credentials {
        /// What was asked.
        verb: &'static str,
        /// The object.
        on: String,
        /// Why there are none.
        message: String,
    },
    /// There is no usable configuration of the client.
    #[error("{0}")]
    Config(String),
}

impl ClusterError {
    /// Translates an error of kube. `verb` and `on` say what was asked: `get`, `pod/x`.
    #[must_use]
    pub fn from_kube(verb: &'static str, on: &str, error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error
            && let Some(message) = foreign(status)
        {
            return Self::Foreign {
                verb,
                on: on.to_owned(),
                message,
            };
        }
        match error {
            kube::Error::Api(status) => Self::Api {
                verb,
                on: on.to_owned(),
                code: status.code,
                reason: shown(&status.reason),
                message: shown(&status.message),
            },
            kube::Error::Service(error) if error.is::<NoCredentials>() => Self::Credentials {
                verb,
                on: on.to_owned(),
                message: error.to_string(),
            },
            kube::Error::Service(error) if error.is::<NoApiServer>() => Self::Foreign {
                verb,
                on: on.to_owned(),
                message: error.to_string(),
            },
            other => Self::Unreachable {
                verb,
                on: on.to_owned(),
                message: shown(&chain(other)),
                why: NoConnection::of(other),
            },
        }
    }

    /// What is wrong, in words that fit a list: no text of others in it but a policy's name.
    #[must_use]
    pub fn class(&self) -> Cow<'static, str> {
        match self {
            Self::Api { code, message, .. } => refusal(*code, message).0,
            Self::Timeout { .. } => "API server is silent".into(),
            Self::Unreachable { why, .. } => why.class().into(),
            Self::Foreign { .. } => "Not the API server's answer".into(),
            Self::Credentials { .. } => "No credentials".into(),
            Self::Config(_) => "No usable configuration".into(),
        }
    }

    /// A command to paste that mends what refused an object of this namespace, or shows what is to be mended, behind
    /// words that say which; nothing where no command does.
    #[must_use]
    pub fn command(&self, namespace: &str) -> Option<String> {
        match self {
            Self::Api { code, message, .. } => command(*code, message, namespace),
            _ => None,
        }
    }

    /// This error, written to the server's log by its class: the words of others may hold anything. That something is
    /// gone, or there already, is an answer like another.
    pub(super) fn logged(self, verb: &'static str, on: &str) -> Self {
        let (class, code) = (self.class(), self.code());
        if self.is_not_found() || self.is_conflict() {
            tracing::debug!(verb, on, %class, code, "API request failed");
        } else {
            tracing::info!(verb, on, %class, code, "API request failed");
        }
        self
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

    /// The server's credentials are refused: they may be renewed.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.class() == CREDENTIALS_REFUSED
    }

    /// The object exists already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_transient()
    }

    /// Whether the server's credentials or rights are refused, as an API server does as well while it starts and knows
    /// no Role yet. What a policy or a quota refuses is none of these.
    #[must_use]
    pub fn may_be_unready(&self) -> bool {
        match self {
            Self::Api { code, message, .. } => {
                let (what, _) = refusal(*code, message);
                what == NOT_GRANTED || what == CREDENTIALS_REFUSED
            }
            _ => false,
        }
    }

    /// The verb is not granted: a Role, and no policy, refuses it.
    #[must_use]
    pub fn is_not_granted(&self) -> bool {
        self.is_forbidden() && self.may_be_unready()
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api { code, message, .. } => {
                let what = refusal(*code, message).0;
                *code == 429 || (*code >= 500 && what != TOO_LARGE) || CONTENDED.contains(&&*what)
            }
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Foreign { .. }
            | Self::Credentials { .. } => true,
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
            text.starts_with(
                "Refused by the cluster: cannot create job/x: jobs.batch \"x\" is wrong (HTTP 403 Forbidden). A policy"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_page_or_a_redirect_is_no_answer_of_the_api_server() {
        let page = "<html><head><title>502 Bad Gateway</title></head>\n".to_owned() + &"x".repeat(26_000);
        let status = kube::core::Status::failure(&page, "Failed to parse error data").with_code(502);
        let text = ClusterError::from_kube("list", "jobs", &kube::Error::Api(Box::new(status))).to_string();
        assert!(text.contains("502 Bad Gateway") && text.len() < 400, "{text}");
        assert!(text.starts_with("API server in trouble: "), "{text}");
    }

    #[test]
    fn a_proxys_page_is_no_word_of_the_cluster() {
        let refused = |code, message: &str| {
            let status = kube::core::Status::failure(message, "Failed to parse error data").with_code(code);
            ClusterError::from_kube("list", "jobs", &kube::Error::Api(Box::new(status)))
        };
        for (code, message) in [
            (403, "<html><head><title>Access Denied</title></head></html>"),
            (403, "Blocked by the company's policy"),
            (407, "Proxy authentication required"),
            (404, "<!DOCTYPE html>\n<html></html>"),
        ] {
            let error = refused(code, message);
            let text = error.to_string();
            assert!(
                text.starts_with("Not the API server's answer: cannot list jobs: HTTP "),
                "{text}"
            );
            assert!(
                text.contains("proxy") && !text.contains("Role") && !text.contains("policy of"),
                "{text}"
            );
            assert!(!error.is_forbidden() && !error.is_not_found() && error.is_transient());
        }
        assert!(
            refused(403, "<html><title>Access Denied</title>")
                .to_string()
                .contains("HTTP 403 with a web page, \"Access Denied\"")
        );
        assert!(
            refused(404, "404 page not found").is_not_found(),
            "an API server without that API"
        );
        assert_eq!(refused(429, "Too many requests").class(), "API server too busy");
    }

    #[test]
    fn rights_that_an_api_server_may_not_know_yet_are_not_a_policys_word() {
        let unready = |code, message: &str| {
            let status = kube::core::Status {
                code,
                message: message.to_owned(),
                ..Default::default()
            };
            ClusterError::from_kube("create", "job/x", &kube::Error::Api(Box::new(status))).may_be_unready()
        };
        assert!(unready(
            403,
            "jobs.batch is forbidden: User \"u\" cannot create resource \"jobs\""
        ));
        assert!(unready(401, "Unauthorized"));
        assert!(!unready(403, "pods \"x\" is forbidden: exceeded quota: q"));
        assert!(!unready(
            401,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: who are you"
        ));
        assert!(!unready(404, "Not found"));
    }

    #[test]
    fn a_quota_that_is_not_counted_yet_refuses_for_a_moment_only() {
        let refused = |message: &str| {
            let status = kube::core::Status {
                code: 403,
                message: message.to_owned(),
                ..Default::default()
            };
            ClusterError::from_kube("create", "job/x", &kube::Error::Api(Box::new(status)))
        };
        assert!(refused("jobs.batch \"x\" is forbidden: status unknown for quota: q").is_transient());
        assert!(!refused("jobs.batch \"x\" is forbidden: exceeded quota: q").is_transient());
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
