//! What is read of an answer's text before its words are judged. Pure.

/// The status, where a client says little else: "Request failed with status code 429", "401 status code (no body)", and
/// V2 of an answer that it does not know, "Provider request failed with HTTP 401: …".
pub(super) fn status_in(message: &str) -> Option<u16> {
    let message = message.trim().trim_end_matches('.');
    // The name of the error, where opencode has no other words for it.
    let named = message
        .split_once(": ")
        .filter(|(name, _)| name.ends_with("Error"));
    let message = named.map_or(message, |(_, said)| said);
    let of_v2 = message.strip_prefix("Provider request failed with HTTP ");
    let number = message
        .strip_prefix("Request failed with status code ")
        .or_else(|| message.strip_suffix(" status code (no body)"))
        .or_else(|| of_v2?.split(':').next())?;
    number.parse().ok().filter(|status| (400..600).contains(status))
}

/// The status of a provider in a gateway's words: a number before what HTTP calls it, `400 Bad Request`, the last one.
pub(super) fn status_by_name(text: &str) -> Option<u16> {
    const NAMES: [&str; 12] = [
        "400 Bad Request",
        "401 Unauthorized",
        "402 Payment Required",
        "403 Forbidden",
        "404 Not Found",
        "413 Request Entity Too Large",
        "413 Payload Too Large",
        "422 Unprocessable Entity",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
    ];
    let found = NAMES.iter().filter_map(|name| Some((text.rfind(name)?, name)));
    let (_, name) = found.max()?;
    name.get(..3)?.parse().ok()
}

/// The text without the names of models, which may be called like anything: only names in quotes behind the word.
pub(super) fn without_model_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("model ") {
        out.extend([before, "model "]);
        rest = after;
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'));
        let Some((quote, inside)) = quote.zip(after.get(1..)) else {
            continue;
        };
        let end = inside.find(|c: char| c == quote || c.is_whitespace());
        if let Some(behind) = end.and_then(|end| inside.get(end..)?.strip_prefix(quote)) {
            out.extend([quote, quote]);
            rest = behind;
        }
    }
    out + rest
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_status_is_the_providers() {
        for (text, status) in [
            (
                r#"POST "https://llm": 400 Bad Request {"message":"no"}"#,
                Some(400),
            ),
            ("502 Bad Gateway: upstream said 429 Too Many Requests", Some(429)),
            ("400 tokens", None),
        ] {
            assert_eq!(status_by_name(text), status, "{text}");
        }
    }
}
