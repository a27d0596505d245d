//! What must not be shown: home folders, secrets, control characters.

pub mod display;
pub mod home;
