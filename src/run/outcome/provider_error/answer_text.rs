//! What is read of an answer's text before its words are judged. Pure.

/// The status, where a client says nothing else: "Request failed with status code 429", "401 status code (no body)".
pub(super) fn status_in(message: &str) -> Option<u16> {
    let message = message.trim().trim_end_matches('.');
    let number = message
        .strip_prefix("Request failed with status code ")
        .or_else(|| message.strip_suffix(" status code (no body)"))?;
    number.parse().ok().filter(|status| (400..600).contains(status))
}

/// The text without its links: a page about quotas is no quota.
pub(super) fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let scheme = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        out.push_str(scheme);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | '\\'))
            .unwrap_or(after.len());
        rest = after.get(end..).unwrap_or_default();
    }
    out + rest
}
