//! Masks home folders and secrets, and removes control characters.

pub mod display;
pub mod home;
