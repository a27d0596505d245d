//! What a provider's answer says in fields, wherever a gateway has put it: codes, a parameter, a status. Pure.

use serde_json::Value;

use crate::opencode::RunError;

use super::super::documents;

/// The fields of an answer, those of the innermost one last.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Lower case, without a namespace.
    pub(super) codes: Vec<String>,
    /// What a refusal is about: `tools[2].parameters`, `messages.3.content`. Lower case.
    pub(super) params: Vec<String>,
    /// The status that the provider gave a gateway.
    pub(super) status: Option<u16>,
    /// The answer is what a web framework says of a request that its handler could not answer: `{"detail": "words"}`.
    pub(super) is_of_handler: bool,
    /// The body as lines of a field and its text, without what it repeats of the request; as it is, if it is no document.
    pub(super) body: String,
}

/// Fields that hold a code.
const CODES: &[&str] = &[
    "code",
    "type",
    "status",
    "reason",
    "__type",
    "error",
    "error_code",
    "errorcode",
    "name",
];
/// Of these, and of others, those that may hold a status.
const STATUS: &[&str] = &[
    "code",
    "status",
    "statuscode",
    "status_code",
    "upstreamstatus",
    "error_code",
];
/// What an answer repeats of the request: its words are the conversation's.
const OF_REQUEST: &[&str] = &[
    "request",
    "request_body",
    "requestbody",
    "messages",
    "prompt",
    "tools",
];
/// Levels that are looked at, texts in texts included.
const DEPTH: usize = 12;

impl Answer {
    pub(super) fn of(error: &RunError) -> Self {
        let mut answer = Self::default();
        answer.read_text(&error.message, 0);
        let of_message = answer.body.len();
        let body = error.body.as_deref().unwrap_or_default();
        answer.read_text(body, 0);
        if answer.body.len() == of_message {
            answer.body.push_str(body);
        }
        if let Some(value) = error
            .reason
            .as_deref()
            .and_then(|reason| serde_json::from_str(reason).ok())
        {
            answer.read(&value, 0);
        }
        answer
    }

    /// Whether one of these codes is in the answer.
    pub(super) fn has(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    fn read_text(&mut self, text: &str, depth: usize) {
        let behind = text.split_once("Error code: ").map(|(_, behind)| behind);
        if let Some(status) = behind.and_then(|behind| of_digits(behind.get(..3)?)) {
            self.status = Some(status);
        }
        self.read_labels(text);
        for value in documents::all(text) {
            self.read(&value, depth);
        }
    }

    /// The names before the words: `litellm.RateLimitError: …`, `[invalid_request_error] …`, `400: ThrottlingException: …`.
    fn read_labels(&mut self, text: &str) {
        const FIRST: usize = 6;
        let head = text.split(['{', '\n']).next().unwrap_or_default();
        let labels = head.split(": ").take(FIRST).flat_map(|part| {
            let bracketed = part.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            [Some(part), bracketed.map(|(inside, _)| inside)]
        });
        for label in labels.flatten().filter(|label| !label.contains(' ')) {
            self.push_code(label.strip_prefix("litellm.").unwrap_or(label));
        }
    }

    fn read(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.read(item, depth + 1)),
            Value::Object(fields) => {
                for (key, field) in fields {
                    self.read_field(&key.to_ascii_lowercase(), field, depth + 1);
                }
            }
            Value::String(text) => self.read_text(text, depth + 1),
            _ => {}
        }
    }

    fn read_field(&mut self, key: &str, field: &Value, depth: usize) {
        if key == "input" || OF_REQUEST.contains(&key) && (field.is_object() || field.is_array()) {
            return;
        }
        let words = match field {
            Value::String(text) => text,
            Value::Array(place) if key == "loc" => &joined(place),
            _ => "",
        };
        // The names of what says something else than the sentences around it.
        let name = if key.contains('_') { key } else { "" };
        self.body.extend([name, " ", words, "\n"]);
        self.is_of_handler |= key == "detail" && field.is_string();
        let number = field.as_u64().and_then(|number| u16::try_from(number).ok());
        let status = number.filter(is_status).or_else(|| of_digits(field.as_str()?));
        if STATUS.contains(&key) && status.is_some() {
            self.status = status;
        }
        match field {
            Value::String(code) if CODES.contains(&key) && is_code(code) => {
                self.push_code(&code.replace(' ', "_"));
            }
            Value::String(param) if key == "param" => self.params.push(param.to_ascii_lowercase()),
            Value::Array(place) if key == "loc" => self.params.push(joined(place)),
            field => self.read(field, depth),
        }
    }

    /// `com.amazon.coral#ThrottlingException:http://…` is called `throttlingexception`.
    fn push_code(&mut self, code: &str) {
        let code = code.rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default();
        self.codes.push(code.to_ascii_lowercase());
    }
}

/// One word; or two plain ones, as some write `Bad Request` for a code.
fn is_code(text: &str) -> bool {
    match text.split_once(char::is_whitespace) {
        None => true,
        Some((first, second)) => [first, second]
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic())),
    }
}

/// A place in a request as FastAPI tells it: `["body", "messages", 2, "content"]`.
fn joined(place: &[Value]) -> String {
    let steps = place.iter().map(|step| match step {
        Value::String(step) => step.to_ascii_lowercase(),
        step => step.to_string(),
    });
    steps.filter(|step| step != "body").collect::<Vec<_>>().join(".")
}

fn of_digits(text: &str) -> Option<u16> {
    text.parse().ok().filter(is_status)
}

fn is_status(number: &u16) -> bool {
    (400..600).contains(number)
}
