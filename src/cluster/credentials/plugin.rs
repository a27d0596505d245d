//! An exec plugin of a kubeconfig. It is started by nobody but this file, one at a time per cluster, and its process
//! group is killed when it takes too long: an identity provider that is away must leave neither processes nor threads.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::error_chain::location;

/// What a plugin may write. A credential has a few kilobytes.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// How much of its stderr is shown, in characters.
const STDERR_CHARS: usize = 500;
/// How often it is looked at.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// What a plugin gave.
#[derive(Default)]
pub(super) struct Login {
    pub(super) token: Option<String>,
    /// Certificate and key, as PEM.
    pub(super) identity: Option<(String, String)>,
    /// How long it holds; unknown where the plugin does not say.
    pub(super) valid_for: Option<Duration>,
}

#[derive(Deserialize)]
struct ExecCredential {
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs the plugin for at most `limit` and reads its credential. Blocks.
pub(super) fn login(exec: &ExecConfig, limit: Duration) -> Result<Login, String> {
    let name = exec.command.as_deref().unwrap_or_default();
    let failed = |why: String| {
        format!(
            "credential plugin {name}: {why}. It must be installed where the server runs, and give a token"
        )
    };
    let output = run(exec, limit).map_err(failed)?;
    parse(&output, Timestamp::now()).map_err(failed)
}

fn run(exec: &ExecConfig, limit: Duration) -> Result<Vec<u8>, String> {
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err("it wants a terminal (`interactiveMode: Always`), which a server has not".to_owned());
    }
    let until = Instant::now() + limit;
    let mut child = start(exec)?;
    let output = wait(&mut child, until);
    // Whatever it started must not outlive it.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let Some((status, stdout, stderr)) = output else {
        reap(&mut child);
        return Err(format!("no answer within {} s", limit.as_secs()));
    };
    if !status.success() {
        let ended = status.signal().map_or_else(
            || format!("exit status {}", status.code().unwrap_or_default()),
            |signal| format!("signal {signal}"),
        );
        let stderr = String::from_utf8_lossy(&stderr);
        let stderr: String = stderr.trim().chars().take(STDERR_CHARS).collect();
        return Err(format!("{ended}: {stderr}"));
    }
    Ok(stdout)
}

fn start(exec: &ExecConfig) -> Result<Child, String> {
    let command = exec.command.as_deref().ok_or("it has no `command`")?;
    let cluster = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info);
    let mut spec = json!({"interactive": false});
    if let Some(cluster) = cluster {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    }
    let info = json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec});
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the one process that the addon starts: the operator's own credential plugin"
    )]
    let mut command = std::process::Command::new(command);
    command
        .args(exec.args.iter().flatten())
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it starts can be ended with it.
        .process_group(0);
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    for name in exec.drop_env.iter().flatten() {
        command.env_remove(name);
    }
    command
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))
}

/// Its status and what it wrote; nothing if it is still there at that time. Reads without blocking: a child of the
/// plugin may hold the pipes open for ever.
fn wait(child: &mut Child, until: Instant) -> Option<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut stdout, mut stderr) = (child.stdout.take()?, child.stderr.take()?);
    rustix::io::ioctl_fionbio(&stdout, true).ok()?;
    rustix::io::ioctl_fionbio(&stderr, true).ok()?;
    let (mut output, mut words) = (Vec::new(), Vec::new());
    let (mut is_open, mut has_words) = (true, true);
    while Instant::now() < until {
        // First its state, then its pipes: what it wrote before its end is read after it.
        let status = child.try_wait().ok()?;
        is_open = is_open && drain(&mut stdout, &mut output);
        has_words = has_words && drain(&mut stderr, &mut words);
        if let Some(status) = status {
            return Some((status, output, words));
        }
        let mut pipes = Vec::with_capacity(2);
        if is_open {
            pipes.push(PollFd::new(&stdout, PollFlags::IN));
        }
        if has_words {
            pipes.push(PollFd::new(&stderr, PollFlags::IN));
        }
        let _ = poll(&mut pipes, Some(&LOOK));
    }
    None
}

/// Reads what is there; false at the end of the pipe. What is over the limit is dropped.
fn drain(pipe: &mut impl Read, into: &mut Vec<u8>) -> bool {
    let mut part = [0; 8_192];
    // A bound: a plugin that writes without end must not hold its own limit up.
    for _ in 0..64 {
        match pipe.read(&mut part) {
            Ok(0) => return false,
            Ok(read) => {
                let room = MAX_OUTPUT_BYTES.saturating_sub(into.len());
                into.extend(part.iter().take(read.min(room)));
            }
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
    true
}

/// Takes the killed process off the process table.
fn reap(child: &mut Child) {
    let until = Instant::now() + KILL_LIMIT;
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        let _ = poll(&mut [], Some(&LOOK));
    }
}

/// Reads the plugin's answer: JSON, or YAML, as client-go does. Never quotes it.
fn parse(output: &[u8], now: Timestamp) -> Result<Login, String> {
    let credential: ExecCredential = serde_saphyr::from_slice(output)
        .map_err(|error| format!("its output is no ExecCredential{}", location(&error)))?;
    let status = credential.status.ok_or("its answer has no `status`")?;
    let valid_for = match status.expiration_timestamp.as_deref() {
        None | Some("") => None,
        Some(text) => {
            let until: Timestamp = text
                .parse()
                .map_err(|_| "its `expirationTimestamp` is no time".to_owned())?;
            Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
        }
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let login = Login {
        token: given(status.token).map(|token| token.trim().to_owned()),
        identity: given(status.client_certificate_data).zip(given(status.client_key_data)),
        valid_for,
    };
    let is_token = |token: &String| http::HeaderValue::from_str(token).is_ok();
    if !login.token.iter().all(is_token) {
        return Err("its `token` holds more than a token".to_owned());
    }
    if login.token.is_none() && login.identity.is_none() {
        return Err("its answer has neither a token nor a certificate with its key".to_owned());
    }
    Ok(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> ExecConfig {
        serde_json::from_value(
            json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": ["-c", script], "interactiveMode": "Never"}),
        )
        .expect("a plugin")
    }

    #[test]
    fn a_token_and_a_certificate_are_read_with_their_end() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let token = parse(
            br#"{"kind":"ExecCredential","status":{"token":"t\n","expirationTimestamp":"2026-01-01T01:00:00Z"}}"#,
            now,
        );
        let token = token.expect("a token");
        assert_eq!(
            (token.token.as_deref(), token.valid_for),
            (Some("t"), Some(Duration::from_secs(3_600)))
        );
        let yaml = parse(
            b"kind: ExecCredential\nstatus:\n  clientCertificateData: c\n  clientKeyData: k\n",
            now,
        );
        assert_eq!(
            yaml.expect("a certificate").identity,
            Some(("c".to_owned(), "k".to_owned()))
        );
        for (output, why) in [
            (&b"open-sesame {"[..], "no ExecCredential"),
            (b"{}", "no `status`"),
            (
                br#"{"status":{"clientCertificateData":"open-sesame"}}"#,
                "neither a token",
            ),
            (
                br#"{"status":{"token":"open-sesame","expirationTimestamp":"soon"}}"#,
                "is no time",
            ),
            (br#"{"status":{"token":"open\nsesame"}}"#, "more than a token"),
        ] {
            let error = parse(output, now).err().expect("refused");
            assert!(error.contains(why) && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn a_plugin_that_fails_says_why_and_not_what_it_gave() {
        let error = login(
            &sh("echo open-sesame; echo not logged in >&2; exit 3"),
            Duration::from_secs(20),
        );
        let error = error.err().expect("refused");
        assert!(
            error.contains("exit status 3: not logged in") && !error.contains("sesame"),
            "{error}"
        );
        let mut absent = sh("");
        absent.command = Some("/nowhere/plugin".to_owned());
        let error = login(&absent, Duration::from_secs(20)).err().expect("refused");
        assert!(
            error.contains("/nowhere/plugin") && error.contains("cannot be started"),
            "{error}"
        );
        let mut terminal = sh("");
        terminal.interactive_mode = Some(ExecInteractiveMode::Always);
        assert!(
            login(&terminal, Duration::from_secs(20))
                .err()
                .expect("refused")
                .contains("terminal")
        );
    }

    #[test]
    fn it_is_given_its_environment_and_the_clusters() {
        let mut exec = sh(
            r#"printf '{"status":{"token":"%s-%s-%s"}}' "$A" "${HOME-none}" "$(echo "$KUBERNETES_EXEC_INFO" | tr -d '"{}:')""#,
        );
        exec.env = Some(vec![
            [("name", "A"), ("value", "1")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        ]);
        exec.drop_env = Some(vec!["HOME".to_owned()]);
        let token = login(&exec, Duration::from_secs(20))
            .expect("a token")
            .token
            .expect("a token");
        assert!(token.starts_with("1-none-kindExecCredential"), "{token}");
    }

    #[test]
    fn a_plugin_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pids = folder.path().join("pids");
        let script = format!("sleep 600 & echo $$ $! >{}; wait", pids.display());
        let error = login(&sh(&script), Duration::from_secs(2))
            .err()
            .expect("refused");
        assert!(error.contains("no answer within 2 s"), "{error}");
        #[expect(clippy::disallowed_methods, reason = "a test reads its own file")]
        let pids = std::fs::read_to_string(pids).expect("it ran");
        for pid in pids.split_whitespace() {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a pid");
            let until = Instant::now() + Duration::from_secs(60);
            // A grandchild is a zombie until init has taken it: that it is killed is sure, when it is gone is not.
            while rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid) {
                assert!(Instant::now() < until, "it is still there");
                let _ = poll(&mut [], Some(&LOOK));
            }
        }
    }

    fn is_zombie(pid: Pid) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a test reads the process table")]
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn a_child_that_keeps_the_pipes_open_holds_nothing_up() {
        let token = login(
            &sh(r#"sleep 600 & printf '{"status":{"token":"t"}}'"#),
            Duration::from_secs(60),
        );
        assert_eq!(token.expect("a token").token.as_deref(), Some("t"));
        let flood = login(&sh("yes >&2 & yes"), Duration::from_secs(1))
            .err()
            .expect("refused");
        assert!(flood.contains("no answer"), "{flood}");
    }
}
