//! Ids: whatever reads one checks it here.

/// Longest id that becomes an argument.
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
