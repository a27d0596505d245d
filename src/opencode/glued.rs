//! Finds opencode's events in a line that holds something else, too: a terminal's escape sequence or a plugin's text
//! without a newline, or a second event.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::escapes::without_escapes;
use super::event::{self, Event, ParsedLine};

/// How opencode begins each of its events. Inside a JSON string its quotes would be escaped.
const OPENING: &str = "{\"type\":\"";
/// Finds it; made once, for each line is searched.
static OPENING_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENING));
/// Places in one line that look like an event and are none, after which the rest is left alone: a hostile line must not
/// be read once for each of them.
const MAX_MISSES: usize = 8;
/// The types of events that opencode prints.
const KINDS: [&str; 7] = [
    "step_start",
    "step_finish",
    "text",
    "reasoning",
    "tool_use",
    "error",
    "done",
];

/// Gives what a line holds: mostly one thing, with the text that it was read from. `is_tail`: it may be cut off.
pub(crate) fn each(line: &str, is_tail: bool, mut take: impl FnMut(&str, ParsedLine<'_>)) {
    let mut scratch = String::new();
    if !holds_another(line) {
        let read = if is_tail {
            event::read_fully(line, &mut scratch)
        } else {
            event::read(line, &mut scratch)
        };
        let may_hold_one = matches!(read, ParsedLine::Other | ParsedLine::Broken);
        if !may_hold_one || OPENING_FINDER.find(line.as_bytes()).is_none() {
            return match plain(line).filter(|_| may_hold_one) {
                Some(plain) => each(&plain, is_tail, take),
                None => take(line, read),
            };
        }
    }
    let mended = event::mend_surrogates(line);
    let rest = split(&mended, &mut take);
    if rest.trim().is_empty() && rest.len() < line.len() {
        return;
    }
    let is_event = OPENING_FINDER.find(rest.as_bytes());
    match is_event.map(|at| rest.split_at(at)) {
        None => take(rest, ParsedLine::Other),
        Some((before, broken)) => {
            if !before.trim().is_empty() {
                take(before, ParsedLine::Other);
            }
            match plain(broken) {
                Some(plain) => each(&plain, is_tail, take),
                None => take(broken, ParsedLine::Broken),
            }
        }
    }
}

/// The line without what JSON never has, if an event then shows in it: a terminal's sequences in the middle of it, or
/// the zeros of UTF-16.
fn plain(line: &str) -> Option<String> {
    memchr::memchr2(0, 0x1b, line.as_bytes())?;
    let plain = without_escapes(line);
    OPENING_FINDER.find(plain.as_bytes()).map(|_| plain)
}

/// Gives the events and the texts before them; what is left has no event that can be read.
fn split<'a>(line: &'a str, take: &mut impl FnMut(&str, ParsedLine<'_>)) -> &'a str {
    let (mut rest, mut from, mut misses) = (line, 0, 0);
    while let Some(at) = rest
        .get(from..)
        .and_then(|text| OPENING_FINDER.find(text.as_bytes()))
    {
        let (before, candidate) = rest.split_at(from + at);
        let Some(end) = give_first(candidate, before, take) else {
            misses += 1;
            from += at + OPENING.len();
            if misses > MAX_MISSES {
                break;
            }
            continue;
        };
        (rest, from) = (candidate.get(end..).unwrap_or_default(), 0);
    }
    rest
}

/// Gives the event that the text begins with, after the text before it; where the event ends.
fn give_first(text: &str, before: &str, take: &mut impl FnMut(&str, ParsedLine<'_>)) -> Option<usize> {
    let mut events = serde_json::Deserializer::from_str(text).into_iter::<Event<'_>>();
    let event = events.next()?.ok()?;
    let end = events.byte_offset();
    if !is_event(&event) {
        return None;
    }
    if !before.trim().is_empty() {
        take(before, ParsedLine::Other);
    }
    take(
        text.get(..end).unwrap_or_default(),
        ParsedLine::Event(Box::new(event)),
    );
    Some(end)
}

/// Whether an object is an event of opencode.
pub(crate) fn is_event(event: &Event<'_>) -> bool {
    KINDS.contains(&event.kind.as_str()) && !event.session.as_str().is_empty()
}

/// Whether a second event may begin inside the line: in JSON, a value follows a colon, a comma or a bracket.
fn holds_another(line: &str) -> bool {
    let bytes = event::js_trim(line).as_bytes();
    OPENING_FINDER.find_iter(bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        before.is_some_and(|byte| !matches!(byte, b':' | b',' | b'['))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"type":"text","timestamp":1,"sessionID":"s","part":{"text":"t"}}"#;
    const TOOL: &str = r#"{"type":"tool_use","timestamp":1,"sessionID":"s","part":{"type":"tool","tool":"bash","callID":"c","state":{"status":"completed","input":{"a":{"type":"x"}}},"messageID":"m"}}"#;

    fn seen(line: &str, is_tail: bool) -> Vec<String> {
        let mut seen = Vec::new();
        each(line, is_tail, |text, read| {
            seen.push(match read {
                ParsedLine::Event(event) => event.kind.as_str().to_owned(),
                ParsedLine::ToolDone { .. } | ParsedLine::ToolFailed { .. } => "tool".to_owned(),
                ParsedLine::StepStart { .. } => "start".to_owned(),
                ParsedLine::Broken => "broken".to_owned(),
                ParsedLine::Blank => "blank".to_owned(),
                ParsedLine::Error { head, .. } => format!("error {}", head.message),
                ParsedLine::Other => format!("({text})"),
            });
        });
        seen
    }

    #[test]
    fn an_event_is_found_beside_other_text() {
        assert_eq!(seen(TEXT, false), ["text"]);
        assert_eq!(seen(TOOL, false), ["tool"], "the input is no event");
        let osc = "\u{1b}]0;work\u{7}";
        assert_eq!(
            seen(&format!("{osc}{TEXT}"), false),
            [format!("({osc})").as_str(), "text"]
        );
        assert_eq!(
            seen(&format!("[p] ready {TEXT}"), false),
            ["([p] ready )", "text"]
        );
        assert_eq!(seen(&format!("{TEXT}[p] done"), false), ["text", "([p] done)"]);
        assert_eq!(seen(&format!("{TOOL}{TEXT}"), false), ["tool_use", "text"]);
        assert_eq!(seen(&format!("{TEXT} {TEXT}\r"), false), ["text", "text"]);
    }

    #[test]
    fn what_json_never_has_is_left_out_of_an_event() {
        let inside = TEXT.replace("\"part\"", "\u{1b}[2K\u{1b}]0;work\u{7}\"part\"");
        assert_eq!(seen(&inside, false), ["text"]);
        let wide: String = TEXT.chars().flat_map(|c| [c, '\0']).collect();
        assert_eq!(
            seen(&format!("\u{fffd}\u{fffd}{wide}"), false),
            ["(\u{fffd}\u{fffd})", "text"]
        );
        assert_eq!(seen("\0", false), ["(\0)"]);
    }

    #[test]
    fn what_is_no_event_stays_what_it_is() {
        assert_eq!(seen("", false), ["blank"]);
        assert_eq!(seen("plain", false), ["(plain)"]);
        let foreign = r#"[p] {"type":"error","error":"no session"}"#;
        assert_eq!(seen(foreign, false).len(), 2);
        assert!(!seen(foreign, false).contains(&"error".to_owned()));
        assert_eq!(seen(r#"{"type":"text","tex"#, true), ["broken"]);
        assert_eq!(
            seen(&format!("x{}", TEXT.trim_end_matches('}')), true),
            ["(x)", "broken"]
        );
    }

    #[test]
    fn a_hostile_line_is_read_a_few_times_only() {
        let line = OPENING.repeat(1 << 17);
        assert_eq!(seen(&line, false), ["broken"]);
        let nested = r#"x{"type":"a","b":"#.repeat(1 << 16);
        assert_eq!(seen(&nested, false).len(), 2);
    }
}
