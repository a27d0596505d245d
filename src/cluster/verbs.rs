//! The few requests that a run makes, each bounded in time.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Cluster, ClusterError};

/// No request is waited for longer.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How long a create is repeated: an API server that restarts is no reason to give a run up.
const CREATE_PATIENCE: Duration = Duration::from_secs(30);

/// One request, at most [`CALL_LIMIT`] long.
///
/// # Errors
/// What the API server answered, or that it did not.
pub async fn call<T>(
    verb: &'static str,
    on: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ClusterError> {
    match timeout(CALL_LIMIT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ClusterError::from_kube(verb, on, &error)),
        Err(_) => Err(ClusterError::Timeout {
            verb,
            on: on.to_owned(),
            after: CALL_LIMIT,
        }),
    }
}

/// Repeats a request that can be repeated while its failure is transient, for at most `patience` in all: a request that is
/// not answered by then is given up.
///
/// # Errors
/// The last failure.
pub async fn retry_transient<T, F>(
    patience: Duration,
    verb: &'static str,
    on: &str,
    mut request: impl FnMut() -> F,
) -> Result<T, ClusterError>
where
    F: Future<Output = Result<T, ClusterError>>,
{
    let until = Instant::now() + patience;
    let mut wait = FIRST_RETRY;
    let mut last = None;
    loop {
        let Ok(answer) = timeout_at(until, request()).await else {
            return Err(last.unwrap_or_else(|| ClusterError::Timeout {
                verb,
                on: on.to_owned(),
                after: patience,
            }));
        };
        match answer {
            Err(error) if error.is_transient() && Instant::now() + wait < until => {
                tracing::debug!(%error, "trying again");
                last = Some(error);
                sleep(wait).await;
                wait = (wait * 2).min(LAST_RETRY);
            }
            answer => return answer,
        }
    }
}

/// The objects of one namespace.
#[derive(Clone)]
pub struct Namespace {
    /// Jobs of the namespace.
    pub jobs: Api<Job>,
    /// Pods of the namespace.
    pub pods: Api<Pod>,
    /// Secrets of the namespace.
    pub secrets: Api<Secret>,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// The namespace of that name in the cluster.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        Self {
            jobs: Api::namespaced(cluster.client.clone(), name),
            pods: Api::namespaced(cluster.client.clone(), name),
            secrets: Api::namespaced(cluster.client.clone(), name),
            name: name.to_owned(),
        }
    }

    /// Jobs with these labels.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn list_jobs(&self, labels: &str) -> Result<Vec<Job>, ClusterError> {
        let list = call(
            "list",
            "jobs",
            self.jobs.list(&ListParams::default().labels(labels)),
        )
        .await?;
        Ok(list.items)
    }

    /// The pods that a Job's controller made, newest last.
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
        let params = ListParams::default().labels(labels);
        Ok(call("list", "pods", self.pods.list(&params)).await?.items)
    }

    /// Creates an object, once, and tries for as long as an API server may take to restart. When the answer is lost, the object of that name is looked at: if `ours` says that
    /// it is this very object, it was created.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn create<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &K,
        ours: fn(&K, &K) -> bool,
    ) -> Result<K, ClusterError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + Debug,
    {
        let on = format!("{}/{name}", K::kind(&()).to_lowercase());
        let until = Instant::now() + CREATE_PATIENCE;
        let mut wait = FIRST_RETRY;
        let mut repeated = false;
        loop {
            let error = match call("create", &on, api.create(&PostParams::default(), object)).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            // A repeated create may find what an earlier one made although its answer was an error.
            if (error.is_transient() || (error.is_conflict() && repeated))
                && let Ok(found) = call("get", &on, api.get(name)).await
                && ours(object, &found)
            {
                return Ok(found);
            }
            if !error.is_transient() || Instant::now() + wait >= until {
                return Err(error);
            }
            sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
            repeated = true;
        }
    }

    /// Deletes a Job and its pods. A Job that is not there, or is another one of that name, counts as deleted.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn delete_job(
        &self,
        name: &str,
        uid: Option<&str>,
        patience: Duration,
    ) -> Result<(), ClusterError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        delete(&self.jobs, name, &params, patience).await
    }

    /// Deletes a Secret; one that is not there counts as deleted.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn delete_secret(&self, name: &str, patience: Duration) -> Result<(), ClusterError> {
        delete(&self.secrets, name, &DeleteParams::default(), patience).await
    }
}

async fn delete<K>(
    api: &Api<K>,
    name: &str,
    params: &DeleteParams,
    patience: Duration,
) -> Result<(), ClusterError>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let on = format!("{}/{name}", K::kind(&()).to_lowercase());
    let gone = |error: &ClusterError| error.is_not_found() || error.is_conflict();
    match retry_transient(patience, "delete", &on, || {
        call("delete", &on, api.delete(name, params))
    })
    .await
    {
        Ok(_) => Ok(()),
        Err(error) if gone(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_is_waited_for_no_longer_than_there_is_patience() {
        let since = Instant::now();
        let hangs = || call::<()>("delete", "job/x", std::future::pending());
        let hurried = retry_transient(Duration::from_secs(4), "delete", "job/x", hangs).await;
        assert!(hurried.is_err_and(|error| error.is_transient()));
        assert_eq!(since.elapsed().as_secs(), 4);
        let calm = retry_transient(Duration::from_secs(40), "delete", "job/x", hangs).await;
        assert!(calm.is_err_and(|error| error.to_string().contains("cannot delete job/x")));
        assert_eq!(since.elapsed().as_secs(), 44);
    }
}
