//! A run of an agent, from its Job to its result.

pub mod outcome;
