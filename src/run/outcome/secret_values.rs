//! Secrets of more than one word: tokens with signs inside, the fields of a login, and keys behind the word for one.
//! Pure.

use std::ops::Range;

use super::secret_shapes::is_random;
use super::secrets::REDACTED;

/// A token that is known by how it begins, though it has signs that other texts have between words.
struct Token {
    begins: &'static str,
    has: fn(char) -> bool,
    is_one: fn(&str) -> bool,
}

/// Characters of a login of Google after its mark.
const LOGIN_BYTES: usize = 20;

const GOOGLE: Token = Token {
    begins: "1//0",
    has: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
    is_one: |rest| rest.len() >= LOGIN_BYTES && is_random(rest),
};
const COPILOT: Token = Token {
    begins: "tid=",
    has: |c| c.is_ascii_alphanumeric() || ";=:._+/-%~".contains(c),
    is_one: |rest| rest.contains(";exp=") || rest.contains("%3Bexp%3D"),
};

const TOKENS: [Token; 7] = [
    GOOGLE,
    Token {
        begins: r"1\/\/0",
        ..GOOGLE
    },
    Token {
        begins: "1%2F%2F0",
        ..GOOGLE
    },
    Token {
        begins: "1%2f%2f0",
        ..GOOGLE
    },
    COPILOT,
    Token {
        begins: "tid%3D",
        ..COPILOT
    },
    // The signature of a token whose beginning was cut off.
    Token {
        begins: "8kp=1:",
        has: |c| c.is_ascii_hexdigit(),
        is_one: |rest| rest.len() >= 32,
    },
];

/// Without tokens that have signs inside.
pub(super) fn without_tokens(text: &str) -> String {
    let mut text = text.to_owned();
    for token in &TOKENS {
        if text.contains(token.begins) {
            text = without_token(&text, token);
        }
    }
    text
}

fn without_token(text: &str, token: &Token) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(token.begins) {
        // All that was read is told or left out: what is no token has none inside either.
        let (value, behind) = after.split_at(after.find(|c| !(token.has)(c)).unwrap_or(after.len()));
        out.push_str(before);
        match (token.is_one)(value) {
            true => out.push_str(REDACTED),
            false => out.extend([token.begins, value]),
        }
        rest = behind;
    }
    out + rest
}

/// Bytes that the value of a login has at least.
const FIELD_BYTES: usize = 8;

/// Without the tokens of logins as opencode keeps them: `{"type":"oauth","refresh":"…","access":"…"}`.
pub(super) fn without_logins(text: String) -> String {
    if !text.contains("oauth") {
        return text;
    }
    let objects = text.split_inclusive(['{', '}']);
    objects
        .map(|object| match is_login(object) {
            true => ["access", "refresh"]
                .into_iter()
                .fold(object.to_owned(), without_field),
            false => object.to_owned(),
        })
        .collect()
}

/// A quote of JSON, in JSON in JSON too, or what stands between a name and its value.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ':')
}

fn is_login(object: &str) -> bool {
    let mut types = object.match_indices("oauth");
    types.any(|(at, _)| {
        let before = object.get(..at).unwrap_or_default();
        let name = before.trim_end_matches(is_between);
        name.len() < before.len() && name.ends_with("type")
    })
}

fn without_field(object: String, name: &str) -> String {
    without_values(object, name, |behind| {
        let value = behind.trim_start_matches(is_between);
        let start = behind.len() - value.len();
        behind.get(..start).filter(|gap| gap.contains(':'))?;
        let ends = |c: char| c.is_whitespace() || "\"'\\,{}".contains(c);
        let bytes = value.find(ends).unwrap_or(value.len());
        (bytes >= FIELD_BYTES).then(|| start..start + bytes)
    })
}

/// The text without the value behind each mark: `find` tells where one is in what follows. What it reads and does not
/// find a secret must have no mark with a value inside.
fn without_values(text: String, mark: &str, find: impl Fn(&str) -> Option<Range<usize>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once(mark) {
        out.extend([before, mark]);
        rest = behind;
        if let Some(value) = find(behind) {
            out.extend([behind.get(..value.start).unwrap_or_default(), REDACTED]);
            rest = behind.get(value.end..).unwrap_or_default();
        }
    }
    out + rest
}

/// Words before which services quote a key that they refuse.
const KEY_WORDS: [&str; 9] = [
    "key", "Key", "KEY", "token", "Token", "TOKEN", "secret", "Secret", "SECRET",
];
/// Bytes of quotes and signs between such a word and the key.
const GAP_BYTES: usize = 12;
/// Bytes of a key with slashes.
const SLASHED_BYTES: Range<usize> = 32..2048;

/// Without keys that have slashes, behind a word for one: the quote or the space ends such a key.
pub(super) fn without_slashed_keys(text: String) -> String {
    KEY_WORDS.iter().fold(text, |text, word| {
        without_values(text, word, |behind| {
            let between = |c: char| is_between(c) || matches!(c, '`' | '=');
            let value = behind.trim_start_matches(between);
            let start = behind.len() - value.len();
            if !(1..=GAP_BYTES).contains(&start) {
                return None;
            }
            let ends = |c: char| !(c.is_ascii_alphanumeric() || "+/_-".contains(c));
            let value = value.get(..value.find(ends).unwrap_or(value.len()))?;
            is_slashed_key(value).then(|| start..start + value.len())
        })
    })
}

/// Base64 with a slash in it. The words of a path have one kind of character in a row, what was drawn has not.
fn is_slashed_key(value: &str) -> bool {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let bytes = value.as_bytes();
    let changes = bytes.windows(2).filter(|pair| match pair {
        [one, other] => kind(*one)
            .zip(kind(*other))
            .is_some_and(|(one, other)| one != other),
        _ => false,
    });
    value.contains('/')
        && !value.starts_with('/')
        && SLASHED_BYTES.contains(&value.len())
        && (0..3).all(|all| bytes.iter().any(|byte| kind(*byte) == Some(all)))
        && changes.count() * 4 >= value.len()
}
