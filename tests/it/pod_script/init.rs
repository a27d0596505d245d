//! The init container: the prompt byte for byte, and the checks before anything starts.

use std::fs;

use serde_json::json;

use super::{FILES, each};

#[test]
fn the_init_container_writes_the_prompt_and_checks_the_volume() {
    let prompt = "\\c \\n $$ $(HOME) $(X '\"` é 日本 🚀\n\n";
    let fields = json!({"prompt": prompt, "nonce": "n-1", "agentDbPath": "/paperclip/db/t/opencode.db"});
    each("cat", fields, |pod, shell| {
        fs::remove_file(pod.path("tmp/prompt/prompt.txt")).expect("removed");
        let end = pod.run_init();
        assert_eq!(end.code, 67, "{shell}: {}", end.stderr);
        fs::write(pod.server(&pod.manifest.paths.nonce), "n-1").expect("a nonce");
        let end = pod.run_init();
        assert_eq!((end.code, end.stderr.as_str()), (0, ""), "{shell}");
        assert_eq!(
            fs::read_to_string(pod.path("tmp/prompt/prompt.txt")).expect("a prompt"),
            prompt,
            "{shell}"
        );
        assert!(pod.path("paperclip/db/t").is_dir(), "{shell}");
        assert_eq!(pod.run("pod-1").stdout, prompt.as_bytes(), "{shell}");
        assert_eq!(pod.files().len(), FILES.len() + 1, "{shell}");
    });
}

#[test]
fn a_large_prompt_comes_from_its_secret() {
    let prompt = "$(HOME) $$ é 日本 🚀 \\c\n\0".repeat(10_000);
    each("cat", json!({ "prompt": prompt }), |pod, shell| {
        assert!(pod.manifest.secret.is_some(), "{shell}");
        fs::remove_file(pod.path("tmp/prompt/prompt.txt")).expect("removed");
        fs::create_dir_all(pod.path("tmp/prompt-secret")).expect("a folder");
        fs::write(pod.path("tmp/prompt-secret/prompt"), &prompt).expect("a secret");
        assert_eq!(pod.run_init().code, 0, "{shell}");
        assert!(pod.run("pod-1").stdout == prompt.as_bytes(), "{shell}");
    });
}

#[test]
fn a_failed_init_step_has_a_reason() {
    each("cat", json!({"promptSecretName": "absent"}), |pod, shell| {
        let end = pod.run_init();
        assert_eq!(end.code, 66, "{shell}");
        assert!(
            pod.last_words().contains("cannot make"),
            "{shell}: {}",
            pod.last_words()
        );
    });
}

#[test]
fn the_init_container_waits_for_the_nonce() {
    each("cat", json!({"nonce": "n-1"}), |pod, shell| {
        // The log is there before the Job is made, the nonce once no other Job of the agent may run.
        let log = pod.server(&pod.manifest.paths.log);
        fs::create_dir_all(log.parent().expect("a folder")).expect("made");
        fs::write(&log, "").expect("a log");
        let gate = pod.server(&pod.manifest.paths.nonce);
        let (end, opened) = std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(400));
                fs::write(&gate, "n-1").expect("opened");
                std::time::Instant::now()
            });
            let end = pod.run_init();
            let ended = std::time::Instant::now();
            (end, ended > server.join().expect("no panic"))
        });
        assert_eq!((end.code, opened), (0, true), "{shell}: {}", end.stderr);
    });
}

/// As after an error of the volume: there is something, and nobody can say what.
#[test]
fn a_nonce_that_cannot_be_read_for_a_moment_is_not_another_volume() {
    each("cat", json!({"nonce": "n-1"}), |pod, shell| {
        for file in [&pod.manifest.paths.log, &pod.manifest.paths.nonce] {
            fs::write(pod.server(file), "\n").expect("a file");
        }
        let nonce = pod.server(&pod.manifest.paths.nonce);
        let heals = format!(
            "#!/bin/sh\n[ \"$1\" != 0.2 ] || printf n-1 >{}\n",
            nonce.display()
        );
        pod.put("sleep", &heals);
        if shell != "busybox sh" {
            let end = pod.run_init();
            assert_eq!(end.code, 0, "{shell}: {}", end.stderr);
        }
        fs::write(&nonce, "\n").expect("a nonce");
        pod.put("sleep", "#!/bin/sh\n");
        if shell != "busybox sh" {
            let end = pod.run_init();
            assert_eq!(end.code, 66, "{shell}: {}", end.stderr);
            assert!(pod.last_words().contains("cannot read"), "{shell}");
        }
    });
}
