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
