//! Home folders of people do not belong into transcripts. Pure; one line at a time.

/// Masks the user name in `/home/name`, `/Users/name` and `C:\Users\name`. A name ends at a quote, too: the lines
/// are JSON and must stay JSON.
#[must_use]
pub fn home_paths(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((at, prefix)) = next_prefix(rest) {
        let (before, after) = rest.split_at(at + prefix);
        out.push_str(before);
        let end = after.find(ends_name).unwrap_or(after.len());
        let (name, more) = after.split_at(end);
        let mut letters = name.chars();
        if let Some(first) = letters.next() {
            out.push(first);
            out.extend(std::iter::repeat_n('*', letters.count().max(1)));
        }
        rest = more;
    }
    out.push_str(rest);
    out
}

fn ends_name(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '/' | '\\' | '"' | '\'' | '`' | ':' | ',' | ';' | ')' | ']' | '}' | '<' | '>'
        )
}

/// Where the next home folder starts, and how long the part before the name is.
fn next_prefix(text: &str) -> Option<(usize, usize)> {
    // A backslash is written twice inside JSON.
    ["/home/", "/Users/", ":\\\\Users\\\\", ":\\Users\\"]
        .iter()
        .filter_map(|prefix| text.find(prefix).map(|at| (at, prefix.len())))
        .min()
}

#[cfg(test)]
mod tests {
    use super::home_paths;

    #[test]
    fn user_names_are_masked() {
        assert_eq!(
            home_paths("see /home/alice/x and /Users/bob"),
            "see /home/a****/x and /Users/b**"
        );
        assert_eq!(home_paths(r"C:\Users\carol\x"), r"C:\Users\c****\x");
        assert_eq!(
            home_paths(r#"{"p":"C:\\Users\\dave\\x"}"#),
            r#"{"p":"C:\\Users\\d***\\x"}"#
        );
        assert_eq!(home_paths("/home/"), "/home/");
    }

    #[test]
    fn a_json_line_stays_json() {
        let line = r#"{"a":"/home/node","b":["/Users/x"],"c":1}"#;
        let masked = home_paths(line);
        assert_eq!(masked, r#"{"a":"/home/n***","b":["/Users/x*"],"c":1}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok());
    }
}
