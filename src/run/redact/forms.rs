//! The forms in which a secret may stand in a text: as it is, as JSON and URLs write it, and in base64 and as
//! hexadecimal digits, also where these are broken into lines. Pure.

use std::fmt;

use memchr::memmem::Finder;

/// Shorter texts are more likely ordinary words, and are not looked for.
pub(super) const MIN_BYTES: usize = 8;
/// A line of a secret of several lines is known by itself from this length on.
const MIN_LINE_BYTES: usize = 16;

/// One form of a secret, ready to be looked for.
#[derive(Clone)]
pub(super) struct Form {
    text: String,
    finder: Finder<'static>,
}

impl Form {
    pub(super) fn new(text: String) -> Self {
        let finder = Finder::new(&text).into_owned();
        Self { text, finder }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.finder.find(text.as_bytes()).is_some()
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Form {}

/// A secret is printed nowhere, not in a message about the adapter's own faults either.
impl fmt::Debug for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// All forms of these secrets, the longest first: one may be a part of another.
pub(super) fn of(mut secrets: Vec<String>) -> Vec<Form> {
    // A key of several lines may come line by line.
    let lines = secrets.iter().filter(|secret| secret.contains('\n'));
    let lines = lines.flat_map(|secret| secret.lines().map(|line| line.trim().to_owned()));
    let lines: Vec<String> = lines.filter(|line| line.len() >= MIN_LINE_BYTES).collect();
    secrets.extend(lines);
    secrets.retain(|secret| secret.len() >= MIN_BYTES);
    // What these make of a short secret is no longer one.
    let encoded: Vec<String> = secrets
        .iter()
        .flat_map(|secret| {
            let hex = in_hex(secret);
            [
                in_url(secret),
                in_url(secret).to_lowercase(),
                hex.to_uppercase(),
                hex,
            ]
            .into_iter()
            .chain(in_base64(secret))
        })
        .filter(|form| form.len() >= MIN_BYTES)
        .collect();
    // In a line of JSON a secret stands as JSON writes it, and in JSON inside JSON as JSON writes that.
    let in_json: Vec<String> = secrets
        .iter()
        .flat_map(|secret| [escaped(secret), escaped_to_ascii(secret)])
        .flatten()
        .collect();
    secrets.extend(in_json.iter().filter_map(|form| escaped(form)));
    secrets.extend(in_json);
    secrets.extend(encoded);
    secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    secrets.dedup();
    secrets.into_iter().map(Form::new).collect()
}

/// A text as it stands in a string of JSON, where that differs.
pub(super) fn escaped(text: &str) -> Option<String> {
    let quoted = serde_json::to_string(text).ok()?;
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (inner != text).then(|| inner.to_owned())
}

/// The same where everything beyond ASCII is escaped as well, as Python does.
fn escaped_to_ascii(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut out = String::new();
    for c in escaped(text).as_deref().unwrap_or(text).chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Some(out)
}

/// A text as it stands in a part of a URL.
fn in_url(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn in_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// So much of a line stands before the place where an encoder breaks it.
const BROKEN_BYTES: usize = 16;

/// The text without the encoded secrets in it that an encoder has broken into lines; none where there are none.
pub(super) fn without_broken(text: &str, forms: &[Form]) -> Option<String> {
    let bytes = text.as_bytes();
    let in_code = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    let (mut out, mut told, mut seen) = (String::new(), 0, 0);
    for at in memchr::memchr3_iter(b'\n', b'\r', b'\\', bytes) {
        let left = bytes.get(seen..at).unwrap_or_default();
        let left = left.iter().rev().take_while(|byte| in_code(byte)).count();
        if at < seen || left < BROKEN_BYTES {
            continue;
        }
        let mut pieces = Vec::new();
        pieces.push(at - left..at);
        seen = at;
        loop {
            let from = seen + break_bytes(bytes.get(seen..).unwrap_or_default());
            let right = bytes.get(from..).unwrap_or_default();
            let right = right.iter().take_while(|byte| in_code(byte)).count();
            if from == seen || right == 0 {
                break;
            }
            seen = from + right;
            pieces.push(from..seen);
        }
        let joined: String = pieces
            .iter()
            .filter_map(|piece| text.get(piece.clone()))
            .collect();
        let is_secret = |form: &Form| form.text.len() >= BROKEN_BYTES && form.is_in(&joined);
        if pieces.len() < 2 || !forms.iter().any(is_secret) {
            continue;
        }
        for piece in pieces {
            out.push_str(text.get(told..piece.start).unwrap_or_default());
            out.push_str("***");
            told = piece.end;
        }
    }
    (told > 0).then(|| out + text.get(told..).unwrap_or_default())
}

/// How long the break of a line is, as it is or as JSON writes it, with what indents the next line.
fn break_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        at += match (slashes, rest.get(slashes)) {
            (1.., Some(b'n' | b'r')) => slashes + 1,
            (0, Some(b'\n' | b'\r')) => 1,
            (0, Some(b' ' | b'\t')) if at > 0 => 1,
            _ => return at,
        };
    }
}

/// What base64 makes of a text, wherever in the encoded bytes it stands: of a login it is the end. The first and the
/// last character depend on what is around it, and are left out.
fn in_base64(text: &str) -> Vec<String> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at_offset = |offset: usize| {
        let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(text.bytes()).collect();
        // Of the bits of a last, half character the next byte decides.
        let whole = bytes.len() * 8 / 6;
        let first = if offset == 0 { 0 } else { offset + 1 };
        let sextet = |at: usize| {
            let bit = at * 6;
            let high = u16::from(bytes.get(bit / 8).copied().unwrap_or_default());
            let low = u16::from(bytes.get(bit / 8 + 1).copied().unwrap_or_default());
            let value = (((high << 8) | low) >> (10 - bit % 8)) & 63;
            char::from(STANDARD.get(usize::from(value)).copied().unwrap_or(b'='))
        };
        (first..whole).map(sextet).collect::<String>()
    };
    let standard: Vec<String> = (0..3).map(at_offset).collect();
    let for_urls = standard
        .iter()
        .map(|form| form.replace('+', "-").replace('/', "_"));
    for_urls.chain(standard.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(secret: &str) -> Vec<String> {
        of(vec![secret.to_owned()])
            .iter()
            .map(|form| form.text().to_owned())
            .collect()
    }

    #[test]
    fn base64_is_known_wherever_the_secret_stands_in_it() {
        // base64 of "Hello, World!", of "u:Hello, World!" and of "ab:Hello, World!?"
        let forms = of(vec!["Hello, World!".to_owned()]);
        for encoded in [
            "SGVsbG8sIFdvcmxkIQ==",
            "dTpIZWxsbywgV29ybGQh",
            "YWI6SGVsbG8sIFdvcmxkIT8=",
            "YTpIZWxsbywgV29ybGQhIQ==",
            "eDpIZWxsbywgV29ybGQhOng=",
        ] {
            assert!(forms.iter().any(|form| form.is_in(encoded)), "{encoded}");
        }
    }

    #[test]
    fn urls_and_json_are_known() {
        let forms = texts("p\"w/ö d1");
        for form in [
            "p\"w/ö d1",
            "p\\\"w/ö d1",
            "p\\\\\\\"w/ö d1",
            "p\\\"w/\\u00f6 d1",
            "p%22w%2F%C3%B6%20d1",
            "p%22w%2f%c3%b6%20d1",
        ] {
            assert!(forms.iter().any(|known| known == form), "{form}");
        }
        assert!(texts("short").is_empty());
        assert_eq!(
            format!("{:?}", of(vec!["a-secret-word".to_owned()]).first()),
            "Some(***)"
        );
    }

    #[test]
    fn a_plain_secret_has_few_forms() {
        assert!(texts("sk-0123456789abcdefghij").len() <= 7);
    }

    #[test]
    fn what_an_encoder_has_broken_into_lines_is_known() {
        let forms = of(vec!["a secret of some length, 0123456789 abcdef".to_owned()]);
        let base64 = "cHJlZml4OmEgc2VjcmV0IG9mIHNvbWUgbGVuZ3RoLCAwMTIzNDU2Nzg5IGFiY2RlZg==";
        let hex = "6120736563726574206f6620736f6d65206c656e6774682c2030313233343536373839206162636465660a";
        for code in [base64, hex] {
            for broken in ["\n", "\r\n  ", "\\n", "\\r\\n", "\\\\n"] {
                for at in [17, 30, 60] {
                    let (first, second) = code.split_at(at);
                    let text = format!("it is {first}{broken}{second}, no more");
                    let said = without_broken(&text, &forms).expect("a secret");
                    assert_eq!(said, format!("it is ***{broken}***, no more"));
                }
            }
        }
        for other in ["it is\nnothing", "0123456789abcdef0123\n4567\n", "\\n\\n", "\\"] {
            assert_eq!(without_broken(other, &forms), None);
        }
    }
}
