//! The only room that reads the wall clock: ages of files and of what the API server dates.

use std::sync::Arc;
use std::time::SystemTime;

/// The wall clock of a server.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Default for Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the room of the wall clock")]
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl Clock {
    /// A clock that tells this time.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}
