//! Folds a file of opencode's JSONL as a run does it, and says how long that took: one JSON line for `bench/fold.mjs`.
//!
//! Usage: `fold FILE`

#![expect(clippy::print_stdout, reason = "its answer goes to stdout")]

use std::fs::File;
use std::io::{self, Read};
use std::time::Instant;

use opencode_k8s::opencode::Transcript;
use opencode_k8s::tail::framer::Framer;

/// What the tail reads at once.
const CHUNK: usize = 64 * 1024;

#[expect(clippy::disallowed_methods, reason = "measures real time on a real file")]
fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut file = File::open(path)?;
    let (mut framer, mut transcript) = (Framer::default(), Transcript::new());
    let (mut chunk, mut lines) = (vec![0; CHUNK], Vec::new());
    let started = Instant::now();
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        bytes += read;
        framer.push(chunk.get(..read).unwrap_or_default(), &mut lines);
        match std::str::from_utf8(&lines) {
            Ok(text) => push(&mut transcript, text),
            Err(_) => push(&mut transcript, &String::from_utf8_lossy(&lines)),
        }
        lines.clear();
    }
    let sum = transcript.finish();
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    let (cpu, peak) = (cpu_ms()?, peak_kib()?);
    println!(
        r#"{{"ms":{ms:.1},"cpuMs":{cpu:.1},"bytes":{bytes},"peakKiB":{peak},"events":{},"steps":{},"input":{},"output":{}}}"#,
        sum.events,
        sum.steps_finished,
        sum.tokens.input,
        sum.tokens.output + sum.tokens.reasoning
    );
    Ok(())
}

fn push(transcript: &mut Transcript, text: &str) {
    let mut at = 0;
    for newline in memchr::memchr_iter(b'\n', text.as_bytes()) {
        transcript.push_line(text.get(at..newline).unwrap_or_default());
        at = newline + 1;
    }
}

/// Time on a processor since the process started, as Linux counts it.
#[expect(clippy::disallowed_methods, reason = "measures its own process")]
fn cpu_ms() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    let ns = stat
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse::<f64>().ok());
    Ok(ns.unwrap_or_default() / 1e6)
}

/// Peak of resident memory, as Linux counts it.
#[expect(clippy::disallowed_methods, reason = "measures its own process")]
fn peak_kib() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(number.unwrap_or_default())
}
