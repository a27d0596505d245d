//! The judgement over everything that can be seen at the end of a run: Job condition, pod phase, container status, exit
//! code, state of the log, cancel and deadline, each with each.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use opencode_k8s::cluster::conditions::ContainerEnd;
use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest::exit_codes;
use opencode_k8s::opencode::Transcript;
use opencode_k8s::run::failure::{Failure, POD_SCHEDULE_FAILED};
use opencode_k8s::run::job::end::{Cause, Evidence, RunEnd, end_of};
use opencode_k8s::run::outcome::Excerpt;
use opencode_k8s::run::supervise::conclude::{self, EndFacts};
use opencode_k8s::run::supervise::deliver::Delivery;
use opencode_k8s::tail::EndRecord;
use opencode_k8s::tail::follower::Proof;
use serde_json::{Value, json};

use crate::support::combination::Combination;

/// Everything that is seen, one value of each column.
#[derive(Debug, Clone, Copy)]
struct Row {
    job: &'static str,
    phase: &'static str,
    container: &'static str,
    exit: i32,
    log: &'static str,
    output: &'static str,
    cancelled: bool,
    deadline: bool,
}

const JOBS: [&str; 5] = ["running", "complete", "backoff", "deadline", "gone"];
const PHASES: [&str; 6] = ["none", "Pending", "Running", "Succeeded", "Failed", "Evicted"];
const CONTAINERS: [&str; 6] = [
    "none",
    "running",
    "Completed",
    "Error",
    "OOMKilled",
    "init-failed",
];
const EXITS: [i32; 6] = [0, 1, 64, 137, 143, -1];
const LOGS: [&str; 3] = ["proven", "unproven", "incomplete"];
const OUTPUTS: [&str; 4] = ["clean", "cut", "open", "nothing"];

fn job(row: Row) -> Option<Job> {
    let failed = |reason: &str, message: &str| json!([{"type": "Failed", "status": "True", "reason": reason, "message": message}]);
    let condition = match row.job {
        "gone" => return None,
        "complete" => json!([{"type": "Complete", "status": "True"}]),
        "backoff" => failed("BackoffLimitExceeded", "limit"),
        "deadline" => failed("DeadlineExceeded", "late"),
        _ => json!([]),
    };
    serde_json::from_value(json!({"status": {"conditions": condition}})).ok()
}

fn pod(row: Row) -> Option<Pod> {
    let state = match row.container {
        "none" | "init-failed" => None,
        "running" => Some(json!({"running": {}})),
        reason => Some(json!({"terminated": {"exitCode": row.exit, "reason": reason}})),
    };
    let status = |name: &str, state: Value| {
        json!([{"name": name, "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}])
    };
    let init = (row.container == "init-failed").then(|| {
        status(
            "write-prompt",
            json!({"terminated": {"exitCode": 66, "reason": "Error", "message": "no folder"}}),
        )
    });
    let (phase, reason) = match row.phase {
        "none" => return None,
        "Evicted" => ("Failed", Some("Evicted")),
        phase => (phase, None),
    };
    serde_json::from_value(json!({
        "metadata": {"name": "pod-1"}, "spec": {"containers": [], "nodeName": "n"},
        "status": {"phase": phase, "reason": reason, "containerStatuses": state.map(|state| status("opencode", state)),
            "initContainerStatuses": init},
    }))
    .ok()
}

/// What ended the run: a cancel and our own clock first, then what the cluster tells, then the record.
fn end(row: Row) -> Option<RunEnd> {
    let (job, pod) = (job(row), pod(row));
    let evidence = Evidence {
        container: None,
        record: record(row),
    };
    if row.cancelled {
        return Some(RunEnd::Cancelled { evidence, gone: true });
    }
    let late = |evidence| RunEnd::DeadlineExceeded {
        evidence,
        gone: Some(true),
        is_of_others: false,
    };
    if row.deadline {
        return Some(late(evidence));
    }
    let (end, evidence) = match end_of(job.as_ref(), pod.as_ref()) {
        Some((Cause::Deadline, _)) => return Some(late(evidence)),
        Some((Cause::NeverStarted(why), _)) => return Some(RunEnd::NeverStarted { why }),
        Some((Cause::Exited(end), _)) => {
            let evidence = Evidence {
                container: Some(end),
                ..evidence
            };
            (RunEnd::Exited(evidence.clone()), evidence)
        }
        Some((Cause::Lost(why), _)) => (lost(why, &evidence), evidence),
        Some((other, _)) => panic!("{other:?}"),
        None if job.is_none() => (lost("the Job was deleted".to_owned(), &evidence), evidence),
        None => (
            evidence
                .record
                .is_some()
                .then(|| RunEnd::Exited(evidence.clone()))?,
            evidence,
        ),
    };
    Some(if row.job == "deadline" {
        late(evidence)
    } else {
        end
    })
}

fn lost(why: String, evidence: &Evidence) -> RunEnd {
    RunEnd::Lost {
        why,
        evidence: evidence.clone(),
    }
}

fn record(row: Row) -> Option<EndRecord> {
    let exit = u8::try_from(row.exit).ok()?;
    let text = json!({"v": 1, "run": "r", "exit": exit, "bytes": 9}).to_string();
    (row.log != "unproven")
        .then(|| EndRecord::parse(&text, "r"))
        .flatten()
}

fn transcript(output: &str) -> Transcript {
    let event = |kind: &str, part: Value| {
        json!({"type": kind, "timestamp": 1, "sessionID": "ses_1", "part": part}).to_string()
    };
    let tokens =
        json!({"total": 3, "input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}});
    let start = event(
        "step_start",
        json!({"type": "step-start", "messageID": "m", "sessionID": "ses_1"}),
    );
    let text = event(
        "text",
        json!({"type": "text", "text": "Done.", "messageID": "m", "sessionID": "ses_1",
            "time": {"start": 1, "end": 2}}),
    );
    let finish = event(
        "step_finish",
        json!({"type": "step-finish", "reason": "stop", "cost": 0, "tokens": tokens, "messageID": "m",
            "sessionID": "ses_1"}),
    );
    let mut transcript = Transcript::new();
    match output {
        "clean" => [start, text, finish]
            .iter()
            .for_each(|line| transcript.push_line(line)),
        "open" => [start, text].iter().for_each(|line| transcript.push_line(line)),
        "cut" => {
            transcript.push_line(&start);
            transcript.push_cut(text.get(..40).unwrap_or_default());
        }
        _ => {}
    }
    transcript
}

fn proof(log: &str) -> Proof {
    match log {
        "proven" => Proof::Proven,
        "unproven" => Proof::Unproven,
        _ => Proof::Incomplete { have: 3, want: 9 },
    }
}

fn spec() -> RunSpec {
    let request = r#"{"runId":"r","agent":{"id":"a","companyId":"c"},"selfPod":{"namespace":"n","image":"i"},
        "config":{"timeoutSec":5}}"#;
    RunSpec::from_request(RenderRequest::from_json(request).expect("a request")).expect("a spec")
}

/// The result, as `execute` makes it; none while the run is on.
fn judge(row: Row, spec: &RunSpec) -> Option<(RunEnd, Value)> {
    let end = end(row)?;
    if let RunEnd::NeverStarted { why } = &end {
        let failure = Failure::of_input(POD_SCHEDULE_FAILED, why.clone());
        return Some((end, failure.to_value()));
    }
    let report = conclude::judge(EndFacts {
        spec,
        end: &end,
        unstarted: false,
        delivered: Delivery {
            transcript: transcript(row.output),
            excerpt: Excerpt::default(),
            proof: proof(row.log),
            bytes: 9,
        },
        stderr: String::new(),
    });
    Some((end, report.to_value()))
}

fn rows() -> impl Iterator<Item = Row> {
    let columns = JOBS.len() * PHASES.len() * CONTAINERS.len() * EXITS.len() * LOGS.len() * OUTPUTS.len() * 4;
    (0..columns).map(|index| {
        let mut combination = Combination::numbered(index);
        Row {
            job: combination.one_of(&JOBS),
            phase: combination.one_of(&PHASES),
            container: combination.one_of(&CONTAINERS),
            exit: combination.one_of(&EXITS),
            log: combination.one_of(&LOGS),
            output: combination.one_of(&OUTPUTS),
            cancelled: combination.yes_or_no(),
            deadline: combination.yes_or_no(),
        }
    })
}

/// One of these must be in the message of a failure.
fn causes(row: Row, end: &RunEnd) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut causes = match end {
        RunEnd::Cancelled { .. } => return words(&["cancelled"]),
        // An agent that ended well all the same is judged by its output.
        RunEnd::DeadlineExceeded { .. } => words(&["Timed out"]),
        RunEnd::NeverStarted { .. } => return words(&["write-prompt"]),
        RunEnd::Lost { why, .. } => vec![why.clone()],
        RunEnd::Exited(evidence) => {
            let container = evidence.container.as_ref();
            container.and_then(|end| end.reason.clone()).into_iter().collect()
        }
        _ => vec![],
    };
    causes.extend(words(&[
        "exited with code",
        "exit code",
        "ended by",
        "ended without any output",
        "empty response",
        "middle of a line",
        "did not start",
    ]));
    // The script around opencode did not get so far.
    causes.extend(exit_codes::describe(row.exit).map(str::to_owned));
    causes.extend(words(match row.log {
        "incomplete" => &["could not be read to its end"],
        "unproven" => &["nothing proves"],
        _ => &[],
    }));
    causes
}

#[test]
fn no_combination_invents_an_outcome() {
    let spec = spec();
    let mut seen = [0_usize; 4];
    for row in rows() {
        let Some((end, result)) = judge(row, &spec) else {
            seen[0] += 1;
            continue;
        };
        let says = format!(
            "{row:?} {end:?}: {} {}",
            result["errorCode"], result["errorMessage"]
        );
        let success =
            result["exitCode"] == 0 && result["errorMessage"].is_null() && result["signal"].is_null();
        let known_exit = record(row).map(|record| record.exit).or(match &end {
            RunEnd::Exited(evidence) => evidence.container.as_ref().map(|end| end.exit_code),
            _ => None,
        });
        if success {
            seen[1] += 1;
            assert!(
                row.output == "clean" || (row.log == "proven" && known_exit == Some(0)),
                "a success: {says}"
            );
            assert!(
                !row.cancelled && result["errorCode"].is_null() && result["timedOut"] == false,
                "{says}"
            );
            continue;
        }
        seen[2] += 1;
        let message = result["errorMessage"].as_str().unwrap_or_default();
        assert!(
            !message.is_empty() && !message.starts_with("{\"type\""),
            "no message: {says}"
        );
        assert!(result["errorCode"].is_string(), "no code: {says}");
        let late = result["timedOut"] == true && message.starts_with("Timed out after 5s");
        assert!(
            late || causes(row, &end).iter().any(|cause| message.contains(cause)),
            "no cause: {says}"
        );
        if result["timedOut"] == true || result["errorCode"] == "timeout" {
            seen[3] += 1;
            assert!(
                row.deadline || row.job == "deadline",
                "a timeout without a deadline: {says}"
            );
        }
        assert_eq!(result["errorCode"] == "cancelled", row.cancelled, "{says}");
        assert!(
            row.exit == 0 || result["exitCode"] != 0,
            "the host would take it for a success: {says}"
        );
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

/// The script knows which file it is, and what is wrong with it; its exit code tells only the kind.
#[test]
fn what_the_script_said_before_the_agent_is_the_reason() {
    let words = "cannot write /paperclip/r.pod.started: the shared volume is full";
    for (message, reason) in [
        (
            format!("paperclip: {words}\n"),
            format!("Volume not writable: {words}"),
        ),
        (
            String::new(),
            exit_codes::describe(exit_codes::LOG_UNWRITABLE)
                .expect("ours")
                .to_owned(),
        ),
    ] {
        let container = Some(ContainerEnd {
            exit_code: exit_codes::LOG_UNWRITABLE,
            reason: Some("Error".to_owned()),
            message,
        });
        let end = RunEnd::Exited(Evidence {
            container,
            record: None,
        });
        let report = conclude::judge(EndFacts {
            spec: &spec(),
            end: &end,
            unstarted: true,
            delivered: Delivery {
                transcript: Transcript::new(),
                excerpt: Excerpt::default(),
                proof: Proof::Unproven,
                bytes: 0,
            },
            stderr: String::new(),
        });
        assert_eq!(report.to_value()["errorMessage"], json!(reason));
    }
}

/// A volume that became read-only has taken nothing since, and opencode heard nothing of it.
#[test]
fn output_that_the_volume_has_lost_is_never_a_success_without_its_last_step() {
    for (output, code) in [("clean", json!(null)), ("open", json!("k8s_log_incomplete"))] {
        let record = json!({"v": 1, "run": "r", "pod": "pod-1", "exit": 0, "bytes": 9, "reason": "log_lost"});
        let end = RunEnd::Exited(Evidence {
            container: None,
            record: EndRecord::parse(&record.to_string(), "r"),
        });
        let report = conclude::judge(EndFacts {
            spec: &spec(),
            end: &end,
            unstarted: false,
            delivered: Delivery {
                transcript: transcript(output),
                excerpt: Excerpt::default(),
                proof: Proof::Proven,
                bytes: 9,
            },
            stderr: String::new(),
        });
        let told = report.to_value();
        assert_eq!(told["errorCode"], code, "{output}: {told}");
        assert_eq!(told["resultJson"]["logState"], json!("incomplete"), "{output}");
        let is_said = told["errorMessage"].to_string().contains("volume lost a part");
        assert_eq!(is_said, output == "open", "{output}: {told}");
    }
}
