//! Secrets that are known by where they stand: behind the name of a password, in URLs, and in the
//! block of a private key. Pure.

use crate::opencode::bounded::prefix;

use super::secrets::REDACTED;

/// What a name of a password ends with, in lower case.
const PASSWORDS: [&str; 3] = ["password", "passwd", "passphrase"];
/// Bytes of quotes, spaces and signs between such a name and its value.
const GAP_BYTES: usize = 8;
/// Bytes of the longest password.
const PASSWORD_BYTES: usize = 200;

/// Without the values of passwords, which may hold any sign: `"password":"p@ss#w0rd!"`. Only what has letters and
/// digits is one: elsewhere it is the name of a field, or a word for it.
pub(super) fn without_passwords(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut told = 0;
    for (at, _) in lower.match_indices("pass") {
        let Some(value) = password_after(&lower, at).filter(|value| value.start >= told) else {
            continue;
        };
        out.push_str(text.get(told..value.start).unwrap_or_default());
        out.push_str(REDACTED);
        told = value.end;
    }
    out + text.get(told..).unwrap_or_default()
}

/// Where the value of the password is whose name ends near this place.
fn password_after(lower: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let name = PASSWORDS
        .iter()
        .find(|name| lower.get(at..).is_some_and(|rest| rest.starts_with(**name)))?;
    let from = at + name.len();
    let rest = lower.get(from..)?;
    let quotes = |c: char| matches!(c, '\\' | '"' | '\'' | '`' | ' ');
    let signs = rest.trim_start_matches(quotes);
    // `<password>` of XML, and `password=` or `password:` of all others.
    let value = signs
        .strip_prefix(['=', ':'])
        .or_else(|| rest.strip_prefix('>'))?;
    let value = value.trim_start_matches(|c: char| quotes(c) || c == '=' || c == '>');
    let start = lower.len() - value.len();
    if start - from > GAP_BYTES {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || "\"'`\\;&<>,)}]".contains(c);
    // No further than a password is long: behind each name of many, all of the text would be read.
    let near = prefix(value, PASSWORD_BYTES + 1);
    let value = near.get(..near.find(ends).unwrap_or(near.len()))?;
    let has = |is: fn(&u8) -> bool| value.bytes().any(|byte| is(&byte));
    let is_password = (6..=PASSWORD_BYTES).contains(&value.len())
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !value.starts_with(['$', '{', '[', '*']);
    is_password.then(|| start..start + value.len())
}

/// Paths by which anyone may post to a channel.
const HOOKS: [&str; 3] = [
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "/api/webhooks/",
];

/// Without the secrets that are paths.
pub(super) fn without_hooks(text: String) -> String {
    HOOKS.iter().fold(text, |text, hook| {
        behind_each(text, hook, |piece, out| {
            let ends = |c: char| c.is_whitespace() || "\"'`\\<>)?".contains(c);
            let (path, after) = piece.split_at(piece.find(ends).unwrap_or(piece.len()));
            out.push_str(if path.len() >= 16 { REDACTED } else { path });
            out.push_str(after);
        })
    })
}

/// The same as [`without_url_passwords`] for a URL that is a part of another one, with its signs as numbers.
pub(super) fn without_encoded_passwords(text: String) -> String {
    const SLASHES: [&str; 2] = ["%3A%2F%2F", "%3a%2f%2f"];
    SLASHES.iter().fold(text, |text, slashes| {
        behind_each(text, slashes, |piece, out| {
            let ends = |c: char| !c.is_ascii_alphanumeric() && !"%._~-".contains(c);
            let url = piece
                .get(..piece.find(ends).unwrap_or(piece.len()))
                .unwrap_or_default();
            let authority = url.split("%2F").next().unwrap_or_default();
            let user = authority.rsplit_once("%40").map_or("", |(user, _)| user);
            if !user.is_empty() {
                out.push_str(REDACTED);
            }
            out.push_str(piece.get(user.len()..).unwrap_or_default());
        })
    })
}

/// The text with what `push` makes of each piece behind a mark, up to the next one.
fn behind_each(text: String, mark: &str, push: impl Fn(&str, &mut String)) -> String {
    let Some((before, behind)) = text.split_once(mark) else {
        return text;
    };
    let mut out = before.to_owned();
    for piece in behind.split(mark) {
        out.push_str(mark);
        push(piece, &mut out);
    }
    out
}

/// `scheme://user:password@host` without user and password.
pub(super) fn without_url_passwords(text: &str) -> String {
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
            // A name that everybody has there.
            Some(("git", _)) => out.push_str(authority),
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

const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";
const KEY: &str = "PRIVATE KEY";

/// Without what stands between the lines that frame a private key. A text that was cut may have only one of them.
pub(super) fn without_private_keys(text: String) -> String {
    if !text.contains(KEY) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("-----") {
        let (before, frame) = rest.split_at(at);
        let label_end = frame.get(5..).and_then(|label| label.find("-----"));
        let label = label_end.and_then(|end| frame.get(..end + 10)).unwrap_or("-----");
        let names_key = label.contains(KEY) && !label.contains('\n');
        if names_key && label.starts_with(BEGIN) {
            out.push_str(before);
            out.push_str(label);
            out.push_str(REDACTED);
            let body = frame.get(label.len()..).unwrap_or_default();
            rest = body.get(key_bytes(body)..).unwrap_or_default();
            // The closing line names the key as well.
            let is_closed = rest.starts_with(END);
            let closing = rest.get(5..).and_then(|label| label.find("-----"));
            let closing = closing.filter(|_| is_closed).map_or(0, |end| end + 10);
            let (closing, after) = rest.split_at(closing);
            out.push_str(closing);
            rest = after;
            continue;
        }
        match names_key && label.starts_with(END) {
            true => push_without_key(&mut out, before),
            false => out.push_str(before),
        }
        out.push_str(label);
        rest = frame.get(label.len()..).unwrap_or_default();
    }
    out + rest
}

/// How long a key and its headers are: up to the closing line, or as long as nothing else stands there.
fn key_bytes(body: &str) -> usize {
    let in_block = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "+/=\\:,.-()_*[]".contains(c);
    let closes = |at: usize| body.get(at..).is_some_and(|rest| rest.starts_with(END));
    // Whichever comes first: what is behind it is not read for each of many keys.
    let mut signs = body.char_indices();
    let end = signs.find(|(at, c)| !in_block(*c) || *c == '-' && closes(*at));
    end.map_or(body.len(), |(at, _)| at)
}

/// Adds a text whose end is the rest of a key: lines of base64 only, and the end of the line before them.
fn push_without_key(out: &mut String, text: &str) {
    let in_key =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '[' | ']' | '\\' | '\n' | '\r');
    let kept = text.trim_end_matches(in_key);
    out.push_str(kept);
    if kept.len() < text.len() {
        out.push_str(REDACTED);
    }
}
