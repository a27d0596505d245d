//! Parts of a run against an API server inside the test.

mod deliver;
mod holder;
mod judgement;
mod parsers;
mod prompt_files;
mod secrets;
mod start_limits;
mod step;
mod submit;
mod usage;
mod watch;
