//! Masks home folders and secrets, and removes control characters.

pub mod display;
mod forms;
pub mod home;
