//! Makes text fit for a page: one line, bounded, without control characters, people's names in paths, and secrets.
//! Pure.

use std::borrow::Cow;

use crate::config::RunSpec;
use crate::opencode::bounded::{prefix, suffix};
use crate::run::outcome::{without_ansi, without_secrets};
use crate::run::redact::forms::{self, Form};
use crate::run::redact::home;

/// How much of a text's end is read for its last words.
const LAST_WORDS_BYTES: usize = 2 << 10;
/// Bytes of the longest message.
const MESSAGE_BYTES: usize = 4 << 10;

/// Masks the secrets of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    secrets: Vec<Form>,
}

impl Redactor {
    /// The secrets that this run is known to have: its tokens, and variables that are named like one.
    #[must_use]
    pub fn of(spec: &RunSpec) -> Self {
        let layers = [
            &spec.run.runtime_tools_env,
            &spec.settings.env.kept,
            &spec.own_pod.inherited_env,
        ];
        let named = layers.into_iter().flat_map(|layer| &layer.0);
        let mut secrets: Vec<String> = spec.run.auth_token.iter().cloned().collect();
        secrets.extend(spec.run.mcp_servers.iter().map(|server| server.token.clone()));
        for (name, value) in named {
            if sounds_secret(name) && !is_path(value) {
                secrets.push(value.trim().to_owned());
            }
            secrets.extend(url_passwords(value));
        }
        Self {
            secrets: forms::of(secrets),
        }
    }

    /// The beginning of the text, at most `limit` characters.
    #[must_use]
    pub fn line(&self, text: &str, limit: usize) -> String {
        let line = self.clean(text);
        match line.char_indices().nth(limit) {
            None => line,
            Some(_) => format!("{}…", line.chars().take(limit - 1).collect::<String>()),
        }
    }

    /// The end of the text, at most `limit` characters. It begins with a whole word: half a secret would not be known
    /// as one.
    #[must_use]
    pub fn last_words(&self, text: &str, limit: usize) -> String {
        let end = suffix(text, LAST_WORDS_BYTES);
        let line = self.clean(if end.len() < text.len() {
            after_a_gap(end)
        } else {
            end
        });
        let over = line.chars().count().saturating_sub(limit);
        if over == 0 {
            return line;
        }
        // Room for the mark that something is missing.
        let from = line.char_indices().nth(over + 1).map_or(0, |(at, _)| at);
        let words = after_a_gap(line.get(from..).unwrap_or_default());
        if words.is_empty() {
            return String::new();
        }
        format!("…{words}")
    }

    /// The text without the secrets of the run. A line of JSON stays one.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if self.secrets.is_empty() {
            return text;
        }
        for secret in &self.secrets {
            if secret.is_in(&text) {
                text = Cow::Owned(text.replace(secret.text(), "***"));
            }
        }
        match forms::without_broken(&text, &self.secrets) {
            Some(hidden) => Cow::Owned(hidden),
            None => text,
        }
    }

    /// The same for a text that ends where it was cut: half a secret is known there, too.
    #[must_use]
    pub fn hide_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let hidden = self.hide(text);
        let half = |secret: &Form| {
            let secret = secret.text();
            let ends = secret.char_indices().map(|(at, _)| at).rev();
            ends.take_while(|at| *at >= forms::MIN_BYTES)
                .find(|at| secret.get(..*at).is_some_and(|half| hidden.ends_with(half)))
        };
        match self.secrets.iter().filter_map(half).max() {
            Some(half) => Cow::Owned(format!("{}***", prefix(&hidden, hidden.len() - half))),
            None => hidden,
        }
    }

    /// A message for a person, which may quote a pod or the API server: without escape sequences and secrets, bounded.
    #[must_use]
    pub fn message(&self, text: &str) -> String {
        let text = without_secrets(&self.hide(&without_ansi(text)));
        let text = text.trim();
        match text.len() <= MESSAGE_BYTES {
            true => text.to_owned(),
            false => format!("{}…", prefix(text, MESSAGE_BYTES)),
        }
    }

    fn clean(&self, text: &str) -> String {
        let text = without_ansi(text);
        let text = self.hide(&text);
        let plain: String = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
        let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        home::home_paths(&without_secrets(&line))
    }
}

fn after_a_gap(text: &str) -> &str {
    text.split_once(char::is_whitespace)
        .map_or("", |(_, rest)| rest.trim_start())
}

/// The passwords in a URL such as that of a database, or in a list of them, whatever its variable is called; also as a
/// program has them that has read the signs which the URL writes as numbers.
fn url_passwords(value: &str) -> Vec<String> {
    let passwords = value.split("://").skip(1).filter_map(|rest| {
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        user.split_once(':').map(|(_, password)| password.to_owned())
    });
    let plain = |password: String| [from_url(&password), Some(password)];
    passwords.flat_map(plain).flatten().collect()
}

/// A part of a URL without `%40` for a sign, where it has such.
fn from_url(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let code = piece.get(..2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(piece.bytes().skip(2));
    }
    String::from_utf8(bytes).ok().filter(|plain| plain != text)
}

/// Whether a value is a path, such as that of the file which holds a key. A secret in base64 may begin with a slash as
/// well; what follows is no plain word then.
fn is_path(value: &str) -> bool {
    let first = value
        .trim()
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next());
    first.is_some_and(|name| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '.') && name.chars().all(is_plain)
    })
}

fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "KEY",
        "TOKEN",
        "SECRET",
        "PASS",
        "CREDENTIAL",
        "AUTH",
        "BEARER",
        "COOKIE",
        "JWT",
        "PRIVATE",
        "WEBHOOK",
        "CONNECTION_STRING",
    ];
    let name = name.to_ascii_uppercase().replace("AUTHOR", "");
    let is_short = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('_'));
    WORDS.iter().any(|word| name.contains(word)) || name == "PAT" || is_short("PAT") || is_short("PWD")
}

/// Whether it is a control character, a mark of direction, or has no width. What turns a text is gone before.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor {
            secrets: secrets
                .iter()
                .map(|secret| Form::new((*secret).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_line_is_one_line_without_controls_and_bounded() {
        let shown = redactor(&[]).line("a\u{1b}[31m\r\n\tb\u{200b}c\u{202e} \u{0}d", 80);
        assert_eq!(shown, "a b c d");
        assert_eq!(redactor(&[]).line("日本語です", 3), "日本…");
        assert_eq!(redactor(&[]).line("日本語", 3), "日本語");
        assert_eq!(redactor(&[]).line("see /home/alice/x", 80), "see /home/a****/x");
    }

    #[test]
    fn last_words_end_where_the_text_ends_and_begin_with_a_word() {
        assert_eq!(
            redactor(&[]).last_words("short and\nsweet", 80),
            "short and sweet"
        );
        let shown = redactor(&[]).last_words("one two three four five", 12);
        assert_eq!(shown, "…four five");
        assert_eq!(redactor(&[]).last_words(&"x".repeat(500), 100), "");
        let long = format!("{} the end", "日本語 ".repeat(9_000));
        let shown = redactor(&[]).last_words(&long, 20);
        assert!(
            shown.starts_with('…') && shown.ends_with("the end") && shown.chars().count() <= 20,
            "{shown}"
        );
    }

    #[test]
    fn secrets_are_masked_before_anything_is_cut() {
        let hidden = redactor(&["eyJhbGciOi.payload.signature", "sk-12345678"]);
        let text = format!(
            "{} the token is eyJhbGciOi.payload.signature, the key sk-12345678",
            "w ".repeat(200)
        );
        let shown = hidden.last_words(&text, 60);
        assert!(shown.ends_with("the token is ***, the key ***"), "{shown}");
        assert_eq!(hidden.line("key sk-12345678!", 80), "key ***!");
        let foreign = redactor(&[]).line("use Bearer abcdefghijklmnop1234 now", 80);
        assert!(!foreign.contains("abcdefghijklmnop1234"), "{foreign}");
        for limit in 1..90 {
            let shown = hidden.last_words(&text, limit);
            assert!(
                !shown.contains("signature") && !shown.contains("12345678"),
                "{limit}: {shown}"
            );
        }
    }

    #[test]
    fn half_of_a_secret_at_a_cut_is_hidden() {
        let hidden = redactor(&["s3cr3t-s3cr3t-äöü", "other-secret"]);
        assert_eq!(hidden.hide_cut("it is s3cr3t-s3cr3t-ä"), "it is ***");
        assert_eq!(hidden.hide_cut("it is s3cr3t-s"), "it is ***");
        assert_eq!(hidden.hide_cut("it is s3cr"), "it is s3cr");
        assert_eq!(hidden.hide_cut("it is other-secret"), "it is ***");
    }

    #[test]
    fn a_message_is_plain_bounded_and_without_secrets() {
        let hidden = redactor(&["own-secret"]);
        let said = hidden.message("no \u{1b}[31mown-secret\u{1b}[0m\u{0}, token=abcdefghijkl\n");
        assert_eq!(said, "no ***, token=[redacted]");
        assert!(hidden.message(&"日本 ".repeat(9_000)).len() <= MESSAGE_BYTES + 3);
    }

    #[test]
    fn names_tell_which_variables_are_secret() {
        for name in [
            "ANTHROPIC_API_KEY",
            "gh_token",
            "DB_PASSWORD",
            "PAPERCLIP_RUNTIME_TOOLS_TOKEN",
            "ADO_PAT",
            "SLACK_WEBHOOK_URL",
            "MYSQL_PWD",
        ] {
            assert!(sounds_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "NODE_ENV",
            "GIT_AUTHOR_NAME",
            "COMPATIBLE",
            "PWD",
            "OLDPWD",
        ] {
            assert!(!sounds_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_hidden_in_a_line_of_json() {
        let secret = "p\"4ss\\w\u{f6}rd";
        let hidden = redactor(&[&forms::escaped(secret).expect("it differs"), secret]);
        let line = serde_json::json!({"text": format!("it is {secret}!")}).to_string();
        assert_eq!(hidden.hide(&line), r#"{"text":"it is ***!"}"#);
        assert_eq!(hidden.hide("nothing"), "nothing");
    }

    #[test]
    fn passwords_of_urls_are_known_also_as_programs_read_them() {
        let none: [&str; 0] = [];
        assert_eq!(url_passwords("postgres://app:s3cretpw@db:5432/x"), ["s3cretpw"]);
        assert_eq!(
            url_passwords("amqp://a:one@x,amqp://b:tw%6f%2F@y"),
            ["one", "two/", "tw%6f%2F"]
        );
        assert_eq!(url_passwords("redis://:100%@h"), ["100%"]);
        assert_eq!(url_passwords("https://db/x@y"), none);
    }

    #[test]
    fn a_secret_that_begins_with_a_slash_is_no_path() {
        for path in [
            "/run/secrets/key",
            "/paperclip",
            "/etc/ssl/private/My+Key=.pem",
            "/.ssh/id",
        ] {
            assert!(is_path(path), "{path}");
        }
        for secret in [
            "/k3Jd82mZpQ9vX7tY+bWcR5fLhN0aE4s=",
            "//aX9",
            "/Z/b/c",
            "/9c1f2e",
            "sk-1",
        ] {
            assert!(!is_path(secret), "{secret}");
        }
    }
}
