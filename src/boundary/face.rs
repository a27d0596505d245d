//! Evaluates the script that the addon carries, once for each JavaScript environment that loads it.

use napi::Env;
use napi::bindgen_prelude::{Function, Object};
use napi_derive::napi;

/// The loop over the lines of a batch is JavaScript, because a call from native code costs eight times as much as one
/// from JavaScript; and so is what makes JSON text of objects. `addon` are the exports of Rust.
const SCRIPT: &str = concat!(
    "(function (addon) {\n\"use strict\";\nconst CONTEXT_FIELDS = ",
    include_str!("../config/context-fields.json"),
    ";\n",
    include_str!("script/values.js"),
    include_str!("script/crossing.js"),
    include_str!("script/tail.js"),
    include_str!("script/exports.js"),
    "\n})\n//# sourceURL=opencode-k8s/script.js\n"
);

/// Puts the script's functions in the place of those that it calls.
#[napi(module_exports, catch_unwind)]
pub fn complete(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let complete: Function<'_, Object<'_>, ()> = env.run_script(SCRIPT)?;
    complete.call(exports)
}
