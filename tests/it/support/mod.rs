//! What several tests need.

pub(crate) mod api;
pub(crate) mod combination;
pub(crate) mod golden;
pub(crate) mod pod;
pub(crate) mod tail;
pub(crate) mod watched;
