//! The tail of a log: promises, faults, a model.

mod faults;
mod groups;
mod harvested;
mod hostile;
mod hub;
mod laid;
mod model;
mod polls;
mod proof;
mod sandbox;
mod text_file;
