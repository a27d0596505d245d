//! `tailFile`: follows one file for a caller of its own.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use napi::Env;
use napi_derive::napi;
use serde::Deserialize;
use tokio::sync::watch;

use super::code::{error, invalid};
use super::sink::{Callback, Sink};
use super::{Result, tasks};
use crate::tail::followed::{Ending, Proof};
use crate::tail::source::{FileSource, Place};
use crate::tail::{Hub, Pace, Tail};

/// The hub of this process.
pub fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(Hub::default)
}

/// A tail that is on.
#[napi]
pub struct TailHandle {
    stopped: watch::Sender<bool>,
}

#[napi]
impl TailHandle {
    /// Reads to the end of the file once more, then ends. Later calls change nothing.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    poll_ms: Option<u64>,
    max_poll_ms: Option<u64>,
    idle_polls: Option<u32>,
    appear_timeout_ms: Option<u64>,
    data_root: Option<PathBuf>,
    collect: Option<bool>,
    #[serde(rename = "ref")]
    holds: Option<bool>,
}

impl Options {
    fn pace(&self) -> Pace {
        let default = Pace::default();
        let duration = |ms: Option<u64>, default| ms.map_or(default, |ms| Duration::from_millis(ms.max(1)));
        Pace {
            poll: duration(self.poll_ms, default.poll),
            idle_poll: duration(self.max_poll_ms, default.idle_poll),
            idle_polls: self.idle_polls.unwrap_or(default.idle_polls),
            appear: self
                .appear_timeout_ms
                .map(Duration::from_millis)
                .or(default.appear),
        }
    }

    /// Below the data root every component is checked, elsewhere the last one.
    fn place(&self, path: &Path) -> Option<Place> {
        let root = self
            .data_root
            .clone()
            .unwrap_or_else(|| PathBuf::from("/paperclip"));
        if path.starts_with(&root) {
            Place::below(&root, path)
        } else {
            Place::anywhere(path)
        }
    }
}

/// Follows a file. `sink(kind, payload)` is awaited, one call at a time: `stdout` with whole lines as one text,
/// `stderr` with one notice, and at the end, once, `end` with all lines as one text or `fail` with the error's
/// message. `optionsJson` may hold `pollMs` (250), `maxPollMs` (1000), `idlePolls` (5), `appearTimeoutMs` (30000),
/// `dataRoot` (`/paperclip`), `collect` (true; false: the text of `end` is empty) and `ref` (true: the tail holds the
/// process).
#[napi(
    catch_unwind,
    ts_args_type = "path: string, optionsJson: string, sink: (kind: string, payload: string) => Promise<void> | void"
)]
pub fn tail_file(env: Env, path: String, options_json: String, sink: Callback<'_>) -> Result<TailHandle> {
    let options: Options =
        serde_json::from_str(&options_json).map_err(|error| invalid(format!("tail options: {error}")))?;
    let place = options
        .place(Path::new(&path))
        .ok_or_else(|| invalid(format!("{path} names no file")))?;
    let tail = hub()
        .follow(Box::new(FileSource::new(place, false)), path, options.pace())
        .map_err(|cause| error("EAGAIN", format!("no thread to read files with: {cause}")))?;
    let sink = Sink::new(&sink, options.holds.unwrap_or(true)).map_err(invalid)?;
    let (stopped, stop) = watch::channel(false);
    let collected = options.collect.unwrap_or(true).then(Collected::default);
    tasks::spawn(env, deliver(tail, sink, stop, collected)).map_err(invalid)?;
    Ok(TailHandle { stopped })
}

async fn deliver(tail: Tail, sink: Sink, mut stop: watch::Receiver<bool>, mut collected: Option<Collected>) {
    let mut stopping = false;
    loop {
        let look = tokio::select! {
            look = tail.next() => look,
            asked = stop.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                // A handle that was dropped by JavaScript without a stop goes on to the end of the process.
                if asked.is_ok() {
                    tail.end(Ending::Drain);
                }
                continue;
            }
        };
        for notice in look.notices {
            let _ = sink.call("stderr", notice).await;
        }
        if !look.text.is_empty() {
            if let Some(collected) = &mut collected {
                collected.push(&look.text);
            }
            let _ = sink.call("stdout", look.text).await;
        }
        match look.end {
            None => {}
            Some(Proof::Failed(message)) => {
                let _ = sink.call("fail", message).await;
                return;
            }
            Some(_) => {
                let _ = sink
                    .call("end", collected.map(Collected::finish).unwrap_or_default())
                    .await;
                return;
            }
        }
    }
}

/// The returned text is bounded: a log of 1 GB must not eat the server, nor exceed the longest JavaScript string.
const COLLECTED_HALF: usize = 128 << 20;

/// All lines, or the first and the last 128 MiB of them.
#[derive(Default)]
struct Collected {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    dropped: usize,
}

impl Collected {
    fn push(&mut self, text: &str) {
        if self.tail.is_empty() && self.head.len() + text.len() <= COLLECTED_HALF {
            self.head.push_str(text);
            return;
        }
        self.tail_bytes += text.len();
        self.tail.push_back(text.to_owned());
        while self.tail_bytes > COLLECTED_HALF && self.tail.len() > 1 {
            let gone = self.tail.pop_front().map_or(0, |text| text.len());
            self.tail_bytes -= gone;
            self.dropped += gone;
        }
    }

    fn finish(mut self) -> String {
        if self.dropped > 0 {
            self.head
                .push_str(&format!("[paperclip] {} bytes left out here\n", self.dropped));
        }
        self.head.extend(self.tail);
        self.head
    }
}
