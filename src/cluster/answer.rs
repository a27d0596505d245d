//! Answers that no API server gives: a login page or a proxy stands before it.

use http::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use http::{HeaderName, Response};
use kube::client::Body;
use kube::core::Status;

/// How much of a message of others is shown, in characters.
const MESSAGE_CHARS: usize = 500;

/// kube's reason for an answer that is no `Status`.
const NO_STATUS: &str = "Failed to parse error data";

/// An answer that is not the API server's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoApiServer(String);

/// The answer, if it can be an API server's.
pub(super) fn checked(answer: Response<Body>) -> Result<Response<Body>, tower::BoxError> {
    let status = answer.status();
    let headers = answer.headers();
    if status.is_redirection() {
        let place = header(headers, &LOCATION).map_or_else(String::new, |place| format!(" to {place}"));
        return Err(Box::new(NoApiServer(format!("HTTP {status}, a redirect{place}"))));
    }
    let kind = header(headers, &CONTENT_TYPE).unwrap_or_default();
    if status.is_success() && kind.to_ascii_lowercase().starts_with("text/html") {
        return Err(Box::new(NoApiServer(format!(
            "HTTP {status} with a web page ({kind})"
        ))));
    }
    Ok(answer)
}

/// What answered in the API server's place, if this refusal is none of its own: it says by a `Status` who may do what.
/// A gateway's 5xx stays the API server's trouble.
pub(super) fn foreign(status: &Status) -> Option<String> {
    let (code, message) = (status.code, status.message.trim_start());
    let is_page = message.starts_with('<') && code < 500;
    let is_of_rights = matches!(code, 401 | 403 | 407) && status.reason == NO_STATUS;
    if !is_page && !is_of_rights {
        return None;
    }
    let words = shown(message);
    let with = if is_page { " with " } else { ": " };
    Some(format!("HTTP {code}{with}{words}"))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    Some(first_line(&text).to_owned())
}

/// A message of others as it can be shown: its first line, at most 500 characters; of a web page its title.
pub(super) fn shown(message: &str) -> String {
    let text = message.trim_start();
    let is_page = text.starts_with('<');
    let title = is_page.then(|| title(text)).flatten();
    let line = title.map_or_else(
        || first_line(text).to_owned(),
        |title| format!("a web page, {title:?}"),
    );
    let mut shown: String = line.chars().take(MESSAGE_CHARS).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let from = lower.find("<title>")? + "<title>".len();
    let to = from + lower.get(from..)?.find("</title>")?;
    let title = first_line(page.get(from..to)?.trim()).trim();
    (!title.is_empty()).then_some(title)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<Body> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(Body::empty()).expect("an answer")
    }

    #[test]
    fn what_no_api_server_answers_is_named() {
        let refused = |status, headers: &[(&str, &str)]| {
            checked(answer(status, headers))
                .err()
                .map(|error| error.to_string())
        };
        let redirect = refused(302, &[("location", "https://login.example.com/?next=1")]).expect("refused");
        assert_eq!(
            redirect,
            "HTTP 302 Found, a redirect to https://login.example.com/?next=1"
        );
        assert!(refused(308, &[]).is_some_and(|error| error.contains("308")));
        assert!(
            refused(200, &[("content-type", "text/html; charset=utf-8")])
                .is_some_and(|error| error.contains("web page"))
        );
        assert_eq!(refused(200, &[("content-type", "application/json")]), None);
        assert_eq!(refused(101, &[]), None);
        assert_eq!(
            refused(502, &[("content-type", "text/html")]),
            None,
            "its status says all"
        );
    }

    #[test]
    fn a_message_is_one_line_of_500_characters() {
        assert_eq!(shown("no\nmore"), "no");
        assert_eq!(
            shown("<html><head><title>502 Bad Gateway</title>\n<style>…"),
            "a web page, \"502 Bad Gateway\""
        );
        assert_eq!(shown("<!DOCTYPE html>\n<body>"), "<!DOCTYPE html>");
        let long = shown(&"ä".repeat(26_000));
        assert_eq!(long.chars().count(), MESSAGE_CHARS + 1);
        assert_eq!(shown(""), "");
    }
}
