//! From the tails to the host: lines are folded, redacted and given out as they arrive.

use tokio::task::yield_now;

use crate::opencode::Transcript;
use crate::opencode::bounded::suffix;
use crate::run::host::Kind;
use crate::run::host::log::HostLog;
use crate::run::outcome::Excerpt;
use crate::run::redact::home;
use crate::tail::Tail;
use crate::tail::follower::Proof;

/// Bytes of lines after which other runs get their turn on this worker of the runtime: some milliseconds of work.
const YIELD_AFTER: usize = 256 << 10;

/// What came out of a log that is over.
pub struct Delivery {
    /// The fold of all lines.
    pub transcript: Transcript,
    /// The bounded part that is stored.
    pub excerpt: Excerpt,
    /// What is known about completeness.
    pub proof: Proof,
    /// Bytes of text that were given out.
    pub bytes: u64,
}

/// Delivers opencode's stdout until its tail ends.
pub async fn stdout(tail: &Tail, host_log: &HostLog) -> Delivery {
    let mut transcript = Transcript::new();
    let mut excerpt = Excerpt::default();
    let mut bytes = 0;
    loop {
        let look = tail.next().await;
        for notice in &look.notices {
            host_log.warn(notice).await;
        }
        let mut text = String::with_capacity(look.text.len());
        let mut lines = look.text.split_terminator('\n').peekable();
        let mut since_yield = 0;
        while let Some(line) = lines.next() {
            since_yield += line.len();
            if since_yield >= YIELD_AFTER {
                since_yield = 0;
                yield_now().await;
            }
            if look.cut && lines.peek().is_none() {
                transcript.push_cut(line);
            } else {
                transcript.push_line(line);
            }
            let line = home::home_paths(line);
            excerpt.push_line(&line);
            text.push_str(&line);
            text.push('\n');
        }
        if !text.is_empty() {
            bytes += text.len() as u64;
            host_log.activity(transcript.activity());
            host_log.lines(Kind::Stdout, &text).await;
        }
        if let Some(proof) = look.end {
            return Delivery {
                transcript,
                excerpt,
                proof,
                bytes,
            };
        }
    }
}

/// How much of the end of stderr a message can use.
const STDERR_KEPT: usize = 16 << 10;

/// Delivers opencode's stderr until its tail ends; gives back its last part.
pub async fn stderr(tail: &Tail, host_log: &HostLog) -> String {
    let mut kept = String::new();
    loop {
        let look = tail.next().await;
        if !look.text.is_empty() {
            let text = redact_all(&look.text);
            kept.push_str(&text);
            let cut = kept.len() - suffix(&kept, STDERR_KEPT).len();
            kept.drain(..cut);
            host_log.lines(Kind::Stderr, &text).await;
        }
        if look.end.is_some() {
            return kept;
        }
    }
}

fn redact_all(text: &str) -> String {
    text.split_inclusive('\n').map(home::home_paths).collect()
}
