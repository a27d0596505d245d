//! `openTails`: follows files for JavaScript. All tails of one JavaScript environment share one callback: what one look
//! at all files found crosses as one string.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use serde::Deserialize;

use super::code::{error, invalid};
use super::text::{CopiedString, OutgoingText, SharedString, StringFactory, sink_of, units};
use super::{Result, server};
use crate::config::POD_ROOT;
use crate::tail::TailOptions;
use crate::tail::follower::{FinishRule, Look, Proof};
use crate::tail::hub::{Batch, Group};
use crate::tail::line_collector::Part;
use crate::tail::source::{FileSource, VolumePath};

/// The tails of one JavaScript environment.
#[napi]
pub struct Tails {
    group: Group,
    strings: StringFactory,
    collected: CollectedParts,
}

/// The text of tails that are over, until JavaScript takes it.
type CollectedParts = Arc<Mutex<HashMap<u32, VecDeque<Part>>>>;

#[napi]
impl Tails {
    /// Follows a file; returns the tail's number. `optionsJson` may hold `pollMs` (250), `maxPollMs` (1000),
    /// `idlePolls` (5), `appearTimeoutMs` (30000), `dataRoot` (`/paperclip`) and `collect` (false): keep the text for
    /// `text()`.
    #[napi(catch_unwind)]
    pub fn follow(&self, path: String, options_json: String) -> Result<u32> {
        let options: Options =
            serde_json::from_str(&options_json).map_err(|error| invalid(format!("tail options: {error}")))?;
        let file_path = options
            .volume_path(Path::new(&path))
            .ok_or_else(|| invalid(format!("{path} names no file")))?;
        self.group
            .follow(
                Box::new(FileSource::new(file_path, false)),
                path,
                options.tail_options(),
            )
            .map_err(|cause| error("EAGAIN", format!("no thread to read files with: {cause}")))
    }

    /// The lines of these tails are delivered: more may come.
    #[napi(catch_unwind)]
    pub fn taken(&self, tails: Vec<u32>) {
        self.group.taken(&tails);
    }

    /// The last batch is taken apart: the next one may come.
    #[napi(catch_unwind)]
    pub fn arrived(&self) {
        self.group.arrived();
    }

    /// After the end of a tail that collects: the next part of its text, about 1 MiB of whole lines; `null` after the
    /// last one.
    #[napi(catch_unwind, ts_return_type = "string | null")]
    pub fn text(&self, tail: u32) -> Result<Option<SharedString>> {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(part) = collected.get_mut(&tail).and_then(VecDeque::pop_front) else {
            collected.remove(&tail);
            return Ok(None);
        };
        drop(collected);
        self.strings.long_lived(part).map(Some).map_err(invalid)
    }

    /// Reads to the end of the file once more, then ends. Later calls change nothing.
    #[napi(catch_unwind)]
    pub fn stop(&self, tail: u32) {
        self.group.end(tail, FinishRule::Drain);
    }
}

/// Opens the tails of this environment. `sink(batch)` gets what was found in all files as one string: the texts in a
/// row, and after the last newline three words for each text: the tail's number, the kind and the text's length in
/// UTF-16 units. Kinds: `o` whole lines, `n` one notice, `e` the end (empty), `f` the failure's message. The sink must
/// not throw; it must answer a batch with `arrived()`, and each tail with `taken()` when its lines are delivered. Does
/// not keep the process alive.
#[napi(catch_unwind, ts_args_type = "sink: (batch: string) => void")]
pub fn open_tails(env: Env, sink: Function<'_, CopiedString, ()>) -> Result<Tails> {
    let strings = StringFactory::of(env);
    let sink = sink_of(strings, sink).map_err(invalid)?;
    let collected = CollectedParts::default();
    let kept = collected.clone();
    let deliver = move |batch: Batch| sink(as_text(keep_collected(batch, &kept)));
    let group = Group::new(&server().hub, deliver);
    // When a worker thread ends, its tails end, too.
    env.add_env_cleanup_hook(group.clone(), |group| group.close())
        .map_err(invalid)?;
    Ok(Tails {
        group,
        strings,
        collected,
    })
}

/// Keeps the text of tails that are over until JavaScript asks for it.
fn keep_collected(mut batch: Batch, kept: &CollectedParts) -> Batch {
    for (tail, look) in &mut batch {
        if let Some(collected) = look.collected.take()
            && !matches!(look.end, Some(Proof::Failed(_)))
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(*tail, collected.finish());
        }
    }
    batch
}

/// The batch as `openTails` describes it.
fn as_text(batch: Batch) -> OutgoingText {
    let mut is_ascii = true;
    let mut all = String::new();
    let mut words = String::from("\n");
    for (tail, look) in batch {
        let Look {
            text, notices, end, ..
        } = look;
        let mut add = |kind: char, text: String| {
            // Writing to a String cannot fail.
            let _ = write!(words, "{tail} {kind} {} ", units(&text, &mut is_ascii));
            // The usual batch is one text: it is not copied.
            if all.is_empty() {
                all = text
            } else {
                all.push_str(&text)
            }
        };
        for notice in notices {
            add('n', notice);
        }
        if !text.is_empty() {
            add('o', text);
        }
        match end {
            None => {}
            Some(Proof::Failed(message)) => add('f', message),
            Some(_) => add('e', String::new()),
        }
    }
    all.push_str(words.trim_end_matches(' '));
    OutgoingText::new(all, is_ascii)
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
