//! The pod's real script under every shell of the machine, with a stub in the place of opencode.

mod handed_over;
mod hostile;
mod init;
mod installed;
mod signals;
mod volume;

use std::fs;
use std::process::Command;
use std::thread;

use crate::support::pod::{Pod, ended, expand, shells, unread};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One case under every shell, all at once: what takes time here is waiting.
fn each(agent: &str, fields: Value, judge: impl Fn(&Pod, &str) + Sync) {
    thread::scope(|scope| {
        for shell in shells() {
            let (fields, judge) = (fields.clone(), &judge);
            scope.spawn(move || judge(&Pod::new(&shell, agent, fields), &shell.join(" ")));
        }
    });
}

/// What a passing test prints is shown to nobody, so this looks at the output of a whole process.
#[test]
fn a_shell_that_is_missing_is_said_aloud() {
    let none = tempfile::TempDir::new().expect("a folder");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "pod_script::a_killed_agent_is_recorded_as_such"])
        .env("PATH", none.path())
        .output()
        .expect("this program again");
    let said = String::from_utf8_lossy(&output.stderr);
    for shell in ["dash", "bash", "busybox"] {
        let line = format!("NOT TESTED: all cases under {shell}: it is not on this machine");
        assert_eq!(said.matches(&line).count(), 1, "{said}");
    }
}

/// The cases that wait out the script's own limits, side by side.
#[test]
fn nobody_holds_the_container() {
    thread::scope(|scope| {
        scope.spawn(a_grandchild_that_holds_the_output);
        scope.spawn(a_reader_that_never_reads);
        scope.spawn(signals::an_agent_that_ignores_term);
    });
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

const FILES: [&str; 4] = [
    "run-1.pod.end.json",
    "run-1.pod.ndjson",
    "run-1.pod.started",
    "run-1.pod.stderr.log",
];

#[test]
fn every_exit_status_comes_through_with_its_record() {
    let judge = |status: i32| {
        let agent = format!("cat; echo ' trouble' >&2; exit {status}");
        each(&agent, json!({}), |pod, shell| {
            let end = pod.run("pod-1");
            assert_eq!(end.code, status, "{shell}: {}", end.stderr);
            assert_eq!(end.stdout, pod.prompt.as_bytes(), "{shell}");
            assert_eq!(end.stdout, pod.log(), "{shell}");
            assert_eq!(
                (end.stderr.as_str(), pod.err().as_str()),
                (" trouble\n", " trouble\n"),
                "{shell}"
            );
            let signal = if status > 128 {
                json!(status - 128)
            } else {
                Value::Null
            };
            let record = json!({"v": 1, "run": "run-1", "pod": "pod-1", "exit": status, "signal": signal,
                "bytes": end.stdout.len(), "errBytes": 9, "sha256": hash(&end.stdout), "reason": null});
            assert_eq!(pod.record(), Some(record.clone()), "{shell}");
            let words = pod.last_words();
            let (line, rest) = words.split_once('\n').expect("two parts");
            assert_eq!(
                (serde_json::from_str::<Value>(line).expect("JSON"), rest),
                (record, " trouble\n"),
                "{shell}"
            );
            assert_eq!(pod.files(), FILES, "{shell}");
        });
    };
    thread::scope(|scope| {
        for status in [0, 1, 7, 127, 137, 143] {
            scope.spawn(move || judge(status));
        }
    });
}

#[test]
fn a_megabyte_and_an_immediate_exit_are_complete() {
    each(
        "head -c 1000000 /dev/zero | tr '\\0' x; printf 'é\\n'; exit 3",
        json!({}),
        |pod, shell| {
            let end = pod.run("pod-1");
            assert_eq!((end.code, end.stdout.len()), (3, 1_000_003), "{shell}");
            assert!(end.stdout == pod.log(), "{shell}");
            assert_eq!(
                pod.record().expect("a record")["sha256"],
                hash(&end.stdout),
                "{shell}"
            );
        },
    );
}

#[test]
fn output_is_shown_while_the_agent_runs() {
    use std::io::Read as _;
    // It says the rest when the first line has been read, or gives up.
    let agent = "echo first; i=0; while [ ! -e \"$HOME/go\" ]; do i=$((i+1)); [ $i -lt 1800 ] || exit 9; sleep 0.1; \
        done; echo last";
    each(agent, json!({}), |pod, shell| {
        let mut child = pod.start("pod-1");
        let mut first = [0; 6];
        child
            .stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut first)
            .expect("a line");
        assert_eq!(&first, b"first\n", "{shell}");
        fs::write(pod.path("paperclip/go"), "").expect("let go");
        assert_eq!(ended(child).stdout, b"last\n", "{shell}");
    });
}

fn a_grandchild_that_holds_the_output() {
    each("(sleep 300; echo late) & echo done", json!({}), |pod, shell| {
        let mut child = pod.start("pod-1");
        assert!(unread(&mut child).success(), "{shell}");
        assert_eq!(pod.log(), b"done\n", "{shell}");
        assert!(pod.record().is_some(), "{shell}");
    });
}

fn a_reader_that_never_reads() {
    each("head -c 1000000 /dev/zero", json!({}), |pod, shell| {
        let mut child = pod.start("pod-1");
        assert!(unread(&mut child).success(), "{shell}");
        assert_eq!(pod.record().expect("a record")["bytes"], 1_000_000, "{shell}");
    });
}

#[test]
fn a_killed_agent_is_recorded_as_such() {
    each("echo up; kill -KILL $$", json!({}), |pod, shell| {
        assert_eq!(pod.run("pod-1").code, 137, "{shell}");
        let record = pod.record().expect("a record");
        assert_eq!(
            (&record["exit"], &record["signal"], &record["bytes"]),
            (&json!(137), &json!(9), &json!(3)),
            "{shell}"
        );
    });
}

#[test]
fn a_missing_binary_says_so() {
    each("", json!({}), |pod, shell| {
        fs::remove_file(pod.path("bin/opencode")).expect("removed");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 127, "{shell}");
        assert!(
            end.stderr.contains("opencode") && end.stderr.contains("not found"),
            "{shell}: {}",
            end.stderr
        );
        assert!(pod.last_words().contains("not found"), "{shell}");
    });
}

#[test]
fn a_missing_or_short_prompt_is_refused_before_the_start() {
    each("touch \"$HOME/ran\"", json!({}), |pod, shell| {
        let prompt = pod.path("tmp/prompt/prompt.txt");
        fs::write(&prompt, "Do").expect("written");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 65, "{shell}");
        assert!(
            end.stderr.contains("has 2 of 21 bytes"),
            "{shell}: {}",
            end.stderr
        );
        fs::remove_file(&prompt).expect("removed");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 65, "{shell}");
        assert!(pod.last_words().contains("prompt.txt is missing"), "{shell}");
        assert!(
            pod.files().is_empty() && !pod.path("paperclip/ran").exists(),
            "{shell}"
        );
    });
}

#[test]
fn a_second_pod_does_nothing() {
    each("echo once; echo ran >>\"$HOME/ran\"", json!({}), |pod, shell| {
        assert_eq!(pod.run("pod-1").code, 0, "{shell}");
        let record = pod.record();
        let end = pod.run("pod-2");
        assert_eq!((end.code, end.stdout.len()), (64, 0), "{shell}");
        assert!(
            end.stderr.contains("pod-1") && pod.last_words().contains("already ran"),
            "{shell}: {}",
            end.stderr
        );
        assert_eq!(
            fs::read_to_string(pod.path("paperclip/ran")).expect("a mark"),
            "ran\n",
            "{shell}"
        );
        assert_eq!((pod.log(), pod.record()), (b"once\n".to_vec(), record), "{shell}");
        assert_eq!(pod.files(), FILES, "{shell}");
    });
}

/// A Job whose pod is deleted gets a second one. That may have passed its init container when the server, which has
/// seen the first one end, removes the files of the run, the start record among them.
#[test]
fn a_second_pod_after_the_run_was_harvested_does_nothing() {
    let agent = "touch \"$HOME/ran\"";
    each(agent, json!({"nonce": "n-$1"}), |pod, shell| {
        fs::write(pod.server(&pod.manifest.paths.nonce), "another").expect("of another run");
        for _ in 0..2 {
            let end = pod.run("pod-2");
            assert_eq!((end.code, end.stdout.len()), (64, 0), "{shell}: {}", end.stderr);
            assert!(pod.last_words().contains("this run is over"), "{shell}");
            assert!(!pod.path("paperclip/ran").exists(), "{shell}");
            let _ = fs::remove_file(pod.server(&pod.manifest.paths.nonce));
            assert!(pod.files().is_empty(), "{shell}: {:?}", pod.files());
        }
        fs::write(pod.server(&pod.manifest.paths.nonce), "n-$1").expect("a nonce");
        assert_eq!(pod.run("pod-1").code, 0, "{shell}");
        assert!(pod.path("paperclip/ran").exists(), "{shell}");
    });
}

/// Here it is empty; on a volume that fails it cannot be opened, or cannot be read.
#[test]
fn a_nonce_that_cannot_be_read_is_not_the_end_of_the_run() {
    each("touch \"$HOME/ran\"", json!({"nonce": "n-1"}), |pod, shell| {
        fs::write(pod.server(&pod.manifest.paths.nonce), "").expect("a nonce");
        pod.put("sleep", "#!/bin/sh\n");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 66, "{shell}: {}", end.stderr);
        assert!(
            pod.last_words().contains("cannot read"),
            "{shell}: {}",
            pod.last_words()
        );
        assert!(!pod.path("paperclip/ran").exists(), "{shell}");
        assert!(!pod.server(&pod.manifest.paths.started).exists(), "{shell}");
    });
}

/// A node is unreachable for long: the run is given up, and its agent ends when the node is back.
#[test]
fn a_run_that_was_given_up_leaves_nothing_when_it_ends() {
    let agent = "echo once; rm -f \"$HOME\"/instances/default/run-logs/*/*/*; exit 3";
    each(agent, json!({"nonce": "n-1"}), |pod, shell| {
        fs::write(pod.server(&pod.manifest.paths.nonce), "n-1").expect("a nonce");
        let end = pod.run("pod-1");
        assert_eq!(
            (end.code, end.stdout.as_slice()),
            (3, b"once\n".as_slice()),
            "{shell}"
        );
        assert!(
            pod.last_words().contains("this run is over"),
            "{shell}: {}",
            pod.last_words()
        );
        assert!(pod.files().is_empty(), "{shell}: {:?}", pod.files());
    });
}

#[test]
fn a_folder_that_cannot_be_written_says_so() {
    each("touch \"$HOME/ran\"", json!({}), |pod, shell| {
        fs::remove_dir(pod.server(&pod.manifest.paths.dir)).expect("removed");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 66, "{shell}");
        assert!(end.stderr.contains("cannot write to"), "{shell}: {}", end.stderr);
        assert!(!pod.path("paperclip/ran").exists(), "{shell}");
    });
}

#[test]
fn a_log_over_the_limit_ends_the_agent() {
    let agent = "while :; do head -c 2000 /dev/zero | tr '\\0' x; sleep 0.05; done";
    each(agent, json!({"config": {"maxLogBytes": 10_000}}), |pod, shell| {
        let end = pod.run("pod-1");
        assert_eq!(end.code, 68, "{shell}: {}", end.stderr);
        let record = pod.record().expect("a record");
        assert_eq!(
            (&record["exit"], &record["reason"]),
            (&json!(143), &json!("log_too_large")),
            "{shell}"
        );
        let bytes = record["bytes"].as_u64().expect("a number");
        assert_eq!(
            record["sha256"],
            hash(&pod.log()[..usize::try_from(bytes).expect("small")]),
            "{shell}"
        );
    });
}

#[test]
fn without_sha256sum_the_digest_is_null() {
    each("echo x", json!({}), |pod, shell| {
        let stub = pod.path("bin/sha256sum");
        fs::write(&stub, "#!/bin/sh\nexit 127\n").expect("a stub");
        Command::new("chmod")
            .arg("755")
            .arg(&stub)
            .status()
            .expect("chmod");
        assert_eq!(pod.run("pod-1").code, 0, "{shell}");
        let record = pod.record().expect("a record");
        // busybox has it built in and does not look for another.
        assert!(
            record["sha256"].is_null() || shell == "busybox sh",
            "{shell}: {record}"
        );
    });
}

#[test]
fn long_stderr_is_whole_beside_the_log_and_its_end_in_the_last_words() {
    each(
        "i=0; while [ $i -lt 400 ]; do echo \"error line $i\" >&2; i=$((i+1)); done",
        json!({}),
        |pod, shell| {
            let end = pod.run("pod-1");
            assert_eq!(end.stderr, pod.err(), "{shell}");
            assert_eq!(
                pod.record().expect("a record")["errBytes"],
                pod.err().len(),
                "{shell}"
            );
            let words = pod.last_words();
            assert!(
                words.len() < 4096 && words.ends_with("error line 399\n"),
                "{shell}"
            );
        },
    );
}

#[test]
fn the_expansion_of_these_tests_is_the_kubelets() {
    let known = [("A".to_owned(), "1".to_owned())].into();
    let table = [
        ("$(A)", "1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("a$", "a$"),
        ("$$", "$"),
        ("$$$", "$$"),
    ];
    for (text, out) in table {
        assert_eq!(expand(text, &known), out, "{text}");
    }
}
