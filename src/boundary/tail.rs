//! `tailPodLogFile`: follows one file for JavaScript.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::External;
use napi_derive::napi;
use serde::Deserialize;

use super::Result;
use super::code::{error, invalid};
use super::crossing::{Crossing, Item, Owner};
use super::text::SharedString;
use crate::config::POD_ROOT;
use crate::tail::TailOptions;
use crate::tail::follower::{CHUNK, FinishRule, Proof};
use crate::tail::hub::Batch;
use crate::tail::line_collector::Part;
use crate::tail::source::{FileSource, VolumePath};

/// The text of tails that are over, until JavaScript takes it.
pub(super) type CollectedParts = Arc<Mutex<HashMap<u32, VecDeque<Part>>>>;

/// Follows a log file that another process writes, and resolves to everything that was read.
///
/// Waits for the file (`appearTimeoutMs`), gives every complete line to `onLog`, one call at a time, each awaited, and
/// ends after `stopSignal.stopped` or `signal`, with one final read to the end. A last line without newline comes then,
/// with one. The text is bounded: of a log over 256 MiB the first and the last 128 MiB, with a marker between.
///
/// Rejects with a TypeError for options it cannot use, with `Pod log file never appeared at <path>`, and with what
/// keeps the file from being read: it is no plain file, it is a link, or its end cannot be read after the stop. An
/// `onLog` that throws, rejects or never answers ends nothing: it is told so once, as `("stderr", message)`.
#[napi(
    catch_unwind,
    ts_args_type = "filePath: string, options: TailOptions | TailChunkOptions",
    ts_return_type = "Promise<string>"
)]
pub fn tail_pod_log_file(crossing: &External<Crossing>, path: String, options_json: String) -> Result<u32> {
    let options: Options =
        serde_json::from_str(&options_json).map_err(|error| invalid(format!("tail options: {error}")))?;
    let file_path = options
        .volume_path(Path::new(&path))
        .ok_or_else(|| invalid(format!("{path} names no file")))?;
    crossing
        .tails
        .follow(
            Box::new(FileSource::new(file_path, false)),
            path,
            options.tail_options(),
        )
        .map_err(|cause| error("EAGAIN", format!("no thread to read files with: {cause}")))
}

/// Reads to the end of the file once more, then ends. Later calls change nothing.
#[napi(catch_unwind, skip_typescript)]
pub fn stop_tail(crossing: &External<Crossing>, tail: u32) {
    crossing.tails.end(tail, FinishRule::Drain);
}

/// After the end of a tail that collects: the next part of its text, about 1 MiB of whole lines; `null` after the last
/// one.
#[napi(catch_unwind, skip_typescript)]
pub fn collected_text(crossing: &External<Crossing>, tail: u32) -> Result<Option<SharedString>> {
    let mut collected = crossing.collected.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(part) = collected.get_mut(&tail).and_then(VecDeque::pop_front) else {
        collected.remove(&tail);
        return Ok(None);
    };
    drop(collected);
    crossing.strings.long_lived(part).map(Some).map_err(invalid)
}

/// What was found, for JavaScript: of each tail its notices, its lines and its end, of which the last is answered for
/// all. The text of a tail that is over is kept until JavaScript asks for it.
pub(super) fn items_of(batch: Batch, kept: &CollectedParts) -> Vec<Item> {
    let mut items = Vec::with_capacity(batch.len());
    for (tail, look) in batch {
        let is_failed = matches!(look.end, Some(Proof::Failed(_)));
        if let Some(collected) = look.collected.filter(|_| !is_failed) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(tail, collected.finish());
        }
        let mut add = |kind, text| {
            let owner = Owner::Tail(tail);
            items.push(Item {
                owner,
                number: 0,
                kind,
                text,
            });
        };
        for notice in look.notices {
            add("notice", notice);
        }
        in_chunks(look.text, |chunk| add("stdout", chunk));
        match look.end {
            None => {}
            Some(Proof::Failed(message)) => add("failed", message),
            Some(_) => add("end", String::new()),
        }
        if let Some(last) = items.last_mut() {
            last.number = 1;
        }
    }
    items
}

/// Whole lines in chunks of at most [`CHUNK`] bytes; a longer line is a chunk of its own.
fn in_chunks(mut text: String, mut give: impl FnMut(String)) {
    while let Some(first) = text.as_bytes().get(..CHUNK).filter(|_| text.len() > CHUNK) {
        let newline = memchr::memrchr(b'\n', first).or_else(|| memchr::memchr(b'\n', text.as_bytes()));
        let Some(end) = newline.map(|at| at + 1).filter(|end| *end < text.len()) else {
            break;
        };
        let rest = text.split_off(end);
        give(std::mem::replace(&mut text, rest));
    }
    if !text.is_empty() {
        give(text);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    poll_ms: Option<f64>,
    max_poll_ms: Option<f64>,
    idle_polls: Option<u32>,
    appear_timeout_ms: Option<f64>,
    data_root: Option<PathBuf>,
    collect: bool,
}

impl Options {
    fn tail_options(&self) -> TailOptions {
        let default = TailOptions::default();
        let duration = |ms: Option<f64>, least: f64| {
            ms.filter(|ms| ms.is_finite())
                .map(|ms| Duration::from_secs_f64(ms.clamp(least, 1e12) / 1e3))
        };
        TailOptions {
            poll: duration(self.poll_ms, 1.0).unwrap_or(default.poll),
            idle_poll: duration(self.max_poll_ms, 1.0).unwrap_or(default.idle_poll),
            idle_polls: self.idle_polls.unwrap_or(default.idle_polls),
            appear: duration(self.appear_timeout_ms, 0.0).or(default.appear),
            // There is no end record to compare with.
            digest: false,
            nuls_pass: false,
            collect: self.collect,
        }
    }

    /// Below the data root every component is checked, elsewhere the last one.
    fn volume_path(&self, path: &Path) -> Option<VolumePath> {
        let root = self.data_root.clone().unwrap_or_else(|| PathBuf::from(POD_ROOT));
        if path.starts_with(&root) {
            VolumePath::below(&root, path)
        } else {
            VolumePath::in_trusted_folder(path)
        }
    }
}
