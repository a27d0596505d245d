//! Text in pieces that the host takes and keeps whole. Pure.

use crate::opencode::bounded::prefix;

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
    format!("[paperclip] {clean}\n")
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
    fn a_status_line_is_one_line() {
        assert_eq!(
            status_line("a\nb\u{1b}[31m\u{2028}c\n"),
            "[paperclip] a b [31m c\n"
        );
    }
}
