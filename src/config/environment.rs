//! The operator's `env`, without what only makes sense on the server's own disk.

use serde_json::{Map, Value};

use super::checks::{is_env_name, why_not_an_argument};
use super::map::pairs;
use super::{ConfigError, POD_ROOT, Texts, read_named};

/// `env` of the configuration in `{env}` by name, whatever its shape: what JavaScript needs to know of it.
///
/// # Errors
/// What cannot be read. A run refuses it as well.
pub fn agent_environment(config_json: &str) -> Result<Value, String> {
    let config: Map<String, Value> = read_named(config_json)?;
    let env = config.get("env").filter(|env| !env.is_null());
    let variables = env.map_or_else(|| Ok(Vec::new()), |env| pairs("env", env));
    let variables = variables.map_err(|error| error.to_string())?;
    // Of two with one name the last counts, as in the pod.
    Ok(variables
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect::<Map<_, _>>()
        .into())
}

/// The `env` of the configuration, sorted into what reaches the pod and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEnv {
    /// Entries for the pod, in the operator's order.
    pub kept: Texts,
    /// Names of host-only entries: the host writes them for processes on the server.
    pub host_only: Vec<String>,
    /// Names of entries by which the host takes the server's own access to GitHub away from an agent whose company has
    /// a connection: some are blank. Empty for an agent without one.
    pub managed_github: Vec<String>,
    /// Names of entries that the host lets no agent's configuration set, such as the agent's own key.
    pub forbidden: Vec<String>,
}

impl UserEnv {
    /// `server_path`: the PATH of the server's own process.
    pub(super) fn read(
        env: Vec<(String, String)>,
        forbidden: &[String],
        server_path: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let texts = Texts(env);
        if let Some((name, _)) = texts.0.iter().find(|(name, _)| !is_env_name(name)) {
            let problem =
                format!("has the name {name:?}; use letters, digits, `_`, `-` and `.`, not first a digit");
            return Err(ConfigError::field("env", problem));
        }
        for (name, value) in &texts.0 {
            check_value(name, value)?;
        }
        let launchers = texts.get("PAPERCLIP_GITHUB_LAUNCHER_DIR").map(str::to_owned);
        let scratch = texts.get("PAPERCLIP_TMPDIR").map(str::to_owned);
        let host = HostOnly {
            launchers: launchers.as_deref().filter(|folder| !folder.is_empty()),
            scratch: scratch.as_deref(),
            server_path,
        };
        let is_managed = ["PAPERCLIP_GITHUB_LAUNCHER_DIR", "PAPERCLIP_GITHUB_BROKER_TOKEN"]
            .iter()
            .any(|name| texts.get(name).is_some_and(|value| !value.is_empty()));
        let mut sorted = UserEnv::default();
        for (name, value) in texts.0 {
            if forbidden.contains(&name) {
                sorted.forbidden.push(name);
                continue;
            }
            match host.without(&name, value) {
                Some(value) => {
                    if is_managed && takes_github_away(&name) {
                        sorted.managed_github.push(name.clone());
                    }
                    sorted.kept.0.push((name, value));
                }
                None => sorted.host_only.push(name),
            }
        }
        Ok(sorted)
    }
}

/// Whether the host sets the variable in the place of the server's own access to GitHub.
fn takes_github_away(name: &str) -> bool {
    const NAMES: [&str; 19] = [
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "GH_ENTERPRISE_TOKEN",
        "GITHUB_ENTERPRISE_TOKEN",
        "PAPERCLIP_GIT_TOKEN",
        "PAPERCLIP_GITHUB_OPERATION_ACTIVE",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
        "GIT_SSH_COMMAND",
        "SSH_AUTH_SOCK",
        "PAPERCLIP_GITHUB_BROKER_TOKEN",
    ];
    let numbered = ["GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"];
    let number = numbered.iter().find_map(|start| name.strip_prefix(start));
    NAMES.contains(&name) || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn check_value(name: &str, value: &str) -> Result<(), ConfigError> {
    match why_not_an_argument(name.len() + 1, value) {
        None => Ok(()),
        Some(problem) => Err(ConfigError::field(format!("env.{name}"), problem)),
    }
}

/// What only makes sense on the server, as the host writes it into the configuration of each run.
struct HostOnly<'a> {
    /// Where the host keeps its wrappers of `git` and `gh`, which no pod sees.
    launchers: Option<&'a str>,
    /// The run's scratch folder.
    scratch: Option<&'a str>,
    /// The PATH of the server's own process.
    server_path: Option<&'a str>,
}

impl HostOnly<'_> {
    /// What of the value is for the pod.
    fn without(&self, name: &str, value: String) -> Option<String> {
        match name {
            "PATH" => self.path(value),
            _ if self.is(name, &value) => None,
            _ => Some(value),
        }
    }

    /// Temporary and scratch folders are per run on the server and deleted at its end. Other places are only the
    /// server's when they do not lie on the shared volume.
    fn is(&self, name: &str, value: &str) -> bool {
        let shared = is_in(value, POD_ROOT);
        match name {
            "TMPDIR" | "TMP" | "TEMP" => !shared || Some(value) == self.scratch,
            "PAPERCLIP_GIT_METADATA_ROOTS"
            | "PAPERCLIP_GITHUB_AUTH_MODE"
            | "PAPERCLIP_GITHUB_LAUNCHER_DIR" => true,
            "GH_CONFIG_DIR" | "PAPERCLIP_GITHUB_HOST_HOME" => !shared,
            // An empty one turns the agent of the image off, as the host means it.
            "SSH_AUTH_SOCK" => !shared && !value.is_empty(),
            "ZDOTDIR" | "BASH_ENV" => self.launchers.is_some_and(|folder| is_in(value, folder)),
            _ if name.starts_with("PAPERCLIP_RUNNER_NETWORK_") => true,
            _ => {
                name.starts_with("PAPERCLIP_") && (name.ends_with("SCRATCH_DIR") || name.ends_with("TMPDIR"))
            }
        }
    }

    /// The host puts its wrappers before the agent's PATH, or before its own where the agent has none. The image
    /// knows better than the server where its programs are.
    fn path(&self, value: String) -> Option<String> {
        let rest = self
            .launchers
            .and_then(|folder| value.strip_prefix(folder)?.strip_prefix(':'));
        match rest {
            Some(rest) if Some(rest) == self.server_path || rest.is_empty() => None,
            Some(rest) => Some(rest.to_owned()),
            None => Some(value),
        }
    }
}

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_of_env_has_the_same_names() {
        let meant = json!({"A": "1", "PAPERCLIP_API_KEY": "x y"});
        for env in [
            json!({"A": 1, "PAPERCLIP_API_KEY": "x y"}),
            json!(r#"{"A": "1", "PAPERCLIP_API_KEY": "x y"}"#),
            json!("A=0\nPAPERCLIP_API_KEY=x y\n# B=2\nA=1"),
            json!("A: 1\n\"PAPERCLIP_API_KEY\": x y # why"),
        ] {
            let read = agent_environment(&json!({"env": env}).to_string());
            assert_eq!(read.as_ref(), Ok(&meant), "{env}");
        }
        for nothing in [json!({}), json!({"env": null}), json!({"env": " "})] {
            assert_eq!(agent_environment(&nothing.to_string()), Ok(json!({})));
        }
        assert!(agent_environment(&json!({"env": "A"}).to_string()).is_err());
    }

    fn read(env: &str, server_path: Option<&str>) -> UserEnv {
        let forbidden = ["PAPERCLIP_API_KEY".to_owned()];
        let pairs = pairs("env", &Value::from(env)).expect("an object");
        UserEnv::read(pairs, &forbidden, server_path).expect("valid")
    }

    fn kept(env: &UserEnv) -> Vec<(&str, &str)> {
        let kept = env.kept.0.iter();
        kept.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn host_only_values_are_left_out() {
        let env = read(
            r#"{"A":"1","TMPDIR":"/tmp/x","TEMP":"/t","PAPERCLIP_RUN_SCRATCH_DIR":"/s","GH_CONFIG_DIR":"/srv/gh",
            "PAPERCLIP_TMPDIR":"/t","PAPERCLIP_RUNNER_NETWORK_ROOTS":"[]","N":5,"PAPERCLIP_RUN_ID":"mine","PAPERCLIP_API_KEY":"k"}"#,
            None,
        );
        assert_eq!(kept(&env), [("A", "1"), ("N", "5"), ("PAPERCLIP_RUN_ID", "mine")]);
        assert_eq!(
            (env.host_only.len(), env.forbidden.as_slice()),
            (6, ["PAPERCLIP_API_KEY".to_owned()].as_slice())
        );
    }

    #[test]
    fn what_lies_on_the_shared_volume_may_pass() {
        let shared = read(
            r#"{"GH_CONFIG_DIR":"/paperclip/.config/gh","TMPDIR":"/paperclip/tmp","SSH_AUTH_SOCK":"","BASH_ENV":"/etc/bash_env"}"#,
            None,
        );
        assert!(shared.host_only.is_empty(), "{:?}", shared.host_only);
        // Made by the server's user, who may be root.
        let scratch = read(
            r#"{"TMPDIR":"/paperclip/tmp/r","PAPERCLIP_TMPDIR":"/paperclip/tmp/r"}"#,
            None,
        );
        assert!(scratch.kept.0.is_empty());
    }

    /// The very entries that Paperclip 2026.916.1 writes for a company with a GitHub connection, and for one without.
    #[test]
    fn the_hosts_own_wrappers_of_git_stay_on_the_server() {
        let managed = |path: &str| {
            let folder = "/tmp/paperclip-github-runtime/run-1";
            format!(
                r#"{{"PATH":"{folder}:{path}","ZDOTDIR":"{folder}","BASH_ENV":"{folder}/.bashrc","GH_CONFIG_DIR":"{folder}/gh-config",
                "PAPERCLIP_GITHUB_LAUNCHER_DIR":"{folder}","PAPERCLIP_GIT_METADATA_ROOTS":"[]","PAPERCLIP_GITHUB_AUTH_MODE":"managed",
                "PAPERCLIP_RUNNER_NETWORK_ACCESS":"enabled","GIT_TERMINAL_PROMPT":"0"}}"#
            )
        };
        let server = Some("/usr/local/bin:/usr/bin");
        assert_eq!(
            kept(&read(&managed("/usr/local/bin:/usr/bin"), server)),
            [("GIT_TERMINAL_PROMPT", "0")]
        );
        assert_eq!(
            kept(&read(&managed("/agent/bin:/usr/bin"), server)),
            [("PATH", "/agent/bin:/usr/bin"), ("GIT_TERMINAL_PROMPT", "0")]
        );
        let host = r#"{"PATH":"/agent/bin","SSH_AUTH_SOCK":"/run/agent.sock","PAPERCLIP_GITHUB_HOST_HOME":"/root","ZDOTDIR":"/etc/zsh"}"#;
        assert_eq!(
            kept(&read(host, server)),
            [("PATH", "/agent/bin"), ("ZDOTDIR", "/etc/zsh")]
        );
    }

    #[test]
    fn what_takes_the_servers_access_to_github_away_is_known() {
        let blank = r#""GH_TOKEN":"","GIT_AUTHOR_NAME":"","GIT_CONFIG_KEY_0":"","GIT_CONFIG_GLOBAL":"/dev/null","A":"""#;
        let managed = read(
            &format!(r#"{{{blank},"PAPERCLIP_GITHUB_BROKER_TOKEN":"t"}}"#),
            None,
        );
        let names = [
            "GH_TOKEN",
            "GIT_AUTHOR_NAME",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_GLOBAL",
        ];
        assert_eq!(managed.managed_github[..4], names);
        assert_eq!(
            read(&format!("{{{blank}}}"), None).managed_github,
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_name_the_api_refuses_is_an_error() {
        let message = UserEnv::read(vec![("A B".to_owned(), "1".to_owned())], &[], None)
            .expect_err("refused")
            .to_string();
        assert!(message.starts_with("env has the name \"A B\""), "{message}");
        assert_eq!(UserEnv::read(Vec::new(), &[], None), Ok(UserEnv::default()));
    }

    #[test]
    fn a_value_that_no_program_can_start_with_is_an_error_that_names_it() {
        for value in ["a\0b".to_owned(), "x".repeat(131_069)] {
            let message = UserEnv::read(vec![("BIG".to_owned(), value)], &[], None)
                .expect_err("refused")
                .to_string();
            assert!(message.starts_with("env.BIG h"), "{message}");
        }
        assert!(UserEnv::read(vec![("BIG".to_owned(), "x".repeat(131_067))], &[], None).is_ok());
    }
}
