//! Any text around a key and a home folder: neither is shown, nothing panics, and the text does not grow without bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/codes.rs"]
#[allow(dead_code)]
pub mod codes;
#[path = "../../src/ids.rs"]
#[allow(dead_code)]
pub mod ids;
#[path = "../../src/opencode/mod.rs"]
#[allow(dead_code, unused_imports)]
pub mod opencode;
#[path = "../../src/run"]
#[allow(dead_code, unused_imports)]
mod run {
    pub mod outcome;
    #[path = "../../src/run/redact/home.rs"]
    pub mod home;
}

use run::home::home_paths;
use run::outcome::without_secrets;

const KEY: &str = "sk-ant-api03-Zm9vYmFyYmF6cXV4Zm9v";

fuzz_target!(|input: (&str, &str)| {
    let (before, after) = input;
    // The key as a word of its own, whatever the words around it are.
    let text = format!("{before} {KEY} {after}");
    let shown = without_secrets(&text);
    assert!(!shown.contains(KEY), "{shown:?}");
    assert!(shown.len() <= 4 * text.len() + 64, "{} of {} bytes", shown.len(), text.len());
    let path = format!("{before}/home/alexandra/{after}");
    let masked = home_paths(&path);
    assert!(!masked.contains("/home/alexandra"), "{masked:?}");
    assert!(masked.len() <= 2 * path.len(), "a letter gets one star");
});
