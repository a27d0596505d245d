//! A request to the API server, as it is counted: by words that RBAC has, whatever names its path holds.

use super::{families, note};

/// Resources that the adapter asks for; any other path is `other`.
const RESOURCES: [&str; 16] = [
    "configmaps",
    "events",
    "jobs",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "priorityclasses",
    "resourcequotas",
    "runtimeclasses",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "serviceaccounts",
];

/// A request that is under way. Counted once: with its answer, or as `unanswered` when it was given up.
#[derive(Debug)]
pub struct RequestCount {
    verb: &'static str,
    resource: &'static str,
    is_counted: bool,
}

impl RequestCount {
    /// By its method, path and query.
    #[must_use]
    pub fn of(method: &str, path: &str, query: &str) -> Self {
        let (resource, has_name) = resource(path);
        let is_watch = query
            .split('&')
            .any(|part| part == "watch=true" || part == "watch=1");
        let verb = match (method, has_name) {
            ("GET", false) if is_watch => "watch",
            ("GET", false) => "list",
            ("GET", true) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "other",
        };
        Self {
            verb,
            resource,
            is_counted: false,
        }
    }

    /// The API server, or what stands before it, answered with this status.
    pub fn answered(self, status: u16) {
        let text = status.to_string();
        self.ended(if (100..600).contains(&status) {
            &text
        } else {
            "other"
        });
    }

    /// There was no answer, for this reason.
    pub fn failed(self, why: &'static str) {
        self.ended(why);
    }

    fn ended(mut self, code: &str) {
        self.is_counted = true;
        note(|metrics| families::count(&metrics.families.requests, [self.verb, self.resource, code]));
    }
}

impl Drop for RequestCount {
    fn drop(&mut self) {
        if !self.is_counted {
            let labels = [self.verb, self.resource, "unanswered"];
            note(|metrics| families::count(&metrics.families.requests, labels));
        }
    }
}

/// The resource of a path, and whether it names one object of it.
fn resource(path: &str) -> (&'static str, bool) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let versions = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return ("other", false),
    };
    let mut parts = parts.skip(versions).peekable();
    let mut found = parts.next();
    let mut name = parts.next();
    if found == Some("namespaces") && parts.peek().is_some() {
        found = parts.next();
        name = parts.next();
    }
    let known = RESOURCES.iter().find(|known| found == Some(**known));
    (known.copied().unwrap_or("other"), name.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_the_words_of_rbac() {
        let counted = |method: &str, path: &str, query: &str| {
            let mut count = RequestCount::of(method, path, query);
            count.is_counted = true;
            (count.verb, count.resource)
        };
        let jobs = "/apis/batch/v1/namespaces/ns/jobs";
        assert_eq!(counted("GET", jobs, "limit=500"), ("list", "jobs"));
        assert_eq!(counted("GET", jobs, "a=b&watch=true"), ("watch", "jobs"));
        assert_eq!(counted("POST", jobs, ""), ("create", "jobs"));
        assert_eq!(
            counted("DELETE", &format!("{jobs}/agent-1"), ""),
            ("delete", "jobs")
        );
        assert_eq!(counted("GET", "/api/v1/namespaces/ns", ""), ("get", "namespaces"));
        assert_eq!(
            counted("GET", "/api/v1/namespaces/ns/pods/p", ""),
            ("get", "pods")
        );
        assert_eq!(
            counted(
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                ""
            ),
            ("create", "selfsubjectaccessreviews")
        );
        assert_eq!(
            counted("GET", "/api/v1/namespaces/ns/secret-of-mine", "").1,
            "other"
        );
        assert_eq!(counted("BREW", "/version", ""), ("other", "other"));
    }
}
