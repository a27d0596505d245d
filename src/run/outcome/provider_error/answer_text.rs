//! What is read of an answer's text before its words are judged. Pure.

/// Whether a text is a web page.
pub(super) fn is_page(lower_case: &str) -> bool {
    ["<!doctype html", "<html"]
        .iter()
        .any(|begin| lower_case.contains(begin))
}

/// The status that a client puts into its words: "Request failed with status code 429", "401 status code (no body)".
pub(super) fn status_in(message: &str) -> Option<u16> {
    let (before, after) = message.split_once("status code")?;
    let digits = |text: &str| {
        text.get(..3)?
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status))
    };
    digits(after.trim_start()).or_else(|| digits(before.trim_start()))
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
