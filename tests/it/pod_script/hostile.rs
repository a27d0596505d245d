//! Other agents can write where the pod's files lie: what they lay there is neither followed, nor waited for, nor
//! shown.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{each, hash};
use crate::support::pod::Pod;

fn pipe(path: &Path) {
    assert!(
        Command::new("mkfifo")
            .arg(path)
            .status()
            .expect("mkfifo")
            .success()
    );
}

fn is_refused(pod: &Pod, shell: &str) {
    let end = pod.run("pod-1");
    assert_eq!(end.code, 66, "{shell}: {}", end.stderr);
    assert!(
        pod.last_words().contains("is a link, a pipe or a folder"),
        "{shell}: {}",
        pod.last_words()
    );
    for said in [end.stderr, pod.last_words()] {
        assert!(
            !said.contains("Do $(HOME)") && !said.contains("precious"),
            "{shell}: {said}"
        );
    }
    assert!(!pod.path("paperclip/ran").exists(), "{shell}");
}

#[test]
fn a_link_a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_before_it_is_used() {
    type Lay = fn(&Path, &Pod);
    let lays: [Lay; 5] = [
        |at, pod| symlink(pod.path("tmp/prompt/prompt.txt"), at).expect("a link"),
        |at, _| symlink("/dev/null", at).expect("a link"),
        |at, pod| symlink(pod.path("tmp/nobody"), at).expect("a link"),
        |at, _| pipe(at),
        |at, _| fs::create_dir(at).expect("a folder"),
    ];
    std::thread::scope(|scope| {
        for lay in lays {
            scope.spawn(move || {
                each("touch \"$HOME/ran\"; echo precious", json!({}), |pod, shell| {
                    let paths = &pod.manifest.paths;
                    for file in [&paths.started, &paths.log, &paths.stderr] {
                        lay(&pod.server(file), pod);
                        is_refused(pod, shell);
                        let at = pod.server(file);
                        let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir(&at));
                        let has_started = pod.server(&paths.started).exists();
                        assert!(!has_started, "{shell}: nothing says that the agent may have run");
                    }
                    assert!(!pod.path("tmp/nobody").exists(), "{shell}");
                    let prompt = fs::read_to_string(pod.path("tmp/prompt/prompt.txt")).expect("a prompt");
                    assert_eq!(prompt, pod.prompt, "{shell}");
                });
            });
        }
    });
}

#[test]
fn a_start_record_of_another_form_shows_nothing_of_itself() {
    for content in [
        "secret words",
        "{\"v\":1,\"run\":\"run-1\",\"pod\":\"a b secret\"}",
        "\u{0}secret",
    ] {
        each("echo x", json!({}), |pod, shell| {
            fs::write(pod.server(&pod.manifest.paths.started), content).expect("laid");
            let end = pod.run("pod-1");
            assert_eq!(end.code, 64, "{shell}");
            let said = format!("{}{}", end.stderr, pod.last_words());
            assert!(
                said.contains("already ran") && !said.contains("secret"),
                "{shell}: {said}"
            );
        });
    }
}

#[test]
fn a_pipe_in_the_place_of_the_nonce_ends_the_run() {
    each("echo x", json!({"nonce": "n-1"}), |pod, shell| {
        pipe(&pod.server(&pod.manifest.paths.nonce));
        assert_eq!(pod.run("pod-1").code, 64, "{shell}");
        fs::write(pod.server(&pod.manifest.paths.log), "").expect("a log");
        assert_eq!(pod.run_init().code, 66, "{shell}");
    });
}

/// The draft of the end record, and its place.
#[test]
fn the_end_record_is_written_over_nothing() {
    each("echo out", json!({}), |pod, shell| {
        let precious = pod.path("tmp/precious");
        fs::write(&precious, "precious").expect("written");
        let end = pod.server(&pod.manifest.paths.end);
        let draft = end.with_file_name(".run-1.pod.end");
        for place in [&end, &draft] {
            symlink(&precious, place).expect("a link");
        }
        assert_eq!(pod.run("pod-1").code, 0, "{shell}");
        assert_eq!(
            fs::read_to_string(&precious).expect("text"),
            "precious",
            "{shell}"
        );
        assert!(
            !fs::symlink_metadata(&end).expect("a record").is_symlink(),
            "{shell}"
        );
        assert_eq!(pod.record().expect("a record")["bytes"], 4, "{shell}");
    });
}

#[test]
fn an_end_record_that_cannot_take_its_place_is_said() {
    each("echo out; exit 3", json!({}), |pod, shell| {
        let end = pod.server(&pod.manifest.paths.end);
        fs::create_dir_all(end.join("kept")).expect("a folder");
        let ended = pod.run("pod-1");
        assert_eq!(ended.code, 3, "{shell}");
        assert!(ended.stderr.contains("cannot write"), "{shell}: {}", ended.stderr);
        let words = pod.last_words();
        let first: Value = serde_json::from_str(words.lines().next().expect("a line")).expect("JSON");
        assert_eq!(first["exit"], 3, "{shell}");
    });
}

#[test]
fn the_record_is_about_the_file_that_the_agent_wrote_to() {
    let agent = r#"echo one; log=$(ls "$HOME"/instances/default/run-logs/*/*/*.ndjson); cp "$log" "$HOME/copy"
        mv "$HOME/copy" "$log"; echo two"#;
    each(agent, json!({}), |pod, shell| {
        let end = pod.run("pod-1");
        assert_eq!(end.stdout, b"one\ntwo\n", "{shell}");
        assert!(
            end.stderr.contains("another process has replaced it"),
            "{shell}: {}",
            end.stderr
        );
        let record = pod.record().expect("a record");
        assert_eq!(
            (&record["bytes"], &record["sha256"]),
            (&json!(8), &json!(hash(b"one\ntwo\n"))),
            "{shell}"
        );
        assert_eq!(pod.log(), b"one\n", "{shell}: the name has the copy");
    });
}

#[test]
fn stderr_that_became_a_link_shows_what_the_agent_wrote() {
    let agent = r#"echo mine >&2; err=$(ls "$HOME"/instances/default/run-logs/*/*/*.stderr.log); rm "$err"
        ln -s /proc/self/environ "$err""#;
    each(agent, json!({}), |pod, shell| {
        assert_eq!(pod.run("pod-1").code, 0, "{shell}");
        assert!(
            pod.last_words().ends_with("mine\n"),
            "{shell}: {}",
            pod.last_words()
        );
    });
}

#[test]
fn one_limit_holds_for_both_files() {
    let agent = "while :; do head -c 2000 /dev/zero | tr '\\0' x >&2; sleep 0.05; done";
    each(agent, json!({"config": {"maxLogBytes": 10_000}}), |pod, shell| {
        assert_eq!(pod.run("pod-1").code, 68, "{shell}");
        let record = pod.record().expect("a record");
        assert_eq!(
            (&record["bytes"], &record["reason"]),
            (&json!(0), &json!("log_too_large")),
            "{shell}"
        );
    });
}

/// A file of any size costs its maker nothing; to read it would cost hours.
#[test]
fn a_log_of_terabytes_ends_in_time() {
    let agent = r#"truncate -s 8T "$HOME"/instances/default/run-logs/*/*/*.ndjson"#;
    std::thread::scope(|scope| {
        for limit in [0, 1_000_000] {
            scope.spawn(move || {
                each(agent, json!({"config": {"maxLogBytes": limit}}), |pod, shell| {
                    let mut child = pod.start("pod-1");
                    let status = crate::support::pod::unread(&mut child);
                    let record = pod.record().expect("a record");
                    assert_eq!(record["sha256"], Value::Null, "{shell}");
                    let wanted = if limit == 0 { 0 } else { 68 };
                    assert_eq!(status.code(), Some(wanted), "{shell}");
                });
            });
        }
    });
}
