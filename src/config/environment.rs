//! The operator's `env`, without what only makes sense on the server's own disk.

use super::checks::is_env_name;
use super::{ConfigError, Json, Texts};

/// The `env` of the configuration, sorted into what reaches the pod and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEnv {
    /// Entries for the pod, in the operator's order.
    pub kept: Texts,
    /// Names of host-only entries: the host writes them for processes on the server (PAPERCLIP.md 5).
    pub host_only: Vec<String>,
    /// Names of entries that the host lets no agent's configuration set, such as the agent's own key.
    pub forbidden: Vec<String>,
}

impl UserEnv {
    pub(super) fn read(env: Option<&Json>, forbidden: &[String]) -> Result<Self, ConfigError> {
        if let Some(shape @ (Json::Array(_) | Json::Number(_) | Json::Bool(_))) = env {
            let problem = format!("must be an object of names and values, it is {}", shape.kind());
            return Err(ConfigError::field("env", problem));
        }
        let texts = env.map(Texts::from).unwrap_or_default();
        if let Some((name, _)) = texts.0.iter().find(|(name, _)| !is_env_name(name)) {
            let problem =
                format!("has the name {name:?}; use letters, digits, `_`, `-` and `.`, not first a digit");
            return Err(ConfigError::field("env", problem));
        }
        for (name, value) in &texts.0 {
            check_value(name, value)?;
        }
        let mut sorted = UserEnv::default();
        for (name, value) in texts.0 {
            if forbidden.contains(&name) {
                sorted.forbidden.push(name);
            } else if is_host_only(&name, &value) {
                sorted.host_only.push(name);
            } else {
                sorted.kept.0.push((name, value));
            }
        }
        Ok(sorted)
    }
}

/// The kernel takes 128 KiB for name, `=`, value and the end; no program starts with more, or with a NUL.
fn check_value(name: &str, value: &str) -> Result<(), ConfigError> {
    const LIMIT: usize = 128 * 1024;
    let bytes = name.len() + value.len() + 2;
    let problem = if value.contains('\0') {
        "holds a NUL character, which no environment can hold; remove it".to_owned()
    } else if bytes > LIMIT {
        format!(
            "has {} bytes, with its name at most {LIMIT} fit; put it into a file",
            value.len()
        )
    } else {
        return Ok(());
    };
    Err(ConfigError::field(format!("env.{name}"), problem))
}

/// Temporary and scratch folders are per run on the server and deleted at its end. The others are only host-only when
/// they do not lie on the shared volume.
fn is_host_only(name: &str, value: &str) -> bool {
    let paperclip = name.starts_with("PAPERCLIP_");
    let temporary = matches!(name, "TMPDIR" | "TMP" | "TEMP")
        || paperclip && (name.ends_with("SCRATCH_DIR") || name.ends_with("TMPDIR"));
    let host_path = matches!(name, "GH_CONFIG_DIR" | "PAPERCLIP_GITHUB_HOST_HOME")
        || name.starts_with("PAPERCLIP_RUNNER_NETWORK_");
    temporary || host_path && value != "/paperclip" && !value.starts_with("/paperclip/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_only_values_are_left_out() {
        let env = r#"{"A":"1","TMPDIR":"/tmp/x","TEMP":"/t","PAPERCLIP_RUN_SCRATCH_DIR":"/s","GH_CONFIG_DIR":"/srv/gh",
            "PAPERCLIP_TMPDIR":"/t","PAPERCLIP_RUNNER_NETWORK_ROOTS":"[]","N":5,"PAPERCLIP_RUN_ID":"mine","PAPERCLIP_API_KEY":"k"}"#;
        let env = UserEnv::read(Json::parse(env).as_ref(), &["PAPERCLIP_API_KEY".to_owned()]).expect("valid");
        let kept: Vec<&str> = env.kept.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(kept, ["A", "PAPERCLIP_RUN_ID"]);
        assert_eq!(
            (env.host_only.len(), env.forbidden.as_slice()),
            (6, ["PAPERCLIP_API_KEY".to_owned()].as_slice())
        );
        let shared = Json::parse(r#"{"GH_CONFIG_DIR":"/paperclip/.config/gh"}"#);
        assert!(
            UserEnv::read(shared.as_ref(), &[])
                .expect("valid")
                .host_only
                .is_empty()
        );
    }

    #[test]
    fn a_name_the_api_refuses_is_an_error() {
        let env = Json::parse(r#"{"A B":"1"}"#);
        let message = UserEnv::read(env.as_ref(), &[]).expect_err("refused").to_string();
        assert!(
            message.starts_with("adapter configuration: env has the name \"A B\""),
            "{message}"
        );
        assert_eq!(
            UserEnv::read(Some(&Json::String("bad".into())), &[]),
            Ok(UserEnv::default())
        );
        assert!(UserEnv::read(Json::parse(r#"["A=b"]"#).as_ref(), &[]).is_err());
    }

    #[test]
    fn a_value_that_no_program_can_start_with_is_an_error_that_names_it() {
        for value in ["a\0b".to_owned(), "x".repeat(131_069)] {
            let env = Json::Object(vec![("BIG".to_owned(), Json::String(value))]);
            let message = UserEnv::read(Some(&env), &[]).expect_err("refused").to_string();
            assert!(
                message.starts_with("adapter configuration: env.BIG h"),
                "{message}"
            );
        }
        let env = Json::Object(vec![("BIG".to_owned(), Json::String("x".repeat(131_067)))]);
        assert!(UserEnv::read(Some(&env), &[]).is_ok());
    }
}
