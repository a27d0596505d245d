//! Signals: what the kubelet sends reaches the agent, and the record is still written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::each;
use crate::support::pod::{Pod, ended, until};

/// Waits until the agent has written its first line.
fn wait_for_output(pod: &Pod) {
    until("the agent's first line", || !pod.log().is_empty());
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .expect("kill");
    assert!(status.success());
}

#[test]
fn term_reaches_the_agent_and_its_own_status_is_kept() {
    let agent = "trap 'echo >\"$HOME/got\"; echo bye; exit 9' TERM; echo up; while :; do sleep 0.1; done";
    each(agent, json!({}), |pod, shell| {
        let child = pod.start("pod-1");
        wait_for_output(pod);
        signal(child.id(), "TERM");
        until("the agent's TERM", || pod.path("paperclip/got").exists());
        let end = ended(child);
        assert_eq!(
            (end.code, end.stdout.as_slice()),
            (9, b"up\nbye\n".as_slice()),
            "{shell}"
        );
        let record = pod.record().expect("a record");
        assert_eq!(
            (&record["exit"], &record["signal"]),
            (&json!(9), &Value::Null),
            "{shell}"
        );
    });
}

#[test]
fn term_before_the_start_starts_nothing() {
    each("touch \"$HOME/ran\"; exec sleep 30", json!({}), |pod, shell| {
        // The shell is held inside the script, before it starts the agent.
        let slow = pod.path("bin/stat");
        let (held, go) = (pod.path("held"), pod.path("go"));
        let wait = format!(
            "#!/bin/sh\n: >'{}'\nwhile [ ! -e '{}' ]; do sleep 0.05; done\nexit 1\n",
            held.display(),
            go.display()
        );
        fs::write(&slow, wait).expect("a stub");
        fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).expect("a mode");
        let child = pod.start("pod-1");
        // busybox has stat built in and is past this place already.
        let ran = pod.path("paperclip/ran");
        until("the place to wait", || held.exists() || ran.exists());
        signal(child.id(), "TERM");
        fs::write(&go, "").expect("let go");
        assert_eq!(ended(child).code, 143, "{shell}");
        assert!(
            !pod.path("paperclip/ran").exists() || shell == "busybox sh",
            "{shell}"
        );
        assert_eq!(pod.record().expect("a record")["signal"], 15, "{shell}");
    });
}

#[test]
fn term_kills_an_agent_without_a_handler() {
    each("echo up; exec sleep 30", json!({}), |pod, shell| {
        let child = pod.start("pod-1");
        wait_for_output(pod);
        signal(child.id(), "TERM");
        assert_eq!(ended(child).code, 143, "{shell}");
        assert_eq!(pod.record().expect("a record")["signal"], 15, "{shell}");
    });
}

pub(crate) fn an_agent_that_ignores_term() {
    each(
        "trap '' TERM; echo up; while :; do sleep 0.1; done",
        json!({}),
        |pod, shell| {
            let child = pod.start("pod-1");
            wait_for_output(pod);
            signal(child.id(), "TERM");
            assert_eq!(ended(child).code, 137, "{shell}");
            assert_eq!(pod.record().expect("a record")["signal"], 9, "{shell}");
        },
    );
}
