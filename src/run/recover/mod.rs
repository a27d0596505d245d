//! What earlier servers left: Jobs to take over, ends that nobody reported, files of the past.

pub(crate) mod adopt;
pub(crate) mod harvest;
pub(crate) mod sweep;
pub(crate) mod unreported;
