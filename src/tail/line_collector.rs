//! Collects the lines of a tail for whoever wants its whole text at the end: all of them, or the first and the last
//! 128 MiB. Pure.

use std::collections::VecDeque;

/// How much of the beginning and of the end is kept.
const HALF_BYTES: usize = 128 << 20;
/// Text is kept, dropped and passed on in parts of about this size.
const PART_BYTES: usize = 1 << 20;

/// Whole lines, in the form in which JavaScript holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text of ASCII only.
    Ascii(Vec<u8>),
    /// Text with other characters, in UTF-16.
    Utf16(Vec<u16>),
}

/// A part, and how many bytes of the log it is.
#[derive(Debug)]
struct SizedPart {
    part: Part,
    bytes: usize,
}

/// The lines so far.
#[derive(Debug)]
pub struct LineCollector {
    head: Vec<SizedPart>,
    head_bytes: usize,
    tail: VecDeque<SizedPart>,
    tail_bytes: usize,
    dropped: usize,
    /// The part in progress.
    open: String,
    half: usize,
}

impl Default for LineCollector {
    fn default() -> Self {
        Self::with_half(HALF_BYTES)
    }
}

impl LineCollector {
    fn with_half(half: usize) -> Self {
        Self {
            head: Vec::new(),
            head_bytes: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            dropped: 0,
            open: String::new(),
            half,
        }
    }

    /// Adds whole lines.
    pub(super) fn add(&mut self, text: &str) {
        let part = PART_BYTES.min(self.half / 16);
        if self.open.len() + text.len() > part {
            self.close_part();
            // A log that has filled one part will fill the next one too.
            self.open.reserve(if self.head_bytes > 0 {
                part.max(text.len())
            } else {
                0
            });
        }
        self.open.push_str(text);
    }

    fn close_part(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.open);
        let bytes = text.len();
        let part = if text.is_ascii() {
            Part::Ascii(text.into_bytes())
        } else {
            Part::Utf16(text.encode_utf16().collect())
        };
        let kept = SizedPart { part, bytes };
        if self.tail.is_empty() && self.head_bytes + bytes <= self.half {
            self.head_bytes += bytes;
            self.head.push(kept);
            return;
        }
        self.tail_bytes += bytes;
        self.tail.push_back(kept);
        while self.tail_bytes > self.half
            && self.tail.len() > 1
            && let Some(first) = self.tail.pop_front()
        {
            self.tail_bytes -= first.bytes;
            self.dropped += first.bytes;
        }
    }

    /// The parts in order, with a marker where something is left out.
    #[must_use]
    pub fn finish(mut self) -> VecDeque<Part> {
        self.close_part();
        let marker = (self.dropped > 0)
            .then(|| Part::Ascii(format!("[paperclip] {} bytes left out here\n", self.dropped).into_bytes()));
        let parts = |kept: SizedPart| kept.part;
        let tail = self.tail.into_iter().map(parts);
        self.head
            .into_iter()
            .map(parts)
            .chain(marker)
            .chain(tail)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(half: usize, lines: &[String]) -> String {
        let mut collected = LineCollector::with_half(half);
        lines.iter().for_each(|line| collected.add(line));
        let text = |part: Part| match part {
            Part::Ascii(bytes) => String::from_utf8(bytes).expect("ASCII"),
            Part::Utf16(units) => String::from_utf16(&units).expect("text"),
        };
        collected.finish().into_iter().map(text).collect()
    }

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{number:09}\n")).collect()
    }

    #[test]
    fn everything_up_to_the_limit_is_kept() {
        assert_eq!(collect(200, &numbered(20)), numbered(20).concat());
        assert_eq!(
            collect(HALF_BYTES, &numbered(300_000)),
            numbered(300_000).concat()
        );
        assert_eq!(collect(HALF_BYTES, &[]), "");
    }

    #[test]
    fn the_middle_is_dropped_and_counted_and_both_ends_keep_whole_lines() {
        let all = numbered(50_000);
        let marker = format!("[paperclip] {} bytes left out here\n", (50_000 - 20) * 10);
        let want = format!("{}{marker}{}", all[..10].concat(), all[49_990..].concat());
        assert_eq!(collect(100, &all), want);
    }

    #[test]
    fn bytes_are_counted_not_characters() {
        let lines = vec!["🎉🎉".to_owned(); 3];
        assert_eq!(collect(8, &lines), "🎉🎉[paperclip] 8 bytes left out here\n🎉🎉");
    }

    #[test]
    fn ascii_stays_as_it_is_and_other_text_becomes_utf_16() {
        let mut collected = LineCollector::with_half(160);
        collected.add("plain\n");
        collected.add("日本 🎉\n");
        collected.add("plain\n");
        let parts: Vec<Part> = collected.finish().into();
        let plain = || Part::Ascii(b"plain\n".to_vec());
        assert_eq!(
            parts,
            [
                plain(),
                Part::Utf16("日本 🎉\n".encode_utf16().collect()),
                plain()
            ]
        );
    }
}
