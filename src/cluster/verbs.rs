//! The requests that a run makes, each with a limit.

mod retry;

use std::fmt::Debug;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, WARNING};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Preconditions, PropagationPolicy};
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;

use super::answer::shown;
use super::list::list_all;
use super::objects::without_details;
use super::{Cluster, ClusterError};
use retry::RENEWAL_LIMIT;
pub(super) use retry::{Backoff, UNREADY_LIMIT};
pub use retry::{CALL_LIMIT, call, retry_required, retry_transient};

/// How many warnings of one answer are kept.
pub const MAX_WARNINGS: usize = 8;
/// How long a create is repeated: an API server may need this long to restart.
const CREATE_RETRY_LIMIT: Duration = Duration::from_secs(30);

/// The objects of one namespace.
#[derive(Clone)]
pub struct Namespace {
    /// Jobs of the namespace.
    pub jobs: Api<Job>,
    /// Pods of the namespace.
    pub pods: Api<Pod>,
    /// Secrets of the namespace.
    pub secrets: Api<Secret>,
    /// Events of the namespace.
    pub events: Api<Event>,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// The namespace of that name in the cluster.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        Self {
            jobs: Api::namespaced(cluster.client(), name),
            pods: Api::namespaced(cluster.client(), name),
            secrets: Api::namespaced(cluster.client(), name),
            events: Api::namespaced(cluster.client(), name),
            name: name.to_owned(),
        }
    }

    /// Jobs with these labels.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn list_jobs(&self, labels: &str) -> Result<Vec<Job>, ClusterError> {
        Ok(list_all(&self.jobs, "jobs", labels, |job| job).await?.0)
    }

    /// The pods that a Job's controller made.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn pods_of(&self, job_name: &str) -> Result<Vec<Pod>, ClusterError> {
        self.list_pods(&format!("job-name={job_name}")).await
    }

    /// Pods with these labels.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn list_pods(&self, labels: &str) -> Result<Vec<Pod>, ClusterError> {
        Ok(list_all(&self.pods, "pods", labels, |pod| pod).await?.0)
    }

    /// Jobs with these labels, of each what [`without_details`] leaves: there may be thousands.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn outline_jobs(&self, labels: &str) -> Result<Vec<Job>, ClusterError> {
        Ok(list_all(&self.jobs, "jobs", labels, without_details).await?.0)
    }

    /// The same of pods.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn outline_pods(&self, labels: &str) -> Result<Vec<Pod>, ClusterError> {
        Ok(list_all(&self.pods, "pods", labels, without_details).await?.0)
    }

    /// Creates an object once. A transient failure is repeated for 30 s, but first the object of that name is read: if
    /// `is_same(object, found)`, an attempt whose answer was lost has created it.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn create<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &K,
        is_same: fn(&K, &K) -> bool,
    ) -> Result<Created<K>, ClusterError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + Debug,
    {
        let on = format!("{}/{name}", K::kind(&()).to_lowercase());
        let mut backoff = Backoff::new(CREATE_RETRY_LIMIT);
        let mut unready = Backoff::new(UNREADY_LIMIT);
        let mut renewal = None;
        let mut repeated = false;
        loop {
            let error = match call("create", &on, create_once(api, object, "")).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            // A repeated create conflicts with what an earlier attempt made although its answer was an error.
            let is_repeated = error.is_conflict() && repeated;
            if error.is_transient() || is_repeated {
                match find(api, name).await {
                    Ok(Some(found))
                        if found.meta().deletion_timestamp.is_none() && is_same(object, &found) =>
                    {
                        return Ok(Created {
                            object: found,
                            warnings: Vec::new(),
                        });
                    }
                    // Whose the object is must be known: given up now, it would stay behind.
                    Err(unknown) if is_repeated && unknown.is_transient() && backoff.wait().await => continue,
                    _ => {}
                }
            }
            if error.may_be_unready() && unready.wait().await {
                continue;
            }
            // What was refused has made nothing.
            if error.is_unauthorized() {
                let renewal = renewal.get_or_insert_with(|| Backoff::new(RENEWAL_LIMIT));
                if renewal.wait().await {
                    continue;
                }
            }
            if !error.is_transient() || !backoff.wait().await {
                return Err(error);
            }
            repeated = true;
        }
    }

    /// Deletes a Job and its pods; with a uid only the Job of that uid. A Job that is not there counts as deleted.
    /// As [`retry_required`], for at most `limit`: an agent that somebody wants to end must not work on because the
    /// server's token is being renewed.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn delete_job(
        &self,
        name: &str,
        uid: Option<&str>,
        limit: Duration,
    ) -> Result<(), ClusterError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        delete(&self.jobs, name, &params, limit).await
    }

    /// Deletes a Secret; one that is not there counts as deleted. As [`retry_required`], for at most `limit`.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn delete_secret(&self, name: &str, limit: Duration) -> Result<(), ClusterError> {
        delete(&self.secrets, name, &DeleteParams::default(), limit).await
    }
}

/// What a create gave.
#[derive(Debug)]
pub struct Created<K> {
    /// The object as the API server made it.
    pub object: K,
    /// What the API server warns of, such as a pod that Pod Security will refuse. At most [`MAX_WARNINGS`].
    pub warnings: Vec<String>,
}

/// Asks what would become of an object, and makes none: with the API server's strict validation and all admission.
///
/// # Errors
/// What the API server answered.
pub async fn try_out<K>(api: &Api<K>, object: &K) -> kube::Result<Created<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + Debug,
{
    create_once(api, object, "dryRun=All&fieldValidation=Strict").await
}

/// The object of this name, or none. Where a Role does not grant `get`, it is looked for with `list`.
///
/// # Errors
/// What the API server answered.
pub async fn find<K>(api: &Api<K>, name: &str) -> Result<Option<K>, ClusterError>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let on = format!("{}/{name}", K::kind(&()).to_lowercase());
    match call("get", &on, api.get(name)).await {
        Ok(found) if found.meta().uid.is_none() => Err(ClusterError::Foreign {
            verb: "get",
            on,
            message: "an object without a uid".to_owned(),
        }),
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.is_forbidden() => {
            let only = ListParams::default().fields(&format!("metadata.name={name}"));
            let listed = call("list", &on, api.list(&only)).await?;
            let mut found = listed.items.into_iter();
            Ok(found.find(|object| object.meta().name.as_deref() == Some(name)))
        }
        Err(error) => Err(error),
    }
}

/// Creates an object, and reads the answer's warnings as well, which kube drops.
async fn create_once<K>(api: &Api<K>, object: &K, query: &str) -> kube::Result<Created<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + Debug,
{
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let request = http::Request::post(format!("{}?{query}", api.resource_url()))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(kube::Error::HttpError)?;
    let answer = api.clone().into_client().send(request).await?;
    let (status, warnings) = (answer.status(), warnings(answer.headers()));
    let body = answer.into_body().collect_bytes().await?;
    if status.is_success() {
        let object = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        return Ok(Created { object, warnings });
    }
    let refused = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
        Status::failure(&String::from_utf8_lossy(&body), "Failed to parse error data")
            .with_code(status.as_u16())
    });
    Err(kube::Error::Api(Box::new(refused)))
}

/// The texts of `Warning: 299 - "text"` headers.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all(WARNING).iter().filter_map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let (_, text) = value.split_once('"')?;
        Some(shown(&text.rsplit_once('"')?.0.replace("\\\"", "\"")))
    });
    texts.take(MAX_WARNINGS).collect()
}

async fn delete<K>(
    api: &Api<K>,
    name: &str,
    params: &DeleteParams,
    limit: Duration,
) -> Result<(), ClusterError>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let on = format!("{}/{name}", K::kind(&()).to_lowercase());
    let uid = params.preconditions.as_ref().and_then(|only| only.uid.as_ref());
    let delete_once = || async {
        match call("delete", &on, api.delete(name, params)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            // Another object has the name by now, or somebody else has changed this one in the same moment.
            Err(error) if error.code() == Some(409) => {
                let found = find(api, name).await?;
                let is_it = |found: &K| uid.is_none() || found.meta().uid.as_ref() == uid;
                found.filter(is_it).map_or(Ok(()), |_| Err(error))
            }
            Err(error) => Err(error),
        }
    };
    retry_required(limit, "delete", &on, delete_once).await
}

#[cfg(test)]
mod tests;
