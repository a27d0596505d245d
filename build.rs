//! Tells the linker how a Node addon resolves the `napi_*` symbols. Nothing else belongs here.

fn main() {
    #[cfg(feature = "addon")]
    napi_build::setup();
}
