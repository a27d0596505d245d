//! The fields of an answer in XML, as AWS, S3 and SOAP write it. Pure.

use serde_json::{Map, Value};

/// Elements in each other.
const MAX_DEPTH: usize = 16;
/// What the outermost element of such an answer is called, in part. A text that quotes markup has other ones.
const ROOTS: [&str; 5] = ["error", "response", "fault", "exception", "envelope"];
/// What says something in it.
const SAYS: [&str; 4] = ["message", "code", "faultstring", "description"];

/// Whether an answer in XML may begin here.
pub(super) fn may_begin(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('<') else {
        return false;
    };
    inside.starts_with("?xml")
        || name_of(inside).is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            ROOTS.iter().any(|root| name.contains(root))
        })
}

/// The elements that hold a text, as fields, and where the document ends. One that is cut off ends where the text does.
pub(super) fn read(text: &str) -> Option<(Value, usize)> {
    let mut fields = Map::new();
    let mut open: Vec<&str> = Vec::new();
    // The text of the innermost element so far; none once another element was in it.
    let mut said: Option<String> = None;
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        if let Some(said) = said.as_mut() {
            said.push_str(&without_entities(before));
        }
        if let Some(behind) = tag.strip_prefix("![CDATA[") {
            let (inside, after) = behind.split_once("]]>").unwrap_or((behind, ""));
            if let Some(said) = said.as_mut() {
                said.push_str(inside);
            }
            rest = after;
            continue;
        }
        let (inside, after) = match tag.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->").map(|(_, after)| ("!", after)),
            None => tag.split_once('>'),
        }
        .unwrap_or(("!", ""));
        rest = after;
        if inside.starts_with(['?', '!']) || inside.ends_with('/') {
            continue;
        }
        if let Some(name) = inside.strip_prefix('/') {
            if open.pop()? != name.trim() {
                return None;
            }
            if let Some(said) = said.take() {
                keep(&mut fields, name.trim(), &said);
            }
            if open.is_empty() {
                let end = text.len() - rest.len();
                return says_something(&fields).then(|| (Value::Object(fields), end));
            }
            continue;
        }
        open.push(name_of(inside).filter(|_| open.len() < MAX_DEPTH)?);
        said = Some(String::new());
    }
    if let (Some(name), Some(said)) = (open.last(), said) {
        keep(&mut fields, name, &(said + &without_entities(rest)));
    }
    says_something(&fields).then(|| (Value::Object(fields), text.len()))
}

/// Of two elements with one name the first counts: it is the outer one, or the first of several errors.
fn keep(fields: &mut Map<String, Value>, name: &str, said: &str) {
    let name = name.rsplit(':').next().unwrap_or_default();
    let said = said.trim();
    if !said.is_empty() && !fields.contains_key(name) {
        fields.insert(name.to_owned(), Value::String(said.to_owned()));
    }
}

fn says_something(fields: &Map<String, Value>) -> bool {
    fields
        .keys()
        .any(|name| SAYS.contains(&name.to_ascii_lowercase().as_str()))
}

/// The name that a tag begins with.
fn name_of(inside: &str) -> Option<&str> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '.');
    let end = inside.find(|c| !is_in_name(c)).unwrap_or(inside.len());
    inside.get(..end).filter(|name| !name.is_empty())
}

fn without_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after
            .split_once(';')
            .and_then(|(name, behind)| Some((character(name)?, behind)));
        let (character, behind) = entity.unwrap_or(('&', after));
        out.push(character);
        rest = behind;
    }
    out + rest
}

fn character(entity: &str) -> Option<char> {
    const LONGEST: usize = 8;
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity
                .strip_prefix('#')
                .filter(|number| number.len() <= LONGEST)?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_clouds_answer_is_read() {
        let s3 = "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code>\
                  <Message>a &lt; b &amp; &#39;c&#x27;</Message></Error> rest";
        let (value, end) = read(s3).expect("a document");
        assert_eq!(value, json!({"Code": "SlowDown", "Message": "a < b & 'c'"}));
        assert_eq!(s3.get(end..), Some(" rest"));
        let soap = "<soap:Envelope xmlns:soap=\"x\"><soap:Body><soap:Fault><faultcode/>\
                    <faultstring><![CDATA[<no>]]></faultstring><!-- <x> --></soap:Fault></soap:Body></soap:Envelope>";
        assert_eq!(
            read(soap).map(|(value, _)| value),
            Some(json!({"faultstring": "<no>"}))
        );
        let cut = "<ErrorResponse>\n <Error>\n  <Code>Expired</Code><Message>it has en";
        assert_eq!(
            read(cut),
            Some((json!({"Code": "Expired", "Message": "it has en"}), cut.len()))
        );
    }

    #[test]
    fn other_markup_is_none() {
        for text in [
            "<Error>words</Error>",
            "<Error><Message>x</Code></Error>",
            "<Error>",
            "</Error>",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for (text, may) in [
            ("<?xml ", true),
            ("<ErrorResponse x", true),
            ("<function> closed", false),
            ("<html>", false),
            ("<", false),
            ("< Error", false),
        ] {
            assert_eq!(may_begin(text), may, "{text}");
        }
    }
}
