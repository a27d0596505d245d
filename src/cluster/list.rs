//! Lists, page by page.

use std::fmt::Debug;

use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use super::ClusterError;
use super::verbs::call;

/// Objects in one answer: the API server and this one hold a whole answer in memory, of which a Job is 100 KiB.
const PAGE: u32 = 100;
/// After so many pages the rest comes in one answer: no list goes on for ever.
const MAX_PAGES: usize = 1_000;

/// All objects with these labels, and the version of the list; each page as [`call`]. `keep` takes what is needed of
/// each.
///
/// # Errors
/// What the API server answered.
pub(super) async fn list_all<K: Clone + DeserializeOwned + Debug>(
    api: &Api<K>,
    what: &str,
    labels: &str,
    keep: fn(K) -> K,
) -> Result<(Vec<K>, String), ClusterError> {
    let unpaged = ListParams::default().labels(labels);
    let mut params = unpaged.clone().limit(PAGE);
    let (mut all, mut pages, mut is_expired) = (Vec::new(), 0, false);
    loop {
        let list = match call("list", what, api.list(&params)).await {
            // The API server does not remember the list any more whose pages these are, or another one of its cluster
            // cannot read the token: all comes in one answer.
            Err(error)
                if !is_expired && (error.code() == Some(410) || pages > 0 && error.code() == Some(400)) =>
            {
                is_expired = true;
                all.clear();
                params = unpaged.clone();
                continue;
            }
            list => list?,
        };
        let version = list
            .metadata
            .resource_version
            .filter(|version| !version.is_empty());
        let Some(version) = version else {
            // Every API server gives one. What a gateway has made up must not pass for a namespace without Jobs.
            return Err(ClusterError::Foreign {
                verb: "list",
                on: what.to_owned(),
                message: "a list without a version".to_owned(),
            });
        };
        all.extend(list.items.into_iter().map(keep));
        let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) else {
            return Ok((all, version));
        };
        pages += 1;
        if pages > MAX_PAGES {
            return Err(ClusterError::Foreign {
                verb: "list",
                on: what.to_owned(),
                message: format!("the list has no end after {pages} pages"),
            });
        }
        params = params.continue_token(&token);
        if pages == MAX_PAGES {
            params.limit = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use k8s_openapi::api::batch::v1::Job;
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_page_that_can_be_read_no_more_is_asked_for_with_all_others() {
        for code in [400, 410] {
            let client = Client::new(
                tower::service_fn(move |request: Request<Body>| {
                    let query = request.uri().query().unwrap_or_default().to_owned();
                    let job = json!({"metadata": {"name": "job"}});
                    let (status, answer) = match (query.contains("continue="), query.contains("limit=")) {
                        (true, _) => (code, json!({"kind": "Status", "status": "Failure", "code": code})),
                        (_, true) => (
                            200,
                            json!({"metadata": {"resourceVersion": "1", "continue": "t"}, "items": [job]}),
                        ),
                        _ => (
                            200,
                            json!({"metadata": {"resourceVersion": "1"}, "items": [job, job]}),
                        ),
                    };
                    let answer = Response::builder()
                        .status(status)
                        .body(Body::from(answer.to_string().into_bytes()));
                    std::future::ready(answer)
                }),
                "paperclip",
            );
            let api: Api<Job> = Api::default_namespaced(client);
            let listed = list_all(&api, "jobs", "", |job| job).await;
            assert!(listed.is_ok_and(|(jobs, _)| jobs.len() == 2), "{code}");
        }
    }
}
