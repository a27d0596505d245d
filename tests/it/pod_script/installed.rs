//! Which opencode the start record names: that of the package around it, and none where nothing says so.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::each;
use crate::support::pod::Pod;

/// Puts the stub where npm puts opencode: a link in `bin` to a file of a package, which `manifest` describes.
fn into_package(pod: &Pod, manifest: &str) {
    let package = pod.path("lib/node_modules/opencode-ai");
    fs::create_dir_all(package.join("bin")).expect("a folder");
    fs::rename(pod.path("bin/opencode"), package.join("bin/opencode.exe")).expect("the stub");
    symlink(
        "../lib/node_modules/opencode-ai/bin/opencode.exe",
        pod.path("bin/opencode"),
    )
    .expect("a link");
    fs::write(package.join("package.json"), manifest).expect("a file");
}

fn started(pod: &Pod) -> Value {
    let text = fs::read_to_string(pod.server(&pod.manifest.paths.started)).expect("a record");
    serde_json::from_str(&text).expect("JSON")
}

fn manifest(name: &str, version: &str) -> String {
    serde_json::to_string_pretty(
        &json!({"name": name, "version": version, "bin": {"opencode": "./bin/opencode.exe"},
        "optionalDependencies": {"opencode-linux-x64": "9.9.9"}}),
    )
    .expect("JSON")
}

#[test]
fn the_start_record_names_the_version_of_the_package() {
    each("echo done", json!({}), |pod, shell| {
        into_package(pod, &manifest("opencode-ai", "1.18.33"));
        let end = pod.run("pod-1");
        assert_eq!(
            (end.code, end.stdout.as_slice(), end.stderr.as_str()),
            (0, b"done\n".as_slice(), ""),
            "{shell}"
        );
        assert_eq!(started(pod)["opencode"], "1.18.33", "{shell}");
    });
}

#[test]
fn what_is_no_package_of_opencode_names_no_version_and_changes_nothing() {
    let large = format!("{}{}", manifest("opencode-ai", "1.18.33"), " ".repeat(9_000));
    for text in [
        manifest("another", "1.2.3"),
        manifest("opencode-ai", &"1".repeat(5_000)),
        manifest("opencode-ai", "1.2.3\"; rm"),
        manifest("opencode-ai", "$(touch \"$HOME/x\")"),
        r#"{"name":"opencode-ai","version":"1.2.3"}"#.to_owned(),
        "\u{1b}[31m\"version\": ".to_owned(),
        String::new(),
        large,
    ] {
        each("echo done", json!({}), |pod, shell| {
            into_package(pod, &text);
            let end = pod.run("pod-1");
            assert_eq!(
                (end.code, end.stdout.as_slice(), end.stderr.as_str()),
                (0, b"done\n".as_slice(), ""),
                "{shell}: {text}"
            );
            assert_eq!(started(pod).get("opencode"), None, "{shell}: {text}");
        });
    }
}
