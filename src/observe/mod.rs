//! How operators see the adapter itself: its events as lines of the server's log (`log`), its counters for Prometheus
//! (`exporter`). What the server's environment asks for here must not hurt a run: whatever is wrong with it is one line
//! of that log.

pub mod exporter;
pub mod log;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use crate::metrics::Looked;

/// The variable with the level of the log.
pub const LOG_VARIABLE: &str = "PAPERCLIP_K8S_LOG";
/// The variable with the place of the metrics.
pub const METRICS_VARIABLE: &str = "PAPERCLIP_K8S_METRICS";

/// What the server's environment asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// `PAPERCLIP_K8S_LOG`: `off`, `error`, `warn` (also where it is not set), `info` or `debug`.
    pub log: Option<String>,
    /// `PAPERCLIP_K8S_METRICS`: a loopback address with a port, or an absolute path of a file; nothing where it is not
    /// set.
    pub metrics: Option<String>,
}

/// Looks up what is not counted as it happens.
pub type Look = Arc<dyn Fn() -> Looked + Send + Sync>;

/// Begins to log and to export metrics. Only the first call of a process does anything.
pub fn start(wanted: &Wanted, look: Look) {
    static IS_STARTED: AtomicBool = AtomicBool::new(false);
    if IS_STARTED.swap(true, Ordering::AcqRel) {
        return;
    }
    let level = log_level(wanted.log.as_deref());
    // A program that has a subscriber of its own gets the events by that.
    let _ = log::install(level.unwrap_or(LevelFilter::WARN));
    if level.is_none() {
        tracing::warn!(
            "{LOG_VARIABLE} is none of off, error, warn, info and debug: warnings and errors are logged"
        );
    }
    let Some(place) = wanted.metrics.as_deref().filter(|place| !place.is_empty()) else {
        return;
    };
    match exporter::Place::parse(place).and_then(|place| exporter::start(place, look)) {
        Ok(at) => tracing::info!(%at, "metrics are exported"),
        Err(why) => {
            tracing::error!(%why, "{METRICS_VARIABLE}: no metrics are exported, and runs go on without them")
        }
    }
}

/// The level by its name; `None` for a name of none.
fn log_level(name: Option<&str>) -> Option<LevelFilter> {
    match name.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "warn" => Some(LevelFilter::WARN),
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names() {
        assert_eq!(log_level(None), Some(LevelFilter::WARN));
        assert_eq!(log_level(Some("INFO")), Some(LevelFilter::INFO));
        assert_eq!(log_level(Some("off")), Some(LevelFilter::OFF));
        assert_eq!(log_level(Some("verbose")), None);
    }
}
