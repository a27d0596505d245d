//! A pod without Kubernetes: the rendered command of a real manifest, after the kubelet's expansion, in a folder that
//! stands for the pod's file system, with a stub in the place of opencode.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use opencode_k8s::config::{RenderRequest, RunSpec};
use opencode_k8s::manifest::{self, Manifest};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the kubelet does with `$` in values, commands and arguments.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.strip_prefix('$').unwrap_or_default();
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after_name)) =
            after.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            match known.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after_name;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out + rest
}

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

/// The shells of the machine with the words that start them; an absent one is left out, and said.
pub(crate) fn shells() -> Vec<Vec<&'static str>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let (here, missing): (Vec<_>, Vec<_>) = SHELLS
        .iter()
        .map(|words| words.to_vec())
        .partition(|words| is_here(words[0]));
    for words in missing {
        left_out(&format!(
            "all cases under {}: it is not on this machine",
            words[0]
        ));
    }
    here
}

/// Says once what was not tried. Directly to stderr: what a passing test prints is shown to nobody.
pub(crate) fn left_out(what: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().expect("no test panics here").insert(what.to_owned()) {
        let line = format!("\nNOT TESTED: {what}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr");
    }
}

pub(crate) struct Pod {
    pub(crate) root: TempDir,
    pub(crate) manifest: Manifest,
    /// What opencode reads.
    pub(crate) prompt: String,
    /// More environment of the container.
    pub(crate) env: BTreeMap<String, String>,
    shell: Vec<&'static str>,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Pod {
    /// A pod whose agent is this shell text; `fields` overrides the request.
    pub(crate) fn new(shell: &[&'static str], agent: &str, fields: Value) -> Pod {
        let root = TempDir::new().expect("a folder");
        let mut request = json!({
            "runId": "run-1",
            "agent": {"id": "agent-1", "companyId": "company-1", "name": "A"},
            "selfPod": {"namespace": "paperclip", "image": "image", "pvcClaimName": "data"},
            "cluster": "https://cluster \"one\" $HOME",
            "prompt": "Do $(HOME) and $$ it.",
        });
        for (key, value) in fields.as_object().expect("an object") {
            request[key] = value.clone();
        }
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let prompt = request.prompt.clone();
        let manifest =
            manifest::render(&RunSpec::from_request(request).expect("a spec")).expect("a manifest");
        let pod = Pod {
            root,
            manifest,
            prompt,
            env: BTreeMap::new(),
            shell: shell.to_vec(),
        };
        for dir in ["bin", "dev", "tmp/prompt", "paperclip"] {
            fs::create_dir_all(pod.path(dir)).expect("a folder");
        }
        fs::create_dir_all(pod.server(&pod.manifest.paths.dir)).expect("the log folder");
        fs::write(pod.path("tmp/prompt/prompt.txt"), &pod.prompt).expect("the prompt");
        pod.install(agent);
        pod
    }

    pub(crate) fn install(&self, agent: &str) {
        self.put("opencode", &format!("#!/bin/sh\n{agent}\n"));
    }

    /// Puts a program of this name before those of the machine.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, text).expect("a stub");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// A path of the pod on the real disk.
    pub(crate) fn server(&self, pod_path: &str) -> PathBuf {
        self.path(pod_path.trim_start_matches('/'))
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        fs::read(self.server(&self.manifest.paths.log)).unwrap_or_default()
    }

    pub(crate) fn err(&self) -> String {
        fs::read_to_string(self.server(&self.manifest.paths.stderr)).unwrap_or_default()
    }

    pub(crate) fn record(&self) -> Option<Value> {
        let text = fs::read_to_string(self.server(&self.manifest.paths.end)).ok()?;
        assert_eq!(text.matches('\n').count(), 1);
        Some(serde_json::from_str(&text).expect("a JSON line"))
    }

    pub(crate) fn last_words(&self) -> String {
        fs::read_to_string(self.path("dev/termination-log")).unwrap_or_default()
    }

    /// Names in the shared folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let dir = fs::read_dir(self.server(&self.manifest.paths.dir)).expect("the folder");
        let mut names: Vec<String> = dir
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// The container's command line as the container runtime gets it, with the pod's paths moved below the folder.
    fn words(&self, container: &str, known: &BTreeMap<String, String>) -> Vec<String> {
        let job = serde_json::to_value(&self.manifest.job).expect("JSON");
        let list = match container {
            "opencode" => &job["spec"]["template"]["spec"]["containers"][0],
            _ => &job["spec"]["template"]["spec"]["initContainers"][0],
        };
        let root = self.root.path().display().to_string();
        let moved = |text: &str| {
            let text = text.replace("/paperclip/instances", &format!("{root}/paperclip/instances"));
            let text = text.replace("/paperclip/db", &format!("{root}/paperclip/db"));
            text.replace("/tmp/prompt", &format!("{root}/tmp/prompt"))
                .replace("/dev/term", &format!("{root}/dev/term"))
        };
        let words = list["command"].as_array().expect("a list").iter();
        words
            .map(|word| moved(&expand(word.as_str().expect("text"), known)))
            .collect()
    }

    /// Starts the container; its name in the cluster is `pod`.
    pub(crate) fn start(&self, pod: &str) -> Child {
        self.start_with(pod, &[])
    }

    /// Starts the container with further environment, such as an operator's.
    pub(crate) fn start_with(&self, pod: &str, env: &[(&str, &str)]) -> Child {
        let words = self.words("opencode", &BTreeMap::new());
        let mut command = self.command(&words);
        command
            .env("PAPERCLIP_POD_NAME", pod)
            .env("PAPERCLIP_POD_UID", format!("uid-of-{pod}"))
            .envs(env.iter().copied());
        command.spawn().expect("a shell")
    }

    /// Starts the container in a shell that says on stderr what it does.
    pub(crate) fn start_traced(&self) -> Child {
        let mut words = self.words("opencode", &BTreeMap::new());
        words.insert(1, "-x".to_owned());
        self.command(&words).spawn().expect("a shell")
    }

    /// Runs the container with a volume of its own at the folder of the run's files, prepared by these shell words
    /// (which find the folder in `$DIR`). None where the machine lets nobody mount. What the folder holds at the end
    /// comes last.
    pub(crate) fn run_on_volume(&self, prepare: &str) -> Option<(Ended, String)> {
        let allowed = Command::new("unshare").args(["-rm", "true"]).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let left = self.path("left");
        let script = format!("{prepare}\n\"$@\"; code=$?; ls -A \"$DIR\" >\"$LEFT\"; exit $code");
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", &script, "volume"])
            .args(&self.shell);
        command.args(&self.words("opencode", &BTreeMap::new())[1..]);
        self.environment(&mut command);
        command
            .env("DIR", self.server(&self.manifest.paths.dir))
            .env("LEFT", &left);
        let end = ended(command.spawn().expect("unshare"));
        Some((end, fs::read_to_string(left).expect("a list")))
    }

    pub(crate) fn run(&self, pod: &str) -> Ended {
        ended(self.start(pod))
    }

    /// Runs the init container with the environment that the manifest gives it.
    pub(crate) fn run_init(&self) -> Ended {
        let job = serde_json::to_value(&self.manifest.job).expect("JSON");
        let init = &job["spec"]["template"]["spec"]["initContainers"][0];
        let entries = init["env"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let env: BTreeMap<String, String> = entries
            .iter()
            .map(|entry| {
                (
                    text(&entry["name"]),
                    expand(&text(&entry["value"]), &BTreeMap::new()),
                )
            })
            .collect();
        let mut command = self.command(&self.words("write-prompt", &env));
        command.envs(env);
        ended(command.spawn().expect("a shell"))
    }

    fn command(&self, words: &[String]) -> Command {
        assert_eq!(words[0], "sh");
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).args(&words[1..]);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("bin").display());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("paperclip"))
            .env("log", "the agent's own")
            .envs(&self.env);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }
}

/// A bound, not an expectation: a machine may be slow.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// Waits until it is so.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TEST_LIMIT, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of a container whose output nobody reads, or whose output outlives it.
pub(crate) fn unread(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the end of the container", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("an end")
}

pub(crate) fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr,
    }
}
