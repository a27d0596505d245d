//! From the raw request to a typed spec: every default, unit and check is here and nowhere else.

mod checks;
mod environment;
mod error;
mod fields;
mod json;
mod read;
mod request;
mod scheduling;
pub mod session;
mod spec;
mod surrogates;

pub use checks::check_ids;
pub use environment::UserEnv;
pub use error::{ConfigError, InvalidId};
pub use json::Json;
pub use request::{Agent, DbVolume, RenderRequest, Runtime, SecretVolume, SelfPod, Texts, working_dir};
pub use spec::{AgentDb, AgentDbMode, Resources, RunSpec};
