//! The memory of delivered texts, for the next ones. A log that is far ahead fills a buffer in 30 microseconds; the
//! allocator gives so much back to the system at once, and each page of it costs more than the bytes that it holds.

use std::sync::{Mutex, PoisonError};

use super::follower::CHUNK;

/// Smaller texts come and go without any cost.
const LEAST_BYTES: usize = CHUNK / 2;
/// So many are kept in this process: 2 MiB.
const MAX_KEPT: usize = 16;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// An empty text with room for this many bytes.
pub(super) fn with_capacity(bytes: usize) -> String {
    let kept = match bytes >= LEAST_BYTES {
        true => KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop(),
        false => None,
    };
    let mut text = kept.unwrap_or_default();
    text.reserve(bytes);
    text
}

/// Takes a text that was delivered. To drop it instead is no error.
pub fn give_back(mut text: String) {
    // A longer one was a single long line: its memory is not kept for the next.
    if !(LEAST_BYTES..=2 * CHUNK).contains(&text.capacity()) {
        return;
    }
    text.clear();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < MAX_KEPT {
        kept.push(text);
    }
}
