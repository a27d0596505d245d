//! Masks people's names in paths of home folders, line by line. Pure.

use memchr::memchr2;

/// What stands before a user's name. A backslash is written twice inside JSON.
const PREFIXES: [&str; 4] = ["/home/", "/Users/", ":\\\\Users\\\\", ":\\Users\\"];

/// Masks the user name in `/home/name`, `/Users/name` and `C:\Users\name`. A name ends at a quote, too: the lines
/// are JSON and must stay JSON. Reads each byte once, whatever a hostile line holds.
#[must_use]
pub fn home_paths(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr2(b'/', b':', rest.as_bytes()) {
        let (before, candidate) = rest.split_at(at);
        out.push_str(before);
        let Some((prefix, after)) = split_prefix(candidate) else {
            // Both are one byte long.
            let (byte, more) = candidate.split_at(1);
            out.push_str(byte);
            rest = more;
            continue;
        };
        out.push_str(prefix);
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

fn split_prefix(text: &str) -> Option<(&str, &str)> {
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix))?;
    Some(text.split_at(prefix.len()))
}

fn ends_name(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '/' | '\\' | '"' | '\'' | '`' | ':' | ',' | ';' | ')' | ']' | '}' | '<' | '>'
        )
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

    #[test]
    fn a_hostile_line_is_read_once() {
        // Looking for each prefix to the end of the line at each hit would take hours.
        let line = "/home/ab ".repeat(1 << 21);
        assert_eq!(home_paths(&line), "/home/a* ".repeat(1 << 21));
        let colons = "/:".repeat(1 << 23);
        assert_eq!(home_paths(&colons), colons);
    }
}
