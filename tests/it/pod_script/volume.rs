//! A volume that is full or read-only, before the agent starts and in mid-run.

use std::fs;
use std::io::Read as _;

use serde_json::json;

use super::each;
use crate::support::pod::{Pod, ended, left_out};

/// Runs the agent on a small volume and gives exit code, stderr, last words and the names left in the folder.
fn on_volume(agent: &str, prepare: &str, judge: impl Fn(i32, &str, &str, &str, &str) + Sync) {
    each(agent, json!({}), |pod, shell| match pod.run_on_volume(prepare) {
        Some((end, left)) => judge(end.code, &end.stderr, &pod.last_words(), &left, shell),
        None => left_out("volumes that are full or read-only: nobody may mount here"),
    });
}

#[test]
fn a_read_only_volume_says_so() {
    let prepare = "mount -t tmpfs -o ro none \"$DIR\"";
    on_volume(
        "touch \"$HOME/ran\"",
        prepare,
        |code, stderr, words, left, shell| {
            assert_eq!(code, 66, "{shell}: {stderr}");
            assert!(
                stderr.contains("is read-only, full, or not ours"),
                "{shell}: {stderr}"
            );
            assert_eq!((words, left), (stderr, ""), "{shell}");
        },
    );
}

#[test]
fn a_volume_without_room_for_a_file_says_so() {
    let prepare = "mount -t tmpfs -o nr_inodes=1 none \"$DIR\"";
    on_volume("true", prepare, |code, stderr, words, left, shell| {
        assert_eq!(code, 66, "{shell}: {stderr}");
        assert!(
            words.contains("is read-only, full, or not ours"),
            "{shell}: {words}"
        );
        assert_eq!(left, "", "{shell}");
    });
}

#[test]
fn a_volume_without_room_for_a_byte_says_so() {
    let prepare = "mount -t tmpfs -o size=4k none \"$DIR\"; head -c 4096 /dev/zero >\"$DIR/full\"";
    on_volume("true", prepare, |code, stderr, words, left, shell| {
        assert_eq!(code, 66, "{shell}: {stderr}");
        assert!(words.contains("the shared volume is full"), "{shell}: {words}");
        assert_eq!(left, "full\n", "{shell}: the start record is taken back");
    });
}

#[test]
fn a_volume_that_fills_up_keeps_the_agents_status_and_says_so() {
    let prepare = "mount -t tmpfs -o size=64k none \"$DIR\"";
    let agent = "head -c 100000 /dev/zero; exit 3";
    on_volume(agent, prepare, |code, stderr, words, left, shell| {
        assert_eq!(code, 3, "{shell}: {stderr}");
        assert!(words.starts_with("{\"v\":1,"), "{shell}: {words}");
        assert!(
            words.contains("the shared volume is read-only, full"),
            "{shell}: {words}"
        );
        assert!(!left.contains(".end"), "{shell}: {left}");
    });
}

/// As on NFSv3, where a file that was removed on the server cannot be asked for anything, and has its name for a while.
#[test]
fn a_log_that_cannot_be_asked_for_its_size_gets_no_record() {
    let agent = "echo out; : >\"$HOME/ended\"; exit 3";
    each(agent, json!({}), |pod, shell| {
        for (tool, refused) in [("stat", "*"), ("wc", "-c")] {
            let real = ["/usr/bin", "/bin"].map(|folder| format!("{folder}/{tool}"));
            let real = real
                .iter()
                .find(|path| fs::exists(path).unwrap_or(false))
                .expect("a tool");
            let stub = format!(
                "#!/bin/sh\ncase $1 in {refused}) [ ! -e \"$HOME/ended\" ] || exit 1 ;; esac\nexec {real} \"$@\"\n"
            );
            pod.put(tool, &stub);
        }
        let end = pod.run("pod-1");
        assert_eq!(end.code, 3, "{shell}: {}", end.stderr);
        // busybox has both built in and does not look for others.
        if shell != "busybox sh" {
            assert_eq!(pod.record(), None, "{shell}");
            assert!(end.stderr.contains("cannot read"), "{shell}: {}", end.stderr);
            assert!(!pod.last_words().contains("{\"v\""), "{shell}");
        }
    });
}

/// Where the machine has this tool.
fn real(tool: &str) -> String {
    let places = ["/usr/bin", "/bin"].map(|folder| format!("{folder}/{tool}"));
    let mut here = places
        .into_iter()
        .filter(|path| fs::exists(path).unwrap_or(false));
    here.next().expect("a tool")
}

/// What happens while the script waits `seconds` for the volume, the first time; it waits no time at all.
fn meanwhile(pod: &Pod, seconds: &str, act: &str) {
    let real = real("sleep");
    pod.put(
        "sleep",
        &format!(
            "#!/bin/sh\n[ \"$1\" = {seconds} ] || exec {real} \"$@\"\n\
             [ ! -e \"$HOME/acted\" ] || exit 0\n: >\"$HOME/acted\"\n{act}\n"
        ),
    );
}

/// What happens when the script asks for the size of a file whose name ends so, the first time.
fn at_a_look(pod: &Pod, end: &str, act: &str) {
    let real = real("stat");
    pod.put(
        "stat",
        &format!(
            "#!/bin/sh\ncase $*:$(cat \"$HOME/looked\" 2>/dev/null) in *{end}:)\n\
             echo x >\"$HOME/looked\"; {act} ;;\nesac\nexec {real} \"$@\"\n"
        ),
    );
    pod.put("wc", "#!/bin/sh\nexit 1\n");
}

/// A folder of which the system says neither that it is there nor that it is not, and what ends that.
fn away(pod: &Pod) -> (String, String) {
    let folder = pod.server(&pod.manifest.paths.dir);
    let folder = folder.to_str().expect("a path");
    (
        format!("mv {folder} {folder}.real && ln -s {folder} {folder}"),
        format!("rm {folder} && mv {folder}.real {folder}"),
    )
}

/// busybox has these tools built in and does not look for others.
const BUSYBOX: &str = "busybox sh";

#[test]
fn a_start_record_that_cannot_be_read_for_a_moment_is_read_again() {
    each("echo out", json!({}), |pod, shell| {
        at_a_look(pod, ".started", "exit 1");
        meanwhile(pod, "0.5", "");
        let end = pod.run("pod-1");
        assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
        assert_eq!(pod.record().expect("a record")["bytes"], json!(4), "{shell}");
    });
}

#[test]
fn a_nonce_that_cannot_be_asked_for_a_moment_is_not_absent() {
    each("echo out", json!({"nonce": "n-1"}), |pod, shell| {
        if shell == BUSYBOX {
            return;
        }
        fs::write(pod.server(&pod.manifest.paths.nonce), "n-1").expect("a nonce");
        let (leave, come_back) = away(pod);
        at_a_look(pod, ".nonce", &leave);
        meanwhile(pod, "0.5", &come_back);
        let end = pod.run("pod-1");
        assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
        assert_eq!(pod.record().expect("a record")["bytes"], json!(4), "{shell}");
    });
}

#[test]
fn a_log_that_cannot_be_asked_for_a_moment_is_not_gone() {
    each("", json!({}), |pod, shell| {
        if shell == BUSYBOX {
            return;
        }
        let (leave, come_back) = away(pod);
        pod.install(&format!("echo out; {leave}; exit 3"));
        meanwhile(pod, "0.5", &come_back);
        let end = pod.run("pod-1");
        assert_eq!((end.code, end.stderr.as_str()), (3, ""), "{shell}");
        let record = pod.record().expect("a record");
        assert_eq!(record["bytes"], json!(4), "{shell}");
        assert_eq!(record["sha256"], json!(super::hash(b"out\n")), "{shell}");
    });
}

#[test]
fn a_size_that_nobody_says_for_a_moment_is_asked_for_again() {
    each("echo out", json!({}), |pod, shell| {
        at_a_look(pod, "/fd/3", "exit 1");
        meanwhile(pod, "0.5", "");
        let end = pod.run("pod-1");
        assert_eq!((end.code, end.stderr.as_str()), (0, ""), "{shell}");
        assert_eq!(pod.record().expect("a record")["bytes"], json!(4), "{shell}");
    });
}

/// A volume that became read-only takes what is written, and tells only whoever waits for it.
#[test]
fn output_that_the_volume_has_not_taken_is_said_in_the_record() {
    each("echo out; exit 0", json!({}), |pod, shell| {
        // The first call finds out what this `dd` can do, on a folder of the pod's own.
        pod.put(
            "dd",
            "#!/bin/sh\ncase $* in *of=*) : ;; *) echo 'fsync failed: Read-only' >&2; exit 1 ;; esac\n",
        );
        let end = pod.run("pod-1");
        assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
        // busybox has it built in and does not look for others.
        if shell != "busybox sh" {
            let record = pod.record().expect("a record");
            assert_eq!(
                (&record["reason"], &record["exit"]),
                (&json!("log_lost"), &json!(0)),
                "{shell}"
            );
            assert!(pod.last_words().contains("output was lost"), "{shell}");
        }
    });
}

#[test]
fn where_nobody_can_wait_for_the_volume_nothing_counts_as_lost() {
    let cannot = "case $* in *of=*) : ;; *) echo 'fsync failed: Operation not supported' >&2; exit 1 ;; esac";
    let killed = "case $* in *of=*) : ;; *) kill -KILL $$ ;; esac";
    for dd in ["exit 127", cannot, killed] {
        each("echo out", json!({}), |pod, shell| {
            pod.put("dd", &format!("#!/bin/sh\n{dd}\n"));
            assert_eq!(pod.run("pod-1").code, 0, "{shell}");
            assert_eq!(
                pod.record().expect("a record")["reason"],
                json!(null),
                "{shell}: {dd}"
            );
        });
    }
}

/// An NFS client keeps what was written for up to a minute, unless somebody asks for the file's size.
#[test]
fn the_size_of_both_files_is_asked_for_in_each_round_so_that_lines_reach_the_server_in_time() {
    let agent = "echo line; until [ -e \"$HOME/go\" ]; do sleep 0.05; done";
    each(agent, json!({}), |pod, shell| {
        let mut child = pod.start_traced();
        // It is printed by a round, because the agent has not ended.
        let mut first = [0; 5];
        let stdout = child.stdout.as_mut().expect("stdout");
        stdout.read_exact(&mut first).expect("a line");
        fs::write(pod.path("paperclip/go"), "").expect("written");
        let end = ended(child);
        assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
        let trace = end.stderr.replace('\'', "");
        let count = |is: &dyn Fn(&str) -> bool| trace.lines().filter(|line| is(line)).count();
        let rounds = count(&|line| line.ends_with("+ cat")) / 2 - 1;
        assert!(rounds > 0, "{shell}: {trace}");
        for names in [["/fd/3 ", ".pod.ndjson "], ["/fd/4 ", ".pod.stderr.log "]] {
            let asked = count(&|line| line.contains("[ -s ") && names.iter().any(|name| line.contains(name)));
            assert!(asked >= rounds, "{shell}: {asked} of {rounds} rounds: {trace}");
        }
    });
}

/// NFSv4 opens what a descriptor names by the name that it had: where another file has that name by now, the open one
/// cannot be read any more. So a log that was replaced is not opened for writing, as it else is for its flush where
/// there is no `dd`.
#[test]
fn a_log_that_was_replaced_is_not_opened_again() {
    let replaces = r#"
        log=$(ls "$HOME"/instances/default/run-logs/*/*/*.ndjson); cp "$log" "$HOME/copy"; mv "$HOME/copy" "$log""#;
    for (more, flushed) in [("true", 2), (replaces, 1)] {
        each(&format!("echo one; {more}; echo two"), json!({}), |pod, shell| {
            pod.put("dd", "#!/bin/sh\nexit 127\n");
            let end = ended(pod.start_traced());
            if shell == "busybox sh" {
                return;
            }
            assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
            let opens = |line: &&str| line.trim_start_matches('+').trim() == "true";
            assert_eq!(
                end.stderr.lines().filter(opens).count(),
                flushed,
                "{shell}: {}",
                end.stderr
            );
            assert_eq!(pod.record().expect("a record")["bytes"], 8, "{shell}");
        });
    }
}
