//! The only room that reads the wall clock: ages of files and of what the API server dates.

use std::time::SystemTime;

/// Now, by the clock of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the room of the wall clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
