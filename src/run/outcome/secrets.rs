//! Removes from a text what looks like a credential: the shapes of the providers' keys, what a name announces, and what
//! stands in a known place. Reads each character a fixed number of times. Pure.

use super::secret_context::Before;
use super::secret_places::{
    without_encoded_passwords, without_hooks, without_passwords, without_private_keys, without_url_passwords,
};
use super::secret_values::{without_logins, without_slashed_keys, without_tokens};
use crate::opencode::escapes::without_colours;

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The text with everything that looks like a credential replaced. What was replaced before stays as it is.
pub(crate) fn without_secrets(text: &str) -> String {
    let hidden = hide(text);
    let Some(plain) = without_colours(text) else {
        return hidden;
    };
    // A key may have colours inside: they go where more is hidden without them.
    let more = hide(&plain);
    match without_colours(&hidden).as_ref().unwrap_or(&hidden) == &more {
        true => hidden,
        false => more,
    }
}

fn hide(text: &str) -> String {
    // Whole blocks first: half of one is known by nothing.
    let text = without_private_keys(without_tokens(text));
    let text = without_passwords(&without_slashed_keys(without_logins(text)));
    let mut out = String::with_capacity(text.len());
    let mut before = Before::default();
    for (word, gap) in words(&text) {
        let (escape, word) = word.split_at(before.escape_in(word));
        let hides = before.hides(word);
        out.push_str(escape);
        out.push_str(if hides { REDACTED } else { word });
        out.push_str(gap);
        before = before.after(word, gap, hides);
    }
    without_hooks(without_encoded_passwords(without_url_passwords(&out)))
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

#[cfg(test)]
mod tests;
#[cfg(test)]
mod values;
