//! sweep
use super::site::Site;
pub(super) fn start(_site: &Site) {}
