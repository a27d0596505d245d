//! Ids: whatever reads one checks it here.

use thiserror::Error;

/// Longest id.
const LONGEST: usize = 128;

/// Whether a text may become an argument of a program: `[A-Za-z0-9][A-Za-z0-9_-]{0,127}`.
///
/// The pod writes session ids, and the pod is the agent's. One that begins with `-` would be an option: opencode sent a
/// whole prompt to the server of a session called `--attach=http://…`.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Checks company, agent and run id, in this order, for the use in a path.
pub fn check_ids(company_id: &str, agent_id: &str, run_id: &str) -> Result<(), InvalidId> {
    let ids = [
        ("companyId", company_id),
        ("agentId", agent_id),
        ("runId", run_id),
    ];
    match ids
        .into_iter()
        .find(|(_, value)| !is_path_id(value) || value.len() > LONGEST)
    {
        Some((field, value)) if is_path_id(value) => Err(InvalidId::Length {
            field,
            length: value.len(),
        }),
        Some((field, value)) => Err(InvalidId::Characters {
            field,
            value: value.to_owned(),
        }),
        None => Ok(()),
    }
}

fn is_path_id(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// An id that cannot become part of a path. `field` is `companyId`, `agentId` or `runId`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidId {
    /// With characters other than ASCII letters, digits and `-`, or without any.
    #[error("Invalid {field} for log path: {value}")]
    Characters {
        /// Whose it is.
        field: &'static str,
        /// The refused value.
        value: String,
    },
    /// File names have 255 bytes, and the longest of a run is `<runId>.pod.stderr.log`.
    #[error("Id too long: {field} has {length} characters, at most {LONGEST} fit into a path")]
    Length {
        /// Whose it is.
        field: &'static str,
        /// Its characters.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_refused_in_order_with_their_value() {
        let refused = |company, agent, run| check_ids(company, agent, run).expect_err("refused").to_string();
        assert_eq!(refused("a b", "x/y", ""), "Invalid companyId for log path: a b");
        assert_eq!(refused("c", "x/y", ""), "Invalid agentId for log path: x/y");
        assert_eq!(refused("c", "-a-", ""), "Invalid runId for log path: ");
        assert_eq!(refused("c", "a", "r\n"), "Invalid runId for log path: r\n");
        assert_eq!(refused("..", "a", "r"), "Invalid companyId for log path: ..");
        assert!(check_ids("A-9", "-", &"z".repeat(128)).is_ok());
        assert_eq!(
            refused("c", "a", &"z".repeat(129)),
            "Id too long: runId has 129 characters, at most 128 fit into a path"
        );
    }
}
