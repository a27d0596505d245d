//! What opencode says of an error that ended or disturbed a run: `{name, data: {message, …}}` in 1.x, and
//! `{type, message, status?, http?, reason?}` in V2.

use std::borrow::Cow;

use serde::Serialize;

use super::bounded::{head, prefix};
use super::event::error_text;
use super::last_errors::ErrorHead;
use super::small::SmallValue;

/// Bytes of a name or reference that are kept.
pub(crate) const NAME_BYTES: usize = 256;
/// Bytes of a text that are kept.
pub(crate) const TEXT_BYTES: usize = 4 << 10;

/// Fields of an error that are told where it has no message.
const MAX_FIELDS: usize = 4;

/// An `error` line.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// `APIError`, `ContextOverflowError`, `UnknownError`, …, in V2 `provider.auth`, …; empty when the line had none.
    pub name: String,
    /// The message.
    pub message: String,
    /// HTTP status of the provider's answer; none for connection errors.
    pub status: Option<u16>,
    /// What opencode says about trying again. A line with `true` comes after its own retries.
    pub retryable: Option<bool>,
    /// Host of the provider's URL.
    pub host: Option<String>,
    /// Beginning of the provider's answer.
    pub body: Option<String>,
    /// `err_…`: opencode's own log has the cause under the same reference.
    pub reference: Option<String>,
    /// V2's reason, as JSON: its tag and its classification say more than the type.
    pub reason: Option<String>,
}

impl RunError {
    pub(crate) fn read(value: &SmallValue<'_>) -> Self {
        let at = |paths: &[&[&str]]| paths.iter().find_map(|path| value.at(path));
        let text = |paths: &[&[&str]]| at(paths).and_then(SmallValue::as_str);
        // In V2 the name is called type; 1.x has no type.
        let name = text(&[&["name"]]).or_else(|| text(&[&["type"]]));
        Self {
            name: head(name.unwrap_or_default(), NAME_BYTES),
            message: head(
                &missing_model(value)
                    .or_else(|| fields(value))
                    .or_else(|| message_in_fields(value))
                    .unwrap_or_else(|| error_text(value)),
                TEXT_BYTES,
            ),
            status: at(&[
                &["data", "statusCode"],
                &["status"],
                &["http", "status"],
                &["statusCode"],
            ])
            .and_then(status),
            retryable: at(&[
                &["data", "isRetryable"],
                &["isRetryable"],
                &["reason", "retryable"],
            ])
            .and_then(SmallValue::as_bool),
            host: text(&[
                &["data", "metadata", "url"],
                &["http", "url"],
                &["metadata", "url"],
            ])
            .and_then(host),
            body: at(&[&["data", "responseBody"], &["http", "body"], &["responseBody"]])
                .and_then(text_or_json)
                .map(|body| fit(&body)),
            reference: text(&[&["data", "ref"], &["ref"]]).map(|reference| head(reference, NAME_BYTES)),
            reason: at(&[&["reason"]])
                .filter(|reason| reason.as_fields().is_some() || reason.as_str().is_some())
                .map(|reason| head(&reason.to_json().to_string(), TEXT_BYTES)),
        }
    }

    /// What it begins with.
    pub(crate) fn head(&self) -> ErrorHead<'_> {
        ErrorHead {
            name: &self.name,
            message: &self.message,
            status: self.status,
        }
    }
}

/// What 1.x says of a model that it does not know, in fields instead of a message.
fn missing_model(value: &SmallValue<'_>) -> Option<String> {
    let data = value.get("data")?;
    let field = |name: &str| data.get(name).and_then(SmallValue::as_str);
    let (provider, model) = (field("providerID")?, field("modelID")?);
    if field("message").is_some() {
        return None;
    }
    let near = data
        .get("suggestions")
        .and_then(|near| near.items().first()?.as_str());
    let near = near.map(|near| format!(". Is it {provider}/{near}?"));
    Some(format!(
        "Model not found: {provider}/{model}{}",
        near.unwrap_or_default()
    ))
}

/// The fields of a named error that has no message: `ProviderInitError: providerID acme`.
fn fields(value: &SmallValue<'_>) -> Option<String> {
    let name = value.get("name").and_then(SmallValue::as_str)?;
    let data = value.get("data")?;
    let is_told = value.get("message").is_some()
        || ["message", "responseBody", "statusCode"]
            .iter()
            .any(|key| data.get(key).is_some());
    if is_told {
        return None;
    }
    let said: Vec<String> = data
        .as_fields()?
        .iter()
        .filter_map(|(field, value)| Some(format!("{field} {}", prefix(value.as_str()?, NAME_BYTES))))
        .take(MAX_FIELDS)
        .collect();
    (!said.is_empty()).then(|| format!("{name}: {}", said.join(", ")))
}

/// A message that is an object, as some providers' answers are passed on, as its JSON.
fn message_in_fields(value: &SmallValue<'_>) -> Option<String> {
    let mut paths = [&["message"][..], &["data", "message"]].into_iter();
    let message = paths.find_map(|path| value.at(path).filter(|message| **message != SmallValue::Null))?;
    let is_text = message.as_str().is_some();
    text_or_json(message).filter(|_| !is_text).map(Cow::into_owned)
}

/// An answer in [`TEXT_BYTES`]. What it repeats of the request is long, and the fields that say what is wrong may stand
/// behind it: of a document each text is shortened, of anything else the beginning is kept.
fn fit(body: &str) -> String {
    const FIELD_BYTES: [usize; 2] = [512, 64];
    if body.len() <= TEXT_BYTES {
        return body.to_owned();
    }
    let document = serde_json::from_str::<SmallValue<'_>>(body).ok();
    let mut shorter = FIELD_BYTES
        .iter()
        .filter_map(|bytes| Some(document.as_ref()?.to_short_json(*bytes).to_string()));
    shorter
        .find(|short| short.len() <= TEXT_BYTES)
        .unwrap_or_else(|| head(body, TEXT_BYTES))
}

/// A text, or what a program wrote instead of one.
fn text_or_json<'a>(value: &'a SmallValue<'_>) -> Option<Cow<'a, str>> {
    match value {
        SmallValue::Text(text) => Some(Cow::Borrowed(text)),
        SmallValue::List(_) | SmallValue::Fields(_) => Some(Cow::Owned(value.to_json().to_string())),
        SmallValue::Null | SmallValue::Bool(_) | SmallValue::Number(_) => None,
    }
}

/// A status as a number, or as its digits.
fn status(value: &SmallValue<'_>) -> Option<u16> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|status| (100..1000).contains(status))
}

/// Host and port of a URL, without user names and paths, which may hold secrets.
fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then(|| prefix(host, NAME_BYTES).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &serde_json::Value) -> RunError {
        RunError::read(&serde_json::from_str(&value.to_string()).expect("JSON"))
    }

    #[test]
    fn both_shapes_are_read() {
        let old = read(
            &json!({"name": "APIError", "data": {"message": "no", "statusCode": 401,
            "isRetryable": false, "responseBody": "{}", "metadata": {"url": "https://u:p@h:1/x?key=k"}}}),
        );
        let new = read(
            &json!({"type": "provider.auth", "message": "no", "http": {"status": "401", "url": "https://h:1/x"},
            "reason": {"_tag": "Authentication", "retryable": false}}),
        );
        assert_eq!(
            (old.status, old.host.as_deref(), old.name.as_str()),
            (Some(401), Some("h:1"), "APIError")
        );
        assert_eq!(
            (new.status, new.host.as_deref(), new.name.as_str()),
            (Some(401), Some("h:1"), "provider.auth")
        );
        assert_eq!((old.retryable, new.retryable), (Some(false), Some(false)));
        assert!(new.reason.is_some_and(|reason| reason.contains("Authentication")));
    }

    #[test]
    fn an_answer_that_is_no_text_is_read() {
        for body in [
            json!({"error": {"code": "no_money"}}),
            json!(r#"{"error":{"code":"no_money"}}"#),
        ] {
            let error = read(&json!({"name": "APIError", "data": {"message": "no", "responseBody": body}}));
            assert_eq!(error.body.as_deref(), Some(r#"{"error":{"code":"no_money"}}"#));
        }
    }

    #[test]
    fn a_message_that_is_an_object_is_read() {
        let said = json!({"error": {"message": "said", "code": "no_money"}});
        for error in [
            json!({"name": "APIError", "data": {"message": said, "statusCode": 400}}),
            json!({"name": "APIError", "message": said}),
        ] {
            assert_eq!(read(&error).message, said.to_string());
        }
        let named = read(&json!({"name": "APIError", "message": null, "data": {"message": 5}}));
        assert_eq!(named.message, "APIError");
    }

    #[test]
    fn of_a_long_answer_each_field_is_kept() {
        let request: Vec<_> = (0..4)
            .map(|n| json!({"content": format!("{n}").repeat(2_000)}))
            .collect();
        let body = json!({"a": request, "error": {"message": "said", "code": "no_money"}}).to_string();
        let error = read(&json!({"name": "APIError", "data": {"message": "no", "responseBody": body}}));
        let kept = error.body.expect("a body");
        assert!(kept.len() <= TEXT_BYTES && kept.contains("no_money"), "{kept}");
        let words = "x".repeat(2 * TEXT_BYTES);
        let error = read(&json!({"name": "APIError", "data": {"message": "no", "responseBody": words}}));
        assert_eq!(error.body.map(|body| body.len()), Some(TEXT_BYTES));
    }

    #[test]
    fn a_model_is_named_where_only_fields_name_it() {
        let data = json!({"providerID": "acme", "modelID": "larg", "suggestions": ["large"]});
        let error = read(&json!({"name": "ProviderModelNotFoundError", "data": data}));
        assert_eq!(error.message, "Model not found: acme/larg. Is it acme/large?");
    }

    #[test]
    fn no_shape_is_refused() {
        for value in [
            json!(null),
            json!("text"),
            json!([1]),
            json!({"status": -1, "reason": 5}),
        ] {
            let error = read(&value);
            assert_eq!((error.status, error.reason), (None, None));
        }
    }
}
