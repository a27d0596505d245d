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

const FIRST_RUN: &str = "What would refuse it is told by the first run.";

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
        references::check(cluster, &job, own, TRIED),
    );
    let mut checks = said("job", "a Job", &namespace, of_job);
    checks.extend(said("pod", "an agent's pod", &namespace, of_pod));
    // What refuses the pod has named its account.
    let is_told = checks.iter().any(|check| check.code == "k8s_pod_refused");
    checks.extend(
        missing
            .into_iter()
            .filter(|check| !is_told || check.code != references::ACCOUNT_MISSING),
    );
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
    let mut spec = RunSpec::from_request(request).ok()?;
    // As in a run: whoever sees what is tried sees no key of the agent.
    spec.run.run_secret_name = Some(TRIED.to_owned());
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
        Err(error) if error.is_not_granted() => {
            let message = format!("The test did not try {what}: the server may not create {word}s");
            vec![Check::new(
                Level::Info,
                &code("untested"),
                message,
                Some(FIRST_RUN),
            )]
        }
        Err(error) if error.to_string().contains("does not support dry run") => {
            let message = format!("The test did not try {what}: {error}");
            let hint = [Some(FIRST_RUN.to_owned()), error.command(namespace)];
            let hint = hint.into_iter().flatten().collect::<Vec<_>>().join(" ");
            vec![Check::new(Level::Info, &code("untested"), message, Some(&hint))]
        }
        Err(error) => {
            let is_unknown = error.is_transient();
            let (level, end, so) = match is_unknown {
                true => (
                    Level::Warn,
                    "untested",
                    "Nobody knows whether a run would be refused. Test again later.",
                ),
                false => (Level::Error, "refused", "Every run would be refused like this."),
            };
            let command = error.command(namespace).or_else(|| {
                let look = format!("describe quota,limitrange && kubectl describe namespace {namespace}");
                (!is_unknown).then(|| {
                    format!("Change the agent's settings, or what refuses it: kubectl -n {namespace} {look}")
                })
            });
            let hint = [Some(so.to_owned()), command]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ");
            vec![Check::new(level, &code(end), error.to_string(), Some(&hint))]
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
        let secret = super::job(&json!({"env": {"OPENAI_API_KEY": "sk-secret"}}), &own);
        let secret = serde_json::to_string(&secret.expect("read").expect("a Job")).expect("JSON");
        assert!(
            !secret.contains("sk-secret") && secret.contains("OPENAI_API_KEY"),
            "{secret}"
        );
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
        let hint = |code, message: &str| {
            let checks = said::<Pod>("pod", "an agent's pod", "n", Err(refused(code, message)));
            checks[0].hint.clone().unwrap_or_default()
        };
        let account = "error looking up service account n/agents: serviceaccount \"agents\" not found";
        assert_eq!(
            hint(403, account),
            "Every run would be refused like this. This creates it: kubectl -n n create serviceaccount agents"
        );
        assert!(hint(500, "failed calling webhook \"w\": EOF").ends_with("webhookconfigurations"));
        let untested = hint(400, "admission webhook \"w\" does not support dry run");
        assert!(
            untested.starts_with(FIRST_RUN) && untested.ends_with("webhookconfigurations"),
            "{untested}"
        );
        assert_eq!(hint(403, "User \"u\" cannot create resource \"pods\""), FIRST_RUN);
        assert!(hint(503, "down").ends_with("Test again later."));
        assert!(hint(422, "Pod \"x\" is invalid: no").contains(": kubectl -n n describe quota"));
        let warned = Created {
            object: Pod::default(),
            warnings: vec!["would violate PodSecurity".to_owned()],
        };
        let checks = said("pod", "an agent's pod", "n", Ok(warned));
        assert!(checks[0].level == Level::Warn && checks[0].message.contains("would violate"));
    }
}
