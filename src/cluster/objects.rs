//! The Jobs or the pods of a namespace as the API server showed them last, by Job: a look at one run costs its own
//! objects and not all of the namespace's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodSpec, PodStatus, PodTemplateSpec, Volume,
};
use kube::Resource;

use crate::manifest::PROMPT_SECRET_VOLUME;

/// Label by which the Job controller marks its pods.
const JOB_NAME: &str = "job-name";

/// A Job, or what belongs to one.
pub(super) trait OfJob: Resource {
    /// The Job's name.
    fn job_name(&self) -> Option<&str>;
    /// Leaves of its spec what somebody reads who looks at many.
    fn shorten(&mut self);
}

/// What runs and sweeps read of an object: a Job and its pod are 100 KiB in memory, most of it scripts and variables
/// that nobody reads here, and there is one of each for each run.
pub(super) fn without_details<K: OfJob>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object.shorten();
    object
}

impl OfJob for Job {
    fn job_name(&self) -> Option<&str> {
        self.metadata.name.as_deref()
    }

    fn shorten(&mut self) {
        if let Some(spec) = &mut self.spec {
            spec.template = PodTemplateSpec::default();
        }
    }
}

impl OfJob for Pod {
    fn job_name(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(JOB_NAME).map(String::as_str)
    }

    fn shorten(&mut self) {
        for statuses in self.status.iter_mut().flat_map(lists_of) {
            statuses.shrink_to_fit();
        }
        let Some(spec) = self.spec.take() else { return };
        let outline = |container: Container| Container {
            name: container.name,
            image: container.image,
            restart_policy: container.restart_policy,
            ..Container::default()
        };
        let outlines = |all: Vec<Container>| -> Vec<Container> {
            let mut all: Vec<Container> = all.into_iter().map(outline).collect();
            all.shrink_to_fit();
            all
        };
        let of_run = |volume: &Volume| volume.name == PROMPT_SECRET_VOLUME;
        self.spec = Some(PodSpec {
            node_name: spec.node_name,
            containers: outlines(spec.containers),
            init_containers: spec.init_containers.map(outlines),
            volumes: spec
                .volumes
                .and_then(|all| Some(vec![all.into_iter().find(of_run)?])),
            ..PodSpec::default()
        });
    }
}

/// A reader of JSON makes room for four.
fn lists_of(status: &mut PodStatus) -> impl Iterator<Item = &mut Vec<ContainerStatus>> {
    let init = &mut status.init_container_statuses;
    init.iter_mut().chain(&mut status.container_statuses)
}

/// Objects of one kind in one namespace.
pub(super) struct Objects<K>(Mutex<ByJob<K>>);

struct ByJob<K> {
    /// By the name of the Job, and by the object's own.
    objects: HashMap<String, BTreeMap<String, Arc<K>>>,
    /// The Job of each object, by the object's name: somebody may change the label.
    jobs: HashMap<String, String>,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self(Mutex::new(ByJob {
            objects: HashMap::new(),
            jobs: HashMap::new(),
        }))
    }
}

impl<K: OfJob> Objects<K> {
    /// These are all that there are.
    pub(super) fn replace(&self, all: Vec<K>) {
        let mut known = self.known();
        known.objects.clear();
        known.jobs.clear();
        all.into_iter().for_each(|object| known.set(object));
    }

    /// One was made, or has changed.
    pub(super) fn set(&self, object: K) {
        self.known().set(object);
    }

    /// One was deleted.
    pub(super) fn remove(&self, object: &K) {
        if let Some(name) = &object.meta().name {
            self.known().remove(name);
        }
    }

    /// Those of one Job, in the order of their names.
    pub(super) fn of_job(&self, job: &str) -> Vec<Arc<K>> {
        let known = self.known();
        let objects = known.objects.get(job).into_iter().flat_map(BTreeMap::values);
        objects.cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, ByJob<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: OfJob> ByJob<K> {
    fn set(&mut self, object: K) {
        let Some(name) = object.meta().name.clone() else {
            return;
        };
        self.remove(&name);
        if let Some(job) = object.job_name().map(str::to_owned) {
            self.jobs.insert(name.clone(), job.clone());
            self.objects
                .entry(job)
                .or_default()
                .insert(name, Arc::new(object));
        }
    }

    fn remove(&mut self, name: &str) {
        let Some(job) = self.jobs.remove(name) else { return };
        if let Some(objects) = self.objects.get_mut(&job) {
            objects.remove(name);
            if objects.is_empty() {
                self.objects.remove(&job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, job: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.labels = Some(BTreeMap::from([(JOB_NAME.to_owned(), job.to_owned())]));
        pod
    }

    fn names(pods: &Objects<Pod>, job: &str) -> Vec<String> {
        let pods = pods.of_job(job);
        pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect()
    }

    #[test]
    fn pods_are_found_by_their_job_only() {
        let pods = Objects::default();
        pods.set(pod("a-2", "a"));
        pods.set(pod("b-1", "b"));
        pods.set(pod("a-1", "a"));
        pods.set(pod("a-1", "a"));
        assert_eq!(names(&pods, "a"), ["a-1", "a-2"]);
        pods.remove(&pod("a-1", "a"));
        assert_eq!(names(&pods, "a"), ["a-2"]);
        pods.replace(vec![pod("c-1", "c")]);
        assert_eq!(
            [
                names(&pods, "a").len(),
                names(&pods, "b").len(),
                names(&pods, "c").len()
            ],
            [0, 0, 1]
        );
    }

    #[test]
    fn of_objects_stays_what_runs_and_sweeps_read() {
        let container = |name: &str| {
            json!({"name": name, "image": "i", "restartPolicy": "Always", "command": ["sh", "-c", "long"],
                "env": [{"name": "A", "value": "b"}]})
        };
        let spec = json!({"nodeName": "n", "containers": [container("opencode")], "initContainers": [container("w")],
            "volumes": [{"name": "data"}, {"name": PROMPT_SECRET_VOLUME, "secret": {"secretName": "s"}}]});
        let of_labels = json!({"labels": {"job-name": "a"}, "annotations": {"k": "v"}});
        let pod = json!({"metadata": of_labels, "spec": spec, "status": {"phase": "Running"}});
        let shortened = without_details(serde_json::from_value::<Pod>(pod).expect("a pod"));
        let outline = |name: &str| json!({"name": name, "image": "i", "restartPolicy": "Always"});
        let left = json!({"nodeName": "n", "containers": [outline("opencode")], "initContainers": [outline("w")],
            "volumes": [{"name": PROMPT_SECRET_VOLUME, "secret": {"secretName": "s"}}]});
        let shortened = serde_json::to_value(shortened).expect("JSON");
        assert_eq!(shortened["spec"], left);
        assert_eq!(
            (&shortened["metadata"], &shortened["status"]["phase"]),
            (&of_labels, &json!("Running"))
        );
        let job = json!({"metadata": of_labels, "status": {"active": 1}, "spec": {"suspend": true,
            "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 6, "template": {"spec": spec}}});
        let job = without_details(serde_json::from_value::<Job>(job).expect("a Job"));
        let job = serde_json::to_value(job).expect("JSON");
        let left = json!({"suspend": true, "activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 6, "template": {}});
        assert_eq!(
            (&job["spec"], &job["metadata"], &job["status"]),
            (&left, &of_labels, &json!({"active": 1}))
        );
    }

    #[test]
    fn a_pod_whose_label_was_changed_is_not_the_old_jobs_any_more() {
        let pods = Objects::default();
        pods.set(pod("p", "a"));
        pods.set(pod("p", "b"));
        assert_eq!([names(&pods, "a").len(), names(&pods, "b").len()], [0, 1]);
        pods.set(Pod::default());
        pods.remove(&pod("p", "a"));
        assert_eq!(names(&pods, "b").len(), 0);
    }
}
