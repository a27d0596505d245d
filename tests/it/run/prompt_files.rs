//! The files of a prompt: what cannot be read is said, what hangs ends, and everything has a bound.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use opencode_k8s::run::prompt_files::{MAX_FILE_BYTES, MAX_SKILLS, MAX_SUM_BYTES, list, read};
use opencode_k8s::run::volume::blocking::{Volume, Work, Workers};
use serde_json::{Value, json};
use tokio::time::Instant;

async fn read_here(root: &Path, request: Value) -> Value {
    let mut request = request;
    request["dataRoot"] = json!(root);
    read(&Volume::default(), &request.to_string()).await
}

fn warnings(answer: &Value) -> Vec<&str> {
    let list = answer["warnings"].as_array().expect("a list");
    list.iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn what_cannot_be_read_is_a_warning_that_says_why() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("skill")).expect("a folder");
    fs::write(at("skill/SKILL.md"), "SKILL").expect("written");
    fs::write(at("file.md"), "FILE").expect("written");
    let skill = |name: &str| json!({ "key": name, "source": at(name) });
    let request = json!({
        "instructions": at("none.md"),
        "skills": [skill("skill"), {"key": "go\u{202e}ne", "source": at("gone")}, skill("file.md")],
    });
    let answer = read_here(root.path(), request).await;
    assert_eq!(answer["instructions"], "");
    assert_eq!(answer["skills"], json!(["SKILL", "FILE"]));
    let not_there = |name: &str| format!("{}: no such file", at(name).display());
    let expected = [
        format!(
            "Warning: instructionsFilePath not readable: {}",
            not_there("none.md")
        ),
        format!("Warning: skill go ne not readable: {}", not_there("gone")),
    ];
    assert_eq!(warnings(&answer), expected);
}

#[tokio::test]
async fn each_file_their_number_and_their_sum_have_a_bound() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name);
    fs::write(at("full"), "x".repeat(MAX_FILE_BYTES)).expect("written");
    fs::write(at("over"), "x".repeat(MAX_FILE_BYTES + 1)).expect("written");
    let skills: Vec<Value> = (0..MAX_SKILLS + 2)
        .map(|key| json!({ "key": key.to_string(), "source": at("full") }))
        .collect();
    let answer = read_here(
        root.path(),
        json!({ "instructions": at("over"), "skills": skills }),
    )
    .await;
    let texts = answer["skills"].as_array().expect("a list");
    assert_eq!(texts.len(), MAX_SUM_BYTES / MAX_FILE_BYTES);
    let warnings = warnings(&answer);
    assert_eq!(warnings.len(), 2 + MAX_SKILLS - texts.len());
    assert!(
        warnings[0].contains("over: it is larger than 256 KiB"),
        "{}",
        warnings[0]
    );
    assert!(warnings[1].contains("1024 KiB at most"), "{}", warnings[1]);
    let last = warnings.last().expect("one");
    assert!(last.contains("2 skills left out"), "{last}");
}

/// A volume that answers nothing.
struct Hangs;

impl Workers for Hangs {
    fn begin(&self, _work: Work) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_hangs_ends_the_run_in_time() {
    let volume = Volume::new(Hangs);
    let since = Instant::now();
    let request = json!({ "dataRoot": "/paperclip", "instructions": "/paperclip/AGENTS.md" });
    let answer = read(&volume, &request.to_string()).await;
    assert_eq!(since.elapsed(), Duration::from_secs(30));
    assert_eq!(answer["failure"]["errorCode"], "k8s_shared_volume_missing");
    let message = answer["failure"]["errorMessage"].as_str().expect("text");
    assert!(message.contains("30 s at /paperclip/AGENTS.md"), "{message}");
    assert_eq!(
        answer["failure"]["executionRecovery"]["providerWorkStarted"],
        false
    );
    let request = json!({ "dataRoot": "/paperclip", "folders": ["/a", "/b"] });
    let answer = list(&volume, &request.to_string()).await;
    assert_eq!(
        since.elapsed(),
        Duration::from_secs(60),
        "one bound for all folders"
    );
    assert_eq!(answer["failure"]["errorCode"], "k8s_shared_volume_missing");
}

#[tokio::test]
async fn the_first_folder_of_skills_that_can_be_read_counts() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("skills/one")).expect("a folder");
    fs::write(at("skills/file"), "").expect("written");
    let request = json!({ "dataRoot": root.path(), "folders": [at("none"), at("skills"), root.path()] });
    let answer = list(&Volume::default(), &request.to_string()).await;
    let expected = json!({ "folder": at("skills"), "skills": ["one"], "others": ["file"] });
    assert_eq!(answer, expected);
    let request = json!({ "dataRoot": root.path(), "folders": [at("none")] });
    let answer = list(&Volume::default(), &request.to_string()).await;
    assert_eq!(answer["folder"], Value::Null);
    let answer = list(&Volume::default(), "{}").await;
    assert_eq!(answer["failure"]["errorCode"], "k8s_invalid_request");
}
