//! JavaScript texts may hold half a character (a lone surrogate), which `JSON.stringify` writes as an escape and no
//! other language accepts. Such a half becomes U+FFFD, as everywhere else where text leaves JavaScript.

/// The same JSON text with every lone surrogate escape replaced.
pub(super) fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('\\') {
        out.push_str(before);
        let (kept, consumed) = match unit(from) {
            Some(0xD800..=0xDBFF) if follows(from) => (from.get(..11), 11),
            Some(0xD800..=0xDFFF) => (Some("uFFFD"), 5),
            _ => {
                let first = from.chars().next().map_or(0, char::len_utf8);
                (from.get(..first), first)
            }
        };
        out.push('\\');
        out.push_str(kept.unwrap_or_default());
        rest = from.get(consumed..).unwrap_or_default();
    }
    out + rest
}

/// The UTF-16 unit of an escape, after its backslash.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// Whether the second half stands right behind the first.
fn follows(escape: &str) -> bool {
    let next = escape.get(5..).and_then(|rest| rest.strip_prefix('\\'));
    next.and_then(unit)
        .is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::repair;

    #[test]
    fn only_lone_halves_are_replaced() {
        let table = [
            (r#""a\ud83d\ude80b""#, r#""a\ud83d\ude80b""#),
            (r#""a\ud83db""#, r#""a\uFFFDb""#),
            (r#""\ude80\ud83d""#, r#""\uFFFD\uFFFD""#),
            (r#""\ud83d\ud83d\ude80""#, r#""\uFFFD\ud83d\ude80""#),
            (r#""\\ud83d \n é\"""#, r#""\\ud83d \n é\"""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\"\\é\\", "\"\\é\\"),
        ];
        for (text, out) in table {
            assert_eq!(repair(text), out);
        }
    }
}
