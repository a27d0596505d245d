//! What stands before a word, and whether the word is a credential there. Pure.

use super::secret_shapes::{has_shape, is_dense, is_random, names_secret};

/// What announces a secret.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Announced {
    #[default]
    No,
    /// `Bearer` and a space.
    Scheme,
    /// `Authorization:`, whose scheme may be any word.
    Header,
    /// A name such as `api_key` and `=` or `:`.
    Name,
    /// The same before a bare value of JSON, which is a number or a word of JSON.
    JsonName,
    /// The same where a URL writes the sign as `%3D`.
    Encoded,
    /// `key` or `token`, and a space or a quote; a name in a list or an option.
    Key,
    /// `key:` or `signature=`, which prose has, too.
    Value,
    /// A piece of a value and a colon or a bar: `Bearer 12|…`.
    Rest,
    /// `auth:` or `code=`, before which only what nobody takes for a word is a secret.
    Dense,
    /// `curl -u`, before a name and a password.
    User,
    /// The number of a bot, before its token.
    Bot,
    /// `key provided:`, by which a provider quotes a key that it refused.
    Refused,
    /// The word before was a secret, and this is a piece of it.
    More,
}

/// What stands before a word.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Before {
    announced: Announced,
    /// A backslash: in JSON the word begins with the rest of an escape.
    is_escape: bool,
    /// `Cookie:` stands before it in its line.
    in_cookie: bool,
}

/// Words that prose has behind `Bearer` and `Basic`.
const BEHIND_BEARER: [&str; 4] = ["authentication", "authorization", "credential", "credentials"];

/// Whether code names the place of a secret: `process.env.API_KEY`, `secrets.TOKEN`.
fn is_reference(word: &str) -> bool {
    let places = [
        "process.env.",
        "import.meta.env.",
        "os.environ",
        "secrets.",
        "env.",
        "vars.",
    ];
    let name = places.iter().find_map(|place| word.strip_prefix(place));
    name.is_some_and(|name| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    })
}

impl Before {
    /// How many bytes of the word are the rest of an escape: one for `\n`, five for `\u000a`.
    pub(super) fn escape_in(self, word: &str) -> usize {
        let is_hex = |code: &str| code.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word.as_bytes().first() {
            Some(b'u') if self.is_escape && word.get(1..5).is_some_and(is_hex) => 5,
            Some(b'b' | b'f' | b'n' | b'r' | b't') if self.is_escape => 1,
            _ => 0,
        }
    }

    /// Whether the word is a secret.
    pub(super) fn hides(self, word: &str) -> bool {
        let is_number = word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte));
        // Of a private key, the block between its lines was hidden.
        let was_hidden = ["redacted", "-----BEGIN", "-----END"].contains(&word);
        has_shape(word)
            || self.in_cookie && word.len() >= 16 && is_random(word)
            || !was_hidden
                && match self.announced {
                    Announced::No | Announced::User => false,
                    Announced::Scheme => word.len() >= 8 && !BEHIND_BEARER.contains(&word),
                    Announced::Header | Announced::Name => word.len() >= 8 && !is_reference(word),
                    Announced::JsonName => word.len() >= 8 && !is_number,
                    Announced::Encoded => {
                        let sign = word.get(..2).unwrap_or_default();
                        word.len() >= 10 && ["3A", "3D", "3a", "3d", "20"].contains(&sign)
                    }
                    Announced::Refused => word.len() >= 4,
                    Announced::Key => word.len() >= 12 && is_random(word),
                    Announced::Value | Announced::Rest => word.len() >= 8 && is_random(word),
                    Announced::Dense => is_dense(word),
                    Announced::Bot => word.len() >= 30 && word.starts_with("AA"),
                    Announced::More => true,
                }
    }

    /// The context of the word that follows this one.
    pub(super) fn after(self, word: &str, gap: &str, was_hidden: bool) -> Self {
        let lower = word.to_ascii_lowercase();
        let goes_on = self.in_cookie && !gap.contains(['\n', '"', '\\']);
        let begins = ["cookie", "set-cookie"].contains(&lower.as_str()) && gap.starts_with(':');
        Self {
            announced: self.announced_by(word, &lower, gap, was_hidden),
            is_escape: gap.ends_with('\\'),
            in_cookie: goes_on || begins,
        }
    }

    fn announced_by(self, word: &str, lower: &str, gap: &str, was_hidden: bool) -> Announced {
        let is = |words: &[&str]| words.contains(&lower);
        // JSON in JSON in JSON has a backslash more for each.
        let plain_gap = gap.bytes().filter(|byte| *byte != b'\\').count();
        let assigns = gap.contains(['=', ':']) && !gap.contains('\n') && plain_gap <= 8;
        let touches = gap
            .trim_start_matches(' ')
            .starts_with(['=', ':', '"', '\'', '\\']);
        let is_space = !gap.is_empty() && gap.trim().is_empty();
        if was_hidden && is_inside(gap) {
            return Announced::More;
        }
        let is_escaped = gap == "%" && !was_hidden;
        if is_escaped
            && matches!(
                self.announced,
                Announced::Name | Announced::Value | Announced::Encoded
            )
        {
            // The sign that a URL wrote as a number belongs to the value.
            return self.announced;
        }
        let in_value = matches!(
            self.announced,
            Announced::Scheme
                | Announced::Header
                | Announced::Name
                | Announced::JsonName
                | Announced::Refused
                | Announced::Rest
        );
        if in_value && matches!(gap, ":" | "|") && !names_secret(lower) {
            return Announced::Rest;
        }
        if is(&["bearer", "basic"]) && is_space {
            return Announced::Scheme;
        }
        if is_escaped && is(&["bearer", "basic", "sig"]) {
            return Announced::Encoded;
        }
        let is_scheme = |c: char| c.is_ascii_alphabetic() || c == '-';
        if self.announced == Announced::Header && gap == " " && word.chars().all(is_scheme) {
            return Announced::Key;
        }
        if names_secret(lower) {
            let is_short = gap.len() <= 4 && !gap.contains('\n');
            match () {
                () if is_escaped => return Announced::Encoded,
                () if assigns && touches && lower.ends_with("authorization") => return Announced::Header,
                // In JSON a bare value follows the colon.
                () if assigns && touches && gap.starts_with('"') && gap.trim_end().ends_with(':') => {
                    return Announced::JsonName;
                }
                // Code compares it with a variable of any name.
                () if ["==", "==="].contains(&gap.trim()) => return Announced::Value,
                () if assigns && touches => return Announced::Name,
                () if is_short && gap.contains(',') && touches => return Announced::Key,
                () if is_short && word.starts_with("--") && !gap.contains(['.', ',']) => {
                    return Announced::Key;
                }
                () => {}
            }
        }
        if is(&["provided", "passed", "received", "used"]) && self.announced == Announced::Key && assigns {
            return Announced::Refused;
        }
        if self.announced == Announced::User && gap == ":" {
            return Announced::Name;
        }
        let is_value = is(&["key", "token", "sig", "credentials", "pass", "pwd", "bearer"])
            || lower.ends_with("signature")
            || lower.ends_with("credential");
        if assigns && is_value {
            return Announced::Value;
        }
        if assigns && (is(&["auth", "code", "client-key-data"]) || lower.ends_with("_auth")) {
            return Announced::Dense;
        }
        if is(&["-u", "--user", "--proxy-user"]) {
            return Announced::User;
        }
        let number = lower.trim_start_matches("bot");
        if gap == ":" && (8..=10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Announced::Bot;
        }
        let is_key = is(&["key", "token", "keys", "password"]);
        if is_key && (1..=3).contains(&plain_gap) && gap.len() <= 16 && !gap.contains(['\n', ',', '.']) {
            return Announced::Key;
        }
        Announced::No
    }
}

/// Whether a gap stands inside of a secret: one sign of base64 or of an escape, or some slashes.
fn is_inside(gap: &str) -> bool {
    let is_slashes = gap.len() <= 16 && gap.bytes().all(|byte| matches!(byte, b'/' | b'\\'));
    gap.ends_with('/') && is_slashes || matches!(gap, "~" | "%" | "=" | "*")
}
