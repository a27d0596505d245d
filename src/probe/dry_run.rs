//! Tries a real Job and its pod on the API server, without making them: whatever would refuse a run is found here,
//! with the API server's own words.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use serde_json::Value;

use super::{Check, Level, bounded, references};
use crate::cluster::verbs::{Created, try_out};
use crate::cluster::{Cluster, ClusterError};
use crate::config::{Agent, RenderRequest, RunSpec, SelfPod};
use crate::manifest::{self, ManifestError};

/// Stands for the ids of a run that is never made.
const TRIED: &str = "environment-test";

/// Nothing where the settings cannot be read, or the server's pod mounts no claim: others say that.
pub(super) async fn check(cluster: &Cluster, config: &Value, own: &SelfPod) -> Vec<Check> {
    let job = match job(config, own) {
        Some(Ok(job)) => job,
        Some(Err(error)) => {
            let hint = "Correct the field on the agent's page, under Harness / Runtime. Runs are refused until then.";
            return vec![Check::new(
                Level::Error,
                error.code(),
                error.to_string(),
                Some(hint),
            )];
        }
        None => return Vec::new(),
    };
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let jobs: Api<Job> = Api::namespaced(cluster.client(), &namespace);
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &namespace);
    let pod = pod(&job);
    let (of_job, of_pod, missing) = tokio::join!(
        bounded("create", "jobs", try_out(&jobs, &job)),
        bounded("create", "pods", try_out(&pods, &pod)),
        references::check(cluster, &job),
    );
    let mut checks = said("job", "a Job", &namespace, of_job);
    checks.extend(said("pod", "an agent's pod", &namespace, of_pod));
    checks.extend(missing);
    checks
}

/// The Job of an agent with these settings, or why no Job can have them.
fn job(config: &Value, own: &SelfPod) -> Option<Result<Job, ManifestError>> {
    own.pvc_claim_name.as_ref()?;
    let request = RenderRequest {
        run_id: TRIED.to_owned(),
        agent: Agent {
            id: TRIED.to_owned(),
            name: String::new(),
            company_id: TRIED.to_owned(),
        },
        config: config.clone(),
        self_pod: own.clone(),
        prompt: "nothing".to_owned(),
        ..RenderRequest::default()
    };
    let spec = RunSpec::from_request(request).ok()?;
    Some(manifest::render(&spec).map(|rendered| rendered.job))
}

/// The pod that the Job's controller would make.
fn pod(job: &Job) -> Pod {
    let template = job
        .spec
        .as_ref()
        .map(|spec| spec.template.clone())
        .unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: None,
            generate_name: Some(format!("{TRIED}-")),
            namespace: job.metadata.namespace.clone(),
            ..template.metadata.unwrap_or_default()
        },
        spec: template.spec,
        status: None,
    }
}

fn said<K>(word: &str, what: &str, namespace: &str, answer: Result<Created<K>, ClusterError>) -> Vec<Check> {
    let code = |end: &str| format!("k8s_{word}_{end}");
    match answer {
        Ok(created) if created.warnings.is_empty() => {
            let message = format!("The API server would take {what} of this agent.");
            vec![Check::new(Level::Info, &code("accepted"), message, None)]
        }
        Ok(created) => {
            let hint =
                "Its pods may be refused. Change the agent's settings, or ask whoever runs the cluster.";
            let warned = |text: String| {
                let message = format!("The API server warns of {what}: {text}");
                Check::new(Level::Warn, &code("warned"), message, Some(hint))
            };
            created.warnings.into_iter().map(warned).collect()
        }
        Err(error) if error.is_not_granted() || error.to_string().contains("does not support dry run") => {
            let message = format!("The test did not try {what}: {error}");
            vec![Check::new(Level::Info, &code("untested"), message, None)]
        }
        Err(error) if error.is_transient() => {
            let hint = "Nobody knows whether a run would be refused. Test again later.";
            vec![Check::new(
                Level::Warn,
                &code("untested"),
                error.to_string(),
                Some(hint),
            )]
        }
        Err(error) => {
            let hint = format!(
                "Every run would be refused like this. Change the agent's settings, or what refuses it: kubectl -n \
                 {namespace} describe quota,limitrange && kubectl describe namespace {namespace}"
            );
            vec![Check::new(
                Level::Error,
                &code("refused"),
                error.to_string(),
                Some(&hint),
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_tried_is_the_pod_of_the_job() {
        let own: SelfPod =
            serde_json::from_value(json!({"namespace": "n", "image": "i", "pvcClaimName": "c"}))
                .expect("a pod");
        let job = job(&json!({"priorityClassName": "high"}), &own)
            .expect("read")
            .expect("a Job");
        let pod = pod(&job);
        assert_eq!(
            pod.spec
                .as_ref()
                .and_then(|spec| spec.priority_class_name.as_deref()),
            Some("high")
        );
        assert_eq!(
            (pod.metadata.name, pod.metadata.namespace.as_deref()),
            (None, Some("n"))
        );
        let patched = super::job(&json!({"podSpecPatch": {"restartPolicy": "Always"}}), &own);
        assert!(
            patched
                .expect("read")
                .is_err_and(|error| error.to_string().contains("restartPolicy"))
        );
        assert!(super::job(&json!({"tolerations": "{{{"}), &own).is_none());
        assert!(super::job(&json!({}), &SelfPod::default()).is_none());
    }

    #[test]
    fn a_right_that_is_not_granted_is_no_finding() {
        let refused = |code, message: &str| ClusterError::Api {
            verb: "create",
            on: "pods".to_owned(),
            code,
            reason: String::new(),
            message: message.to_owned(),
        };
        let of = |error| {
            let checks = said::<Pod>("pod", "an agent's pod", "n", Err(error));
            (checks[0].code.clone(), checks[0].level)
        };
        let (untested, refusal) = ("k8s_pod_untested".to_owned(), "k8s_pod_refused".to_owned());
        assert_eq!(
            of(refused(403, "User \"u\" cannot create resource \"pods\"")),
            (untested.clone(), Level::Info)
        );
        assert_eq!(of(refused(503, "down")), (untested, Level::Warn));
        assert_eq!(
            of(refused(403, "violates PodSecurity \"restricted\"")),
            (refusal, Level::Error)
        );
        let warned = Created {
            object: Pod::default(),
            warnings: vec!["would violate PodSecurity".to_owned()],
        };
        let checks = said("pod", "an agent's pod", "n", Ok(warned));
        assert!(checks[0].level == Level::Warn && checks[0].message.contains("would violate"));
    }
}
