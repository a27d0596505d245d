use std::time::Duration;

use super::*;
use serde_json::{Value, json};

fn pod(node: Option<&str>, status: Value) -> Pod {
    serde_json::from_value(json!({
        "spec": {"nodeName": node, "initContainers": [{"name": "write-prompt", "image": "init:1"}],
            "containers": [{"name": "opencode", "image": "agent:1"}]}, "status": status}))
    .expect("a pod")
}

fn container(name: &str, state: Value) -> Value {
    json!([{"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
}

#[test]
fn a_proxy_beside_the_prompt_hands_nothing_over() {
    let running = container("istio-proxy", json!({"running": {}}));
    let phase = phase_of(&pod(Some("n1"), json!({"initContainerStatuses": running})));
    assert!(matches!(phase, Some(Phase::Pulling { image, .. }) if image == "init:1"));
}

#[test]
fn the_phase_follows_the_pod() {
    let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
    let running = json!({"running": {}});
    let pulling = |image: &str| Phase::Pulling {
        image: image.to_owned(),
        node: "n1".to_owned(),
    };
    let cases = [
        (
            pod(None, json!({"phase": "Pending"})),
            Some(Phase::Unscheduled { why: None }),
        ),
        (
            pod(Some("n1"), json!({"phase": "Pending"})),
            Some(pulling("init:1")),
        ),
        (
            pod(
                Some("n1"),
                json!({"initContainerStatuses": container("write-prompt", waiting("PodInitializing"))}),
            ),
            Some(pulling("init:1")),
        ),
        (
            pod(
                Some("n1"),
                json!({"initContainerStatuses": container("write-prompt", waiting("ImagePullBackOff"))}),
            ),
            Some(Phase::Held {
                why: "container write-prompt: ImagePullBackOff: no message".to_owned(),
                node: "n1".to_owned(),
            }),
        ),
        (
            pod(
                Some("n1"),
                json!({"initContainerStatuses": container("write-prompt", json!({"terminated": {"exitCode": 0}})),
                    "containerStatuses": container("opencode", waiting("PodInitializing"))}),
            ),
            Some(pulling("agent:1")),
        ),
        (
            pod(
                Some("n1"),
                json!({"initContainerStatuses": container("write-prompt", running.clone())}),
            ),
            Some(Phase::Starting),
        ),
        (
            pod(
                Some("n1"),
                json!({"containerStatuses": container("opencode", running)}),
            ),
            Some(Phase::Running),
        ),
        (
            pod(
                Some("n1"),
                json!({"containerStatuses": container("opencode", json!({"terminated": {"exitCode": 0}}))}),
            ),
            None,
        ),
    ];
    for (pod, phase) in cases {
        assert_eq!(phase_of(&pod), phase, "{:?}", pod.status);
    }
}

fn at_work(tool: Option<&str>, words: Option<&str>) -> RunState {
    RunState {
        phase: Phase::Running,
        activity: Activity {
            tool: tool.map(str::to_owned),
            words: words.map(str::to_owned),
        },
        wanted_from: Some(Instant::now()),
        ..RunState::default()
    }
}

#[test]
fn an_agent_at_work_shows_its_tool_or_its_text() {
    let shown = |now: &RunState| serde_json::to_value(now.progress()).expect("plain data");
    assert_eq!(
        shown(&at_work(Some("bash"), Some("I look\ninto it."))),
        json!({"phase": "adapter_startup", "message": "Using bash", "currentToolName": "bash",
            "lastAssistantSnippet": "I look into it."})
    );
    let words = shown(&at_work(None, Some("Done.")));
    assert_eq!(
        (&words["message"], &words["currentToolName"]),
        (&json!("Done."), &Value::Null)
    );
    assert_eq!(shown(&at_work(None, None))["message"], "The agent is at work");
    let long = shown(&at_work(Some(&"t".repeat(500)), Some(&"word ".repeat(500))));
    let chars = |field: &str| long[field].as_str().map(|text| text.chars().count());
    assert!(chars("message") <= Some(MESSAGE_CHARS) && chars("currentToolName") <= Some(TOOL_CHARS));
    assert!(chars("lastAssistantSnippet") <= Some(TEXT_CHARS));
}

#[test]
fn phases_are_words_of_the_host() {
    let places = [
        Phase::Preparing,
        Phase::Waiting { who: "a".to_owned() },
        Phase::Creating,
        Phase::Unscheduled {
            why: Some("0/3 nodes".to_owned()),
        },
        Phase::Pulling {
            image: "i".to_owned(),
            node: "n".to_owned(),
        },
        Phase::Held {
            why: "ErrImagePull".to_owned(),
            node: "n".to_owned(),
        },
        Phase::Starting,
        Phase::Running,
        Phase::Ending,
        Phase::GivenUp,
        Phase::Proving,
        Phase::CleaningUp,
    ];
    for phase in places {
        let now = RunState {
            phase,
            ..RunState::default()
        };
        let progress = now.progress();
        assert!(["adapter_startup", "finalize"].contains(&progress.phase));
        assert!(!progress.message.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_a_second_and_none_for_the_same() {
    let mut throttle = Throttle::default();
    let first = at_work(Some("read"), None);
    let start = Instant::now();
    assert_eq!(throttle.due(&first), Some(start));
    throttle.sent(start, first.progress());
    assert_eq!(throttle.due(&first), None);
    tokio::time::advance(Duration::from_millis(300)).await;
    let second = at_work(Some("bash"), None);
    assert_eq!(throttle.due(&second), Some(start + PROGRESS_INTERVAL));
    assert_eq!(
        throttle.due(&RunState {
            wanted_from: None,
            ..second
        }),
        None
    );
}
