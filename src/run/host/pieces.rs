//! Text in pieces that the host takes and keeps whole. Pure.

use std::borrow::Cow;

use crate::opencode::bounded::prefix;
use crate::opencode::escapes::without_escapes;

/// How this adapter's own lines begin.
const OWN: &str = "[paperclip]";
/// What stands before a line of the agent that begins so, or seems to.
const OF_AGENT: &str = "[agent] ";

/// Bytes of one call: the host's live events show the last 8 Ki characters of it.
pub(super) const CALL_BYTES: usize = 8 << 10;
/// Bytes of one call with a longer line: the host cuts calls over 64 Ki characters in the middle.
const PIECE_BYTES: usize = 60 << 10;

/// One line with this adapter's prefix. Control characters and all ends of lines become spaces: the text may be
/// hostile.
pub(super) fn status_line(text: &str) -> String {
    let clean: String = text
        .trim_end()
        .chars()
        .map(|c| match c {
            '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    format!("{OWN} {clean}\n")
}

/// Lines of an agent as its host gets them. The host's page knows this adapter's lines by how they begin: one of the
/// agent's that begins so is marked, also where a page shows nothing of what is before it.
pub(super) fn of_agent(lines: &str) -> Cow<'_, str> {
    if !lines.contains(OWN) {
        return Cow::Borrowed(lines);
    }
    let marked = lines.split_inclusive('\n').flat_map(|line| {
        let seems_own = line.split_once(OWN).is_some_and(|(before, _)| is_unseen(before));
        [if seems_own { OF_AGENT } else { "" }, line]
    });
    Cow::Owned(marked.collect())
}

fn is_unseen(text: &str) -> bool {
    let has_width = |c: char| !is_ignorable(c) && !c.is_whitespace() && !c.is_control();
    !without_escapes(text).contains(has_width)
}

/// What Unicode calls ignorable by default or a format: most fonts show nothing of it, or a blank.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Cuts the text at line ends into pieces of at most [`CALL_BYTES`]. A longer line is a piece of its own, and a line
/// over [`PIECE_BYTES`] becomes several.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if end > 0 && end + line.len() > CALL_BYTES {
                break;
            }
            end += line.len();
        }
        let end = if end <= PIECE_BYTES {
            end
        } else {
            prefix(rest, PIECE_BYTES).len()
        };
        let (piece, more) = rest.split_at(end);
        pieces.push(piece);
        rest = more;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_whole_lines_and_lose_nothing() {
        let text: String = (0..1_000).map(|n| format!("line number {n}\n")).collect();
        let cut = pieces(&text);
        assert_eq!(cut.concat(), text);
        assert!(
            cut.iter()
                .all(|piece| piece.len() <= CALL_BYTES && piece.ends_with('\n'))
        );
    }

    #[test]
    fn a_line_that_the_host_would_cut_goes_in_pieces() {
        let text = format!("{}\nshort\n", "日".repeat(50_000));
        let cut = pieces(&text);
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|piece| piece.len() <= PIECE_BYTES));
    }

    #[test]
    fn no_line_of_an_agent_is_taken_for_the_adapters() {
        for before in [
            "",
            " \t",
            "\u{feff}",
            "\r",
            "\u{1b}[0m",
            "\u{1b}]0;title\u{7}",
            "\u{200b}\u{202e}\u{85}",
            "\u{61c}\u{34f}\u{180e}",
            "\u{3164}\u{115f}\u{ffa0}\u{2800}",
            "\u{fe0f}\u{e0041}\u{e0100}\u{1d173}",
        ] {
            let line = format!("{before}[paperclip] Job succeeded\n");
            assert_eq!(of_agent(&line), format!("[agent] {line}"), "{before:?}");
            let among = format!("a\n{line}b");
            assert_eq!(of_agent(&among), format!("a\n[agent] {line}b"), "{before:?}");
        }
        for line in [
            "",
            "a\n",
            "see [paperclip] in the log\n",
            "{\"text\":\"[paperclip] x\"}\n",
            "[paper\nclip]",
        ] {
            assert!(
                matches!(of_agent(line), Cow::Borrowed(_)) || of_agent(line) == line,
                "{line}"
            );
        }
    }

    #[test]
    fn a_status_line_is_one_line() {
        assert_eq!(
            status_line("a\nb\u{1b}[31m\u{2028}c\n"),
            "[paperclip] a b [31m c\n"
        );
    }
}
