//! The values of all rows, taken one by one: a row that nobody takes and a field without a row are found by a test.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::ConfigError;
use super::row::{Reader, rows};
use super::value::{self, Setting};

/// Seconds of a limit that nothing reaches: 68 years, the most that a setting holds.
const UNLIMITED_SEC: u64 = i32::MAX as u64;

/// The defaults of all rows, read once for a process.
static DEFAULTS: LazyLock<Result<Vec<Option<Setting>>, ConfigError>> =
    LazyLock::new(|| rows().iter().map(value::default_of).collect());

/// Where the row of a key stands.
static PLACES: LazyLock<HashMap<&str, usize>> =
    LazyLock::new(|| rows().iter().enumerate().map(|(at, row)| (row.key, at)).collect());

/// The values of all rows, in their order. Each is taken once, under its key.
pub(super) struct Values(Vec<Option<Option<Setting>>>);

impl Values {
    /// Rows that others act on are checked as well, and left to them.
    pub(super) fn read(config: &Value) -> Result<Self, ConfigError> {
        let rows = rows().iter().zip(DEFAULTS.as_ref().map_err(Clone::clone)?);
        let values = rows.map(|(row, default)| {
            let read = value::read(row, config)?;
            let is_runs = row.reader == Reader::Run;
            Ok(is_runs.then(|| read.or_else(|| default.clone())))
        });
        values.collect::<Result<_, _>>().map(Self)
    }

    /// Keys that nobody has taken yet.
    #[cfg(test)]
    pub(super) fn left(&self) -> Vec<&'static str> {
        let left = rows().iter().zip(&self.0).filter(|(_, value)| value.is_some());
        left.map(|(row, _)| row.key).collect()
    }

    fn take(&mut self, key: &str) -> Result<Option<Setting>, ConfigError> {
        let absent = || ConfigError::field(key, "has no row, or is read twice");
        let place = PLACES.get(key).and_then(|at| self.0.get_mut(*at));
        place.and_then(Option::take).ok_or_else(absent)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.take(key)? {
            Some(Setting::Text(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(_) => Err(other_type(key)),
        }
    }

    pub(super) fn pairs(&mut self, key: &str) -> Result<Option<Vec<(String, String)>>, ConfigError> {
        match self.take(key)? {
            Some(Setting::Pairs(pairs)) => Ok(Some(pairs)),
            None => Ok(None),
            Some(_) => Err(other_type(key)),
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Result<Option<Value>, ConfigError> {
        match self.take(key)? {
            Some(Setting::List(list)) => Ok(Some(list)),
            None => Ok(None),
            Some(_) => Err(other_type(key)),
        }
    }

    pub(super) fn words(&mut self, key: &str) -> Result<Vec<String>, ConfigError> {
        match self.take(key)? {
            Some(Setting::Words(words)) => Ok(words),
            None => Ok(Vec::new()),
            Some(_) => Err(other_type(key)),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<bool, ConfigError> {
        match self.take(key)? {
            Some(Setting::Flag(flag)) => Ok(flag),
            _ => Err(other_type(key)),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<u64, ConfigError> {
        self.number_if_set(key)?.ok_or_else(|| other_type(key))
    }

    /// Seconds after which something is given up; 0 stands for never, as in all limits.
    pub(super) fn limit(&mut self, key: &str) -> Result<u64, ConfigError> {
        let seconds = self.number(key)?;
        Ok(if seconds == 0 { UNLIMITED_SEC } else { seconds })
    }

    pub(super) fn number_if_set(&mut self, key: &str) -> Result<Option<u64>, ConfigError> {
        match self.take(key)? {
            None => Ok(None),
            Some(Setting::Number(number)) => Ok(Some(number)),
            Some(_) => Err(other_type(key)),
        }
    }
}

fn other_type(key: &str) -> ConfigError {
    ConfigError::field(key, "has a row of another type, or without a default")
}

/// One setting that is a text, beside whatever is wrong with others; none where it is absent or cannot be read.
pub fn text_setting(config: &Value, key: &str) -> Option<String> {
    let row = rows().iter().find(|row| row.key == key)?;
    match value::read(row, config).ok()?.or(value::default_of(row).ok()?) {
        Some(Setting::Text(text)) => Some(text),
        _ => None,
    }
}
