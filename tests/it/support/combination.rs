//! Every combination of the columns of a table test, by its number.

/// What one combination has in each column, in the order in which the columns are asked for.
pub(crate) struct Combination {
    rest: usize,
}

impl Combination {
    pub(crate) fn numbered(index: usize) -> Self {
        Self { rest: index }
    }

    pub(crate) fn one_of<T: Copy, const N: usize>(&mut self, column: &[T; N]) -> T {
        let at = self.rest % N;
        self.rest /= N;
        column[at]
    }

    pub(crate) fn yes_or_no(&mut self) -> bool {
        self.one_of(&[false, true])
    }
}
