//! Which errors of a stream still stand. Pure.

/// The errors that nothing made good. An error is made good by what a later step gave: then the provider answers again.
#[derive(Debug, Default, Clone)]
pub(crate) struct OpenErrors {
    /// How many of the last errors.
    count: usize,
    /// How many there were before this step made them good.
    before_step: usize,
    /// A step began after the last error.
    began_again: bool,
}

impl OpenErrors {
    /// How many of the last errors stand.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether a step began after the last error.
    pub(crate) fn began_again(&self) -> bool {
        self.began_again
    }

    /// An error came; `repeats`: it is the last one again.
    pub(crate) fn failed(&mut self, repeats: bool) {
        self.began_again = false;
        self.count = match repeats {
            true => self.count.max(1),
            false => self.count + 1,
        };
    }

    /// A step began.
    pub(crate) fn step_started(&mut self) {
        (self.began_again, self.before_step) = (true, 0);
    }

    /// A step gave something: the provider answers.
    pub(crate) fn got_on(&mut self) {
        if self.began_again && self.count > 0 {
            (self.before_step, self.count) = (self.count, 0);
        }
    }

    /// The step was a summary of the conversation, which proves nothing about the next request.
    pub(crate) fn compacted(&mut self) {
        (self.count, self.before_step) = (self.count + self.before_step, 0);
        self.began_again = false;
    }
}
