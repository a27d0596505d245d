//! From the raw request to a typed spec: every default, unit and check is here and nowhere else.

mod checks;
mod context;
mod environment;
mod error;
mod inherit;
mod json;
mod map;
mod node_options;
mod off_volume;
mod pod_shape;
mod request;
pub mod row;
mod scheduling;
mod server_paths;
pub mod session;
mod settings;
mod spec;
mod value;
mod values;

pub use checks::company_namespace;
pub(crate) use checks::quantity;
pub use environment::{UserEnv, agent_environment};
pub use error::ConfigError;
pub(crate) use inherit::HOSTS_FOLDER;
pub use inherit::Inherit;
pub(crate) use json::items;
pub use json::{Json, read_named};
pub use off_volume::off_volume;
pub(crate) use pod_shape::typed;
pub use pod_shape::{MoreResources, PodShape};
pub use request::{
    Agent, DbVolume, McpServer, MountedVolume, RenderRequest, Runtime, SecretVolume, SelfPod, Texts,
};
pub use scheduling::Resources;
pub use settings::Settings;
pub use spec::{AgentDb, AgentDbMode, Prompt, Prompts, Run, RunSpec, VolumeAccess, working_dir};
pub use values::text_setting;

/// Where every pod sees the shared volume: the HOME of all agents.
pub const POD_ROOT: &str = "/paperclip";
