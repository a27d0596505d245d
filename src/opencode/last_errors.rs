//! The last errors of a stream. One as opencode writes it is kept as its line, and read when somebody asks for it.

use super::bounded::{LastFew, head, prefix};
use super::event::{ParsedLine, read_fully};
use super::run_error::{NAME_BYTES, RunError, TEXT_BYTES};

/// How many are kept.
const MAX_KEPT: usize = 16;
/// Bytes of a line that is kept as it is; a longer one is read at once, and its parts are bounded.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 10;

/// What an error begins with: enough to know it from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorHead<'a> {
    pub(crate) name: &'a str,
    pub(crate) message: &'a str,
    pub(crate) status: Option<u16>,
}

#[derive(Debug, Default, Clone)]
struct KeptError {
    /// Of a line that is not read yet, what its head says.
    error: RunError,
    unread: Option<String>,
}

/// The last errors, each told once however often opencode repeats it.
#[derive(Debug, Default, Clone)]
pub(crate) struct LastErrors(LastFew<KeptError>);

impl LastErrors {
    /// Whether this is the last error again: opencode may tell one twice, with another header or reference.
    pub(crate) fn repeats(&self, error: ErrorHead<'_>) -> bool {
        self.0.last().is_some_and(|last| {
            let known = &last.error;
            known.status == error.status
                && known.name == prefix(error.name, NAME_BYTES)
                && known.message == prefix(error.message, TEXT_BYTES)
        })
    }

    /// Keeps an error that was read.
    pub(crate) fn push(&mut self, error: RunError) {
        self.0.push(KeptError { error, unread: None }, MAX_KEPT);
    }

    /// Keeps an error as its line.
    pub(crate) fn push_line(&mut self, begins: ErrorHead<'_>, line: &str) {
        let error = RunError {
            name: head(begins.name, NAME_BYTES),
            message: head(begins.message, TEXT_BYTES),
            status: begins.status,
            ..RunError::default()
        };
        let unread = Some(line.to_owned());
        self.0.push(KeptError { error, unread }, MAX_KEPT);
    }

    /// All of them, read.
    pub(crate) fn to_vec(&self) -> Vec<RunError> {
        self.0.iter().map(KeptError::read).collect()
    }
}

impl KeptError {
    fn read(&self) -> RunError {
        let mut scratch = String::new();
        let line = self.unread.as_deref().unwrap_or_default();
        match read_fully(line, &mut scratch) {
            ParsedLine::Event(event) => RunError::read(event.error_value()),
            // Was read before, or is no JSON behind its head.
            _ => self.error.clone(),
        }
    }
}
