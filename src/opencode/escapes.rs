//! Escape sequences of terminals, which plugins and shells write between opencode's lines. Pure.

/// Whether it turns the direction of what is behind it, which may be another's text.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text without escape sequences, control characters (newlines and tabs stay), and what turns its direction. Reads
/// each character once.
pub(crate) fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = match c {
            '\u{1b}' => chars.next(),
            // The same in one character.
            '\u{9b}' => Some('['),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(']'),
            '\n' | '\t' => {
                plain.push(c);
                continue;
            }
            c if c.is_control() || turns_text(c) => continue,
            c => {
                plain.push(c);
                continue;
            }
        };
        match kind {
            // CSI: up to its final byte.
            Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            // A string, such as a title: up to BEL or the string terminator. One without an end must not take the rest
            // of the text with it.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next_if(|c| *c != '\n') {
                    let ends = c == '\u{1b}' && chars.next_if_eq(&'\\').is_some();
                    if ends || matches!(c, '\u{7}' | '\u{9c}') {
                        break;
                    }
                }
            }
            // A character set: one more byte names it.
            Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                chars.next();
            }
            _ => {}
        }
    }
    plain
}

/// The text without its colours and other short sequences, also as JSON writes them; nothing if it has none.
pub(crate) fn without_colours(text: &str) -> Option<String> {
    let marks = ["\u{1b}[", "u001b[", "u001B["];
    let mut plain: Option<String> = None;
    for mark in marks {
        let text = plain.as_deref().unwrap_or(text);
        if text.contains(mark) {
            plain = Some(without_sequences(text, mark));
        }
    }
    plain
}

fn without_sequences(text: &str, mark: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(mark) {
        // JSON in JSON has a backslash more for each.
        let kept = match mark.starts_with('u') {
            true => before.trim_end_matches('\\'),
            false => before,
        };
        let is_written = !mark.starts_with('u') || kept.len() < before.len();
        let params = after.trim_start_matches(|c| matches!(c, '0'..='9' | ';' | ':' | '?'));
        let ended = params.strip_prefix(|c: char| c.is_ascii_alphabetic());
        rest = match ended.filter(|_| is_written) {
            Some(behind) => {
                out.push_str(kept);
                behind
            }
            None => {
                out.extend([before, mark]);
                after
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::without_escapes;

    /// The page's parser reads the same cases.
    #[test]
    fn escape_sequences_are_removed() {
        let cases: Vec<(String, String)> =
            serde_json::from_str(include_str!("../../fixtures/escapes.json")).expect("pairs of texts");
        for (raw, plain) in cases {
            assert_eq!(without_escapes(&raw), plain, "{raw:?}");
        }
    }
}
