//! Removes from a text what looks like a credential: the shapes of the providers' keys, what a name announces, and
//! passwords in URLs. Reads each character a fixed number of times. Pure.

use super::secret_shapes::{KEY_BYTES, NAMES, SHAPES, UNMISTAKABLE};

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// The text with everything that looks like a credential replaced. What was replaced before stays as it is.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = Before::default();
    for (word, gap) in words(text) {
        let (escape, word) = word.split_at(before.escape_in(word));
        let hides = before.hides(word);
        out.push_str(escape);
        out.push_str(if hides { REDACTED } else { word });
        out.push_str(gap);
        before = before.after(word, gap, hides);
    }
    without_private_keys(without_url_passwords(&out))
}

/// What announces a secret.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Announced {
    #[default]
    No,
    /// `Bearer` and a space.
    Scheme,
    /// A name such as `api_key` and `=` or `:`.
    Name,
    /// The same before a bare value of JSON, which is a number or a word of JSON.
    JsonName,
    /// `key` or `token`, and a space or a quote.
    Key,
    /// `key:` or `signature=`, which prose has, too.
    Value,
    /// `key provided:`, by which a provider quotes a key that it refused.
    Refused,
    /// The word before was a secret, and this is a piece of it.
    More,
}

/// What stands before a word.
#[derive(Debug, Default, Clone, Copy)]
struct Before {
    announced: Announced,
    /// A backslash: in JSON the word begins with the rest of an escape.
    is_escape: bool,
}

impl Before {
    /// How many bytes of the word are the rest of an escape: one for `\n`, five for `\u000a`.
    fn escape_in(self, word: &str) -> usize {
        let is_hex = |code: &str| code.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word.as_bytes().first() {
            Some(b'u') if self.is_escape && word.get(1..5).is_some_and(is_hex) => 5,
            Some(b'b' | b'f' | b'n' | b'r' | b't') if self.is_escape => 1,
            _ => 0,
        }
    }

    fn hides(self, word: &str) -> bool {
        let is_number = word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte));
        let was_hidden = word == "redacted";
        has_shape(word)
            || !was_hidden
                && match self.announced {
                    Announced::No => false,
                    Announced::Scheme | Announced::Name => word.len() >= 8,
                    Announced::JsonName => word.len() >= 8 && !is_number,
                    Announced::Refused => word.len() >= 4,
                    Announced::Key => word.len() >= 12 && is_random(word),
                    Announced::Value => word.len() >= 8 && is_random(word),
                    Announced::More => true,
                }
    }

    /// The context of the word that follows this one.
    fn after(self, word: &str, gap: &str, was_hidden: bool) -> Self {
        let lower = word.to_ascii_lowercase();
        let is = |words: &[&str]| words.contains(&lower.as_str());
        // JSON in JSON in JSON has a backslash more for each.
        let plain_gap = gap.bytes().filter(|byte| *byte != b'\\').count();
        let assigns = gap.contains(['=', ':']) && !gap.contains('\n') && plain_gap <= 8;
        let touches = gap
            .trim_start_matches(' ')
            .starts_with(['=', ':', '"', '\'', '\\']);
        let announced = if was_hidden && matches!(gap, "/" | "~" | "%" | "=" | "*") {
            Announced::More
        } else if is(&["bearer", "basic"]) && !gap.is_empty() && gap.trim().is_empty() {
            Announced::Scheme
        } else if assigns && touches && NAMES.iter().any(|name| lower.ends_with(name)) {
            // In JSON a bare value follows the colon.
            if gap.starts_with('"') && gap.trim_end().ends_with(':') {
                Announced::JsonName
            } else {
                Announced::Name
            }
        } else if is(&["provided", "passed", "received", "used"])
            && self.announced == Announced::Key
            && assigns
        {
            Announced::Refused
        } else if assigns
            && (is(&["key", "token", "sig", "credentials", "pass", "pwd"])
                || lower.ends_with("signature")
                || lower.ends_with("credential"))
        {
            Announced::Value
        } else if is(&["key", "token", "keys"])
            && !gap.is_empty()
            && gap.len() <= 3
            && !gap.contains(['\n', ',', '.'])
        {
            Announced::Key
        } else {
            Announced::No
        };
        let is_escape = gap.ends_with('\\');
        Self { announced, is_escape }
    }
}

/// The words of the text, each with the gap after it. A word has only characters that credentials have.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word_end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let gap_end = after.find(in_word).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        rest = next;
        Some((word, gap))
    })
}

fn has_shape(word: &str) -> bool {
    let is_jwt = word.starts_with("eyJ") && word.len() >= 24 && word.contains('.');
    let long_after = |(start, least): &(&str, usize)| {
        word.strip_prefix(start)
            .is_some_and(|rest| rest.len() >= *least && rest.bytes().any(|byte| byte.is_ascii_alphanumeric()))
    };
    is_jwt || SHAPES.iter().any(long_after) || is_dotted_hex(word) || holds_key(word)
}

/// Whether a key stands in the word, glued to what was before it.
fn holds_key(word: &str) -> bool {
    word.len() >= KEY_BYTES
        && UNMISTAKABLE.iter().any(|start| {
            let rest = word.split_once(start).map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.len() + start.len() >= KEY_BYTES && is_random(rest))
        })
}

/// 32 hexadecimal digits, a dot and as many characters again or half of them.
fn is_dotted_hex(word: &str) -> bool {
    word.split_once('.').is_some_and(|(id, secret)| {
        let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        id.len() == 32
            && is_hex
            && secret.len() >= 16
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Letters and digits mixed, and no name of a variable.
fn is_random(word: &str) -> bool {
    let any = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let has_both = any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic);
    has_both && (any(u8::is_ascii_lowercase) || !word.contains('_'))
}

/// `scheme://user:password@host` without user and password.
fn without_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '?' | '<' | '>' | '\\'))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(REDACTED);
                out.push('@');
                out.push_str(host);
            }
            // A text that was cut here has lost the sign after which the host stands.
            None if tail.is_empty() && has_cut_password(authority) => out.push_str(REDACTED),
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out + rest
}

fn has_cut_password(authority: &str) -> bool {
    authority
        .split_once(':')
        .is_some_and(|(_, rest)| rest.bytes().any(|byte| !byte.is_ascii_digit()))
}

/// Without what stands between the lines that frame a private key.
fn without_private_keys(text: String) -> String {
    const END: &str = "PRIVATE KEY-----";
    if !text.contains(END) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(END) {
        let (head, body) = rest.split_at(at + END.len());
        out.push_str(head);
        rest = match body.find("-----END") {
            Some(end) => body.get(end..).unwrap_or_default(),
            None => "",
        };
        out.push_str(REDACTED);
        // The closing line names the key as well.
        let closing = rest.find(END).map_or(rest.len(), |at| at + END.len());
        let (closing, after) = rest.split_at(closing);
        out.push_str(closing);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_redacted() {
        for (raw, plain) in [
            (
                "Authorization: Bearer abcdefghijk",
                "Authorization: Bearer [redacted]",
            ),
            ("key sk-proj-abcdefgh1234.", "key [redacted]"),
            ("token=abcdefghijkl x", "token=[redacted] x"),
            ("ghp_0123456789abcdef failed", "[redacted] failed"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[redacted]"),
            (
                "Incorrect API key provided: fake-key.",
                "Incorrect API key provided: [redacted]",
            ),
            (
                "Invalid token passed: abcd efgh",
                "Invalid token passed: [redacted] efgh",
            ),
            (
                "Invalid API key: 3f9a1c77d2e84b6d9a0c44",
                "Invalid API key: [redacted]",
            ),
            (
                "API key 3f9a1c77d2e84b6d is invalid",
                "API key [redacted] is invalid",
            ),
            (
                "the key '3f9a1c77d2e84b6d' is not valid",
                "the key '[redacted]' is not valid",
            ),
            (
                "gsk_abcdefgh12 hf_abcdefghijkl r8_abcdefghijkl",
                "[redacted] [redacted] [redacted]",
            ),
            ("pplx-abcdefgh xai-abcdefgh", "[redacted] [redacted]"),
            (
                "https://user:pa55@host/x?key=abcd1234&x=1",
                "https://[redacted]@host/x?key=[redacted]&x=1",
            ),
            (
                "secret_access_key = wJalrXUtn/K7MDENG/bPx",
                "secret_access_key = [redacted]/[redacted]/[redacted]",
            ),
            (
                r#"{"apiKey":"abcdefgh12","token":12345678}"#,
                r#"{"apiKey":"[redacted]","token":12345678}"#,
            ),
            ("0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", "[redacted]"),
            (
                r#"{"a":"refused:\nsk-abcdefgh1234\\tgsk_abcdefgh12\u000ahf_abcdefghijkl"}"#,
                r#"{"a":"refused:\n[redacted]\\t[redacted]\u000a[redacted]"}"#,
            ),
            (
                "keysk-ant-api03-Zm9vYmFyYmF6cXV4Zm9v is wrong",
                "[redacted] is wrong",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x",
                "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY----- x",
            ),
        ] {
            assert_eq!(without_secrets(raw), plain, "{raw}");
        }
    }

    #[test]
    fn other_words_stay() {
        for text in [
            "no API key provided",
            "the key used by default is fine",
            "context: 128000 tokens",
            "Missing API key: set OPENAI_API_KEY or log in",
            "API key is missing. Pass it using the 'apiKey' parameter or the ANTHROPIC_API_KEY environment variable.",
            "key: configuration of the provider",
            "the task-runner asks sk- and pplx- for nothing",
            "a desk-ant-colony-with-many-words, task-ant-design-v5-upgrade-2024 and a task-project-of-somebody",
            r"C:\new\notes.txt and \nothing",
            r#"{"tokens":{"total":110,"input":100},"sessionID":"ses_ddc4eef31ffeD37SF7jiz1rzcI"}"#,
        ] {
            assert_eq!(without_secrets(text), text);
        }
    }

    #[test]
    fn a_text_without_secrets_stays_as_it_is() {
        for text in [
            "token=abcdefghijkl",
            "Bearer abcdefghijk",
            "secret_key = aaaaaaaa/bbbbbbbb",
            "https://u:p@h/x",
        ] {
            let once = without_secrets(text);
            assert!(
                once.contains(REDACTED) && without_secrets(&once) == once,
                "{once}"
            );
        }
        assert_eq!(without_secrets("see https://user:pa55"), "see https://[redacted]");
        assert_eq!(
            without_secrets("see http://localhost:8080"),
            "see http://localhost:8080"
        );
    }

    #[test]
    fn a_long_text_is_read_once() {
        for piece in [
            "key: a1b2c3d4 ",
            "https://u:p@h ",
            "PRIVATE KEY-----",
            "://",
            "token=",
            "a",
        ] {
            assert!(!without_secrets(&piece.repeat(1 << 16)).is_empty(), "{piece}");
        }
    }

    proptest! {
        /// Whatever stands around it, a key does not stay.
        #[test]
        fn no_key_stays(
            shape in 0..SHAPES.len(), body in "[A-Za-z0-9]{32}",
            before in "[a-z ]{0,20}[ :='\"(\\[{,]", after in "[ '\",)\\]}.:;\n][a-z ]{0,20}",
        ) {
            let key = format!("{}{body}", SHAPES[shape].0);
            let said = without_secrets(&format!("{before}{key}{after}"));
            prop_assert!(!said.contains(&body), "{}", said);
            let named = without_secrets(&format!("x-api-key: {body}{after}"));
            prop_assert!(!named.contains(&body), "{}", named);
            let in_url = without_secrets(&format!("{before}https://user:{body}@host/path{after}"));
            prop_assert!(!in_url.contains(&body), "{}", in_url);
        }
    }
}
