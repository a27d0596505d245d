//! What the agent gets: its arguments, its environment and its configuration; and what the start record says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::each;
use crate::support::pod::{Pod, ended, shells};

#[test]
fn the_start_record_names_the_pod_and_the_cluster() {
    let more = json!({"context": {"issueId": "Issue-1"}, "config": {"cwd": "/paperclip/a \"b\""}});
    each("env", more, |pod, shell| {
        let end = pod.run("pod-1");
        let started = fs::read_to_string(pod.server(&pod.manifest.paths.started)).expect("a record");
        let expected = json!({"v": 1, "run": "run-1", "pod": "pod-1", "podUid": "uid-of-pod-1",
            "namespace": "paperclip", "cluster": "https://cluster \"one\" $HOME", "task": "Issue-1", "cwd": "/paperclip/a \"b\"",
            "keep": 604_800});
        assert_eq!(
            serde_json::from_str::<Value>(&started).expect("JSON"),
            expected,
            "{shell}"
        );
        let env = String::from_utf8_lossy(&end.stdout).into_owned();
        assert!(
            !env.contains("PAPERCLIP_POD") && !env.contains("pod_"),
            "{shell}: {env}"
        );
        assert!(env.contains("log=the agent's own\n"), "{shell}: {env}");
    });
}

#[test]
fn configuration_from_elsewhere_is_kept_and_ours_finds_a_place() {
    let own = json!({"selfPod": {"namespace": "n", "image": "i", "inheritedEnvFrom": [{"secretRef": {"name": "s"}}]}});
    let agent = r#"printf '%s|%s|%s|' "$OPENCODE_CONFIG_CONTENT" "$OPENCODE_CONFIG" "$NODE_ENV"; cat "$OPENCODE_CONFIG"; env"#;
    let ours = r#"{"tools":{"external_director?":true,"doom_loo?":true,"rea?":true}}"#;
    each(agent, own, |pod, shell| {
        let run = |known: &[(&str, &str)]| {
            let mut env = vec![("PAPERCLIP_POD_CONFIG", ours)];
            env.extend(known);
            let _ = fs::remove_file(pod.server(&pod.manifest.paths.started));
            let _ = fs::remove_file(pod.server(&pod.manifest.paths.log));
            let end = ended(pod.start_with("pod-1", &env));
            assert!(
                !String::from_utf8_lossy(&end.stdout).contains("PAPERCLIP_POD"),
                "{shell}"
            );
            (String::from_utf8_lossy(&end.stdout).into_owned(), end.stderr)
        };
        assert!(
            run(&[]).0.starts_with(&format!("{ours}||development|")),
            "{shell}"
        );
        let file = pod.path("tmp/prompt/opencode.json").display().to_string();
        let (out, _) = run(&[("OPENCODE_CONFIG_CONTENT", "{}"), ("NODE_ENV", "")]);
        assert!(
            out.starts_with(&format!("{{}}|{file}||{ours}\n")),
            "{shell}: {out}"
        );
        let (out, trouble) = run(&[
            ("OPENCODE_CONFIG_CONTENT", "{}"),
            ("OPENCODE_CONFIG", "/dev/null"),
        ]);
        assert!(out.starts_with("{}|/dev/null|"), "{shell}: {out}");
        assert!(trouble.contains("both taken"), "{shell}: {trouble}");
    });
}

#[test]
fn a_company_with_github_has_its_launchers_or_no_blanks_and_one_warning() {
    let agent = r#"git status; printf '%s|%s|' "${GIT_AUTHOR_NAME-unset}" "${GIT_CONFIG_GLOBAL-unset}"; sh -c '. "$BASH_ENV"; git x'; env"#;
    each(agent, json!({}), |pod, shell| {
        for program in ["node", "git"] {
            let file = pod.path(&format!("bin/{program}"));
            fs::write(&file, "#!/bin/sh\necho real\n").expect("a stub");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let github = [
            ("PAPERCLIP_POD_GITHUB", "GIT_AUTHOR_NAME GIT_CONFIG_GLOBAL"),
            ("GIT_AUTHOR_NAME", ""),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ];
        let mut env = github.to_vec();
        env.push(("PAPERCLIP_POD_LAUNCHER", "#!/bin/sh\necho \"launched $1\"\n"));
        let end = ended(pod.start_with("pod-1", &env));
        let out = String::from_utf8_lossy(&end.stdout).into_owned();
        let staged = "launched status\nunset|/dev/null|launched x\n";
        assert!(
            out.starts_with(staged) && !out.contains("PAPERCLIP_POD"),
            "{shell}: {out}"
        );
        assert_eq!(pod.err(), "", "{shell}");
        for file in [
            &pod.manifest.paths.started,
            &pod.manifest.paths.log,
            &pod.manifest.paths.stderr,
        ] {
            fs::remove_file(pod.server(file)).expect("a file");
        }
        let end = ended(pod.start_with("pod-1", &github));
        let out = String::from_utf8_lossy(&end.stdout).into_owned();
        assert!(out.starts_with("real\nunset|unset|"), "{shell}: {out}");
        let warning = "paperclip: git and gh have no access to the company's GitHub connection";
        assert_eq!(pod.err().matches(warning).count(), 1, "{shell}: {}", pod.err());
    });
}

#[test]
fn arguments_reach_the_agent_byte_for_byte() {
    let args = [
        "a b",
        "$HOME",
        "$$",
        "$(HOME)",
        "${HOME}",
        "`id`",
        "'\"'",
        "\\n",
        "-n",
        "*",
        "é\n日本 🚀",
        "",
    ];
    let agent = "for word in \"$@\"; do printf '%s\\0' \"$word\"; done";
    each(
        agent,
        json!({"config": {"extraArgs": args, "variant": "it's"}}),
        |pod, shell| {
            let end = pod.run("pod-1");
            let words: Vec<String> = String::from_utf8_lossy(&end.stdout)
                .split_terminator('\0')
                .map(str::to_owned)
                .collect();
            assert_eq!(words, pod.manifest.opencode_args, "{shell}");
            assert_eq!(words.len(), 5 + args.len(), "{shell}");
        },
    );
}

#[test]
fn errors_of_opencodes_log_go_to_stderr_unless_another_log_is_wanted() {
    for (env, wanted) in [
        (None, "ERROR 1"),
        (Some(("OPENCODE_LOG_LEVEL", "DEBUG")), "DEBUG unset"),
        (Some(("OPENCODE_PRINT_LOGS", "0")), "unset 0"),
    ] {
        let agent = r#"printf '%s %s' "${OPENCODE_LOG_LEVEL-unset}" "${OPENCODE_PRINT_LOGS-unset}""#;
        for shell in shells() {
            let mut pod = Pod::new(&shell, agent, json!({}));
            pod.env
                .extend(env.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let end = pod.run("pod-1");
            assert_eq!(String::from_utf8_lossy(&end.stdout), wanted, "{shell:?}");
        }
    }
}

#[test]
fn folders_of_the_servers_pod_that_are_not_here_give_way_to_the_defaults() {
    let names = "XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME TMPDIR TMP npm_config_cache GOCACHE APP_NAME";
    let agent =
        format!(r#"for name in {names}; do eval "printf '%s=%s\n' $name \"\${{$name-unset}}\""; done"#);
    each(&agent, json!({}), |pod, shell| {
        // Root may write anywhere, but not below a file.
        fs::write(pod.path("file"), "").expect("written");
        let gone = pod.path("file/below").display().to_string();
        let new = pod.path("paperclip/.cache/go").display().to_string();
        let multiline = format!("x\nNO_CACHE={gone}");
        let env = [
            ("XDG_CONFIG_HOME", gone.as_str()),
            ("XDG_DATA_HOME", "/dev/null"),
            ("XDG_STATE_HOME", "relative"),
            ("XDG_CACHE_HOME", ""),
            ("TMPDIR", &gone),
            ("TMP", "/tmp"),
            ("npm_config_cache", &gone),
            ("GOCACHE", &new),
            ("APP_NAME", &multiline),
        ];
        let end = ended(pod.start_with("pod-1", &env));
        let wanted = format!(
            "XDG_CONFIG_HOME=unset\nXDG_DATA_HOME=unset\nXDG_STATE_HOME=relative\nXDG_CACHE_HOME=\nTMPDIR=unset\nTMP=/tmp\n\
             npm_config_cache=unset\nGOCACHE={new}\nAPP_NAME={multiline}\n"
        );
        assert_eq!(String::from_utf8_lossy(&end.stdout), wanted, "{shell}");
        let left_out =
            format!("paperclip: XDG_CONFIG_HOME={gone} is no folder that this pod can use: left out\n");
        assert!(end.stderr.contains(&left_out), "{shell}: {}", end.stderr);
        assert_eq!(end.stderr.lines().count(), 4, "{shell}: {}", end.stderr);
        assert!(!pod.path("paperclip/.cache").exists(), "{shell}: nothing is made");
    });
}
