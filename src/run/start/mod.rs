//! From an admitted run to a Job that exists.

pub mod database;
pub mod launch;
pub mod ledger;
pub mod submit;
