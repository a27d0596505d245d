//! Joins what stands between opencode and its reader, such as `jq`, has spread over several lines.

use super::event::{Event, ParsedLine};
use super::glued;
use super::small::SmallValue;

/// Bytes of one event that are kept until it ends.
const MAX_BYTES: usize = 1 << 20;

/// The lines of an object that has begun on a line of its own, and not ended yet.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spread {
    lines: String,
}

impl Spread {
    /// Gives what a line holds, as [`glued::each`] does, and an event that it ends.
    pub(crate) fn each(&mut self, line: &str, is_tail: bool, mut take: impl FnMut(&str, ParsedLine<'_>)) {
        let shown = line.trim_end();
        if self.lines.is_empty() {
            if shown != "{" || is_tail {
                return glued::each(line, is_tail, take);
            }
            return self.lines.push_str(shown);
        }
        let goes_on = shown.starts_with([' ', '\t']) && self.lines.len() + shown.len() <= MAX_BYTES;
        self.lines
            .extend(["\n", if goes_on || shown == "}" { shown } else { line }]);
        if goes_on && !is_tail {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        if goes_on {
            // The stream is cut off inside the object.
            return take(&lines, ParsedLine::Broken);
        }
        match serde_json::from_str::<Event<'_>>(&lines) {
            Ok(event) if glued::is_event(&event) => take(&lines, ParsedLine::Event(Box::new(event))),
            Ok(_) if is_error(&lines) => take(&lines, ParsedLine::Other),
            Ok(_) | Err(_) => lines
                .split('\n')
                .for_each(|line| glued::each(line, false, &mut take)),
        }
    }

    /// Whether an object has begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        !self.lines.is_empty()
    }
}

/// Whether an object is what opencode prints of an error that it met at its start: `{name, data}`.
fn is_error(object: &str) -> bool {
    let value = serde_json::from_str::<SmallValue<'_>>(object).ok();
    let name = value.as_ref().and_then(|value| value.get("name")?.as_str());
    name.is_some_and(|name| name.ends_with("Error")) && value.is_some_and(|value| value.get("data").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Vec<String> {
        let (mut spread, mut seen) = (Spread::default(), Vec::new());
        for line in lines {
            spread.each(line, false, |text, read| {
                seen.push(match read {
                    ParsedLine::Event(event) => event.kind.as_str().to_owned(),
                    _ => text.to_owned(),
                });
            });
        }
        seen
    }

    #[test]
    fn an_event_of_several_lines_is_one() {
        let event = [
            "{",
            r#"  "type": "text","#,
            "  \"sessionID\": \"s\",\r",
            r#"  "part": {"#,
            r#"    "text": "t""#,
            "  }",
            "}",
        ];
        assert_eq!(
            seen(&[&event[..], &event[..], &["plain"]].concat()),
            ["text", "text", "plain"]
        );
    }

    #[test]
    fn an_event_that_is_cut_off_is_one_broken_thing() {
        let (mut spread, mut seen) = (Spread::default(), Vec::new());
        for (line, is_tail) in [
            ("{", false),
            (r#"  "type": "text","#, false),
            (r#"  "sess"#, true),
        ] {
            spread.each(line, is_tail, |text, read| {
                seen.push((text.to_owned(), matches!(read, ParsedLine::Broken)));
            });
        }
        assert_eq!(seen, [("{\n  \"type\": \"text\",\n  \"sess".to_owned(), true)]);
    }

    #[test]
    fn other_objects_stay_the_lines_that_they_are() {
        let foreign = ["{", r#"  "type": "text""#, "}"];
        assert_eq!(seen(&foreign), foreign);
        let error = ["{", r#"  "name": "AnError","#, r#"  "data": {}"#, "}"];
        assert_eq!(seen(&error), [error.join("\n")]);
        let broken = ["{", r#"  "a": 1,"#, "plain", "{"];
        assert_eq!(seen(&broken), ["{", r#"  "a": 1,"#, "plain"]);
    }
}
