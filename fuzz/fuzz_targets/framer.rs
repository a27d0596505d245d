//! Any bytes in any chunks, any limit: the framer gives the lines that a plain split of the same bytes gives.
//!
//!     cargo +nightly fuzz run framer -- -max_total_time=180
#![no_main]

use libfuzzer_sys::fuzz_target;

// The framer alone: a fuzzer that has to build the whole addon is not run.
#[path = "../../src/tail/framer.rs"]
#[allow(dead_code)]
mod framer;

use framer::{CUT_MARKER, Framer, append_decoded};

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (limit, chunks) = input;
    let limit = usize::from(limit).max(1);
    let mut framer = Framer::new(limit);
    let mut out = Vec::new();
    for chunk in &chunks {
        framer.push(chunk, &mut out);
        assert!(out.is_empty() || out.ends_with(b"\n"), "only whole lines are given");
    }
    let partial = framer.has_partial();
    framer.finish(&mut out);
    let bytes = chunks.concat();
    let model = split(&bytes);
    let lines: Vec<&[u8]> = out.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), model.len());
    for (line, model) in lines.iter().zip(&model) {
        match line.strip_suffix(format!("{CUT_MARKER}\n").as_bytes()) {
            // A cut line keeps a head of at most the limit, cut between two characters.
            Some(head) if model.len() > limit => {
                assert!(model.starts_with(head) && head.len() <= limit && head.len() + 4 > limit);
            }
            _ => assert_eq!(line.strip_suffix(b"\n"), Some(*model)),
        }
    }
    assert_eq!(framer.take_cut_lines() as usize, model.iter().filter(|line| line.len() > limit).count());
    assert!(!partial || !bytes.ends_with(b"\n"));
    // Decoding a whole line never depends on its neighbours.
    let (mut apart, mut whole) = (String::new(), String::new());
    lines.iter().for_each(|line| append_decoded(&mut apart, line));
    append_decoded(&mut whole, &out);
    assert_eq!(whole, apart);
});

/// The lines of the bytes, without newlines; what follows the last newline is a line if it is not empty.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}
