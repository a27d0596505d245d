//! Starts an admitted run: its files, its database, its Job.

pub mod database;
pub mod launch;
pub mod ledger;
pub mod start_gate;
pub mod submit;
