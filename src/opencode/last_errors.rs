//! The last errors of a stream. One as opencode writes it is kept as its line, and read when somebody asks for it.

use super::bounded::{LastFew, prefix};
use super::event::{ParsedLine, read_fully};
use super::run_error::{NAME_BYTES, RunError, TEXT_BYTES};
use super::skim::skim;

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

#[derive(Debug, Clone)]
enum KeptError {
    Read(RunError),
    /// As opencode wrote it; its head was known without reading it.
    Line(String),
}

/// The last errors, each told once however often opencode repeats it.
#[derive(Debug, Default, Clone)]
pub(crate) struct LastErrors {
    kept: LastFew<KeptError>,
    /// Of the last one.
    name: String,
    message: String,
    status: Option<u16>,
}

impl LastErrors {
    /// Whether this is the last error again: opencode may tell one twice, with another header or reference.
    pub(crate) fn repeats(&self, error: ErrorHead<'_>) -> bool {
        !self.kept.is_empty()
            && self.status == error.status
            && self.name == prefix(error.name, NAME_BYTES)
            && self.message == prefix(error.message, TEXT_BYTES)
    }

    /// Keeps an error that was read.
    pub(crate) fn push(&mut self, error: RunError) {
        self.begins(error.head());
        self.kept.push(KeptError::Read(error), MAX_KEPT);
    }

    /// Keeps an error as its line.
    pub(crate) fn push_line(&mut self, head: ErrorHead<'_>, line: &str) {
        self.begins(head);
        // The memory of the oldest is used again.
        let mut kept = match self.kept.make_room(MAX_KEPT) {
            Some(KeptError::Line(oldest)) => oldest,
            _ => String::new(),
        };
        line.clone_into(&mut kept);
        self.kept.push(KeptError::Line(kept), MAX_KEPT);
    }

    /// All of them, read.
    pub(crate) fn to_vec(&self) -> Vec<RunError> {
        self.kept.iter().map(KeptError::read).collect()
    }

    fn begins(&mut self, head: ErrorHead<'_>) {
        prefix(head.name, NAME_BYTES).clone_into(&mut self.name);
        prefix(head.message, TEXT_BYTES).clone_into(&mut self.message);
        self.status = head.status;
    }
}

impl KeptError {
    fn read(&self) -> RunError {
        let line = match self {
            Self::Read(error) => return error.clone(),
            Self::Line(line) => line,
        };
        let mut scratch = String::new();
        match (read_fully(line, &mut scratch), skim(line)) {
            (ParsedLine::Event(event), _) => RunError::read(event.error_value()),
            // No JSON behind its head.
            (_, Some(ParsedLine::Error { head, .. })) => RunError {
                name: prefix(head.name, NAME_BYTES).to_owned(),
                message: prefix(head.message, TEXT_BYTES).to_owned(),
                status: head.status,
                ..RunError::default()
            },
            _ => RunError::default(),
        }
    }
}
