//! The only room that names napi: it translates between JavaScript values and the engine, and does nothing else.
//!
//! Large values cross as JSON text, which is three times cheaper than objects. So most functions here take and give
//! text; `script/`, which the addon carries, makes of them what JavaScript sees: functions of objects. Their types are
//! what `ts_args_type` and `ts_return_type` say here, in the words of `types/`. Functions without types are the
//! script's own, and it hides them.

#![expect(
    unreachable_pub,
    reason = "what napi exports is public to JavaScript, not to other crates"
)]

mod code;
mod crossing;
mod face;
mod held;
mod judge;
mod observe;
mod probe;
mod programs;
mod prompt_files;
mod quotas;
mod render;
mod run;
mod session;
mod tail;
mod tasks;
mod text;

use std::sync::{Arc, OnceLock};

use napi_derive::napi;

use code::Code;

use crate::run::server::Server;

type Result<T> = napi::Result<T, Code>;

/// What this process holds for the runs and tails of all its environments.
fn server() -> &'static Arc<Server> {
    static SERVER: OnceLock<Arc<Server>> = OnceLock::new();
    SERVER.get_or_init(Arc::default)
}

/// Version of this addon. The adapter compares it with its own.
#[napi(catch_unwind)]
#[must_use]
pub fn native_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
