//! Any bytes and any path as an agent's instructions: what is read stands below the data root, within the limit, and
//! is the file's.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../src/ids.rs"]
#[allow(dead_code)]
pub mod ids;
#[path = "../../src/tail"]
#[allow(dead_code, unused_imports)]
mod tail {
    pub mod record;
    pub mod source;
}

use tail::source::{Ownership, names_in, read_text, read_text_of};

const SECRET: &str = "only the server reads this";
const LIMIT: usize = 4_096;

/// A folder with a secret beside the data root, and links to it from within.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("fuzz-instructions-{}", std::process::id()));
    fs::create_dir_all(place.join("root/skills/a")).expect("folders");
    fs::write(place.join("secret"), SECRET).expect("a file");
    for (name, target) in [("link", "../secret"), ("up", ".."), ("skills/SKILL.md", "../../secret")] {
        let _ = std::os::unix::fs::symlink(target, place.join("root").join(name));
    }
    place
});

fuzz_target!(|input: (&[u8], &[u8])| {
    let (content, path) = input;
    let (root, pods) = (PLACE.join("root"), Ownership::of_this_process());
    let at = root.join("AGENTS.md");
    fs::write(&at, content).expect("a file");
    match read_text(std::slice::from_ref(&root), &at, LIMIT, pods) {
        Ok(text) => assert_eq!(text, String::from_utf8_lossy(content)),
        Err(_) => assert!(content.len() > LIMIT),
    }
    let path = Path::new(OsStr::from_bytes(path));
    let below = path.strip_prefix("/").unwrap_or(path);
    if below.components().any(|part| part == std::path::Component::ParentDir) {
        return; // What leads out of the data root is the operator's.
    }
    for asked in [root.join(below), root.join("skills").join(below)] {
        for read in [read_text(std::slice::from_ref(&root), &asked, LIMIT, pods), read_text_of(&[root.clone()], &asked, "SKILL.md", LIMIT, pods)] {
            assert!(!read.is_ok_and(|text| text.contains(SECRET) || text.len() > 3 * LIMIT), "{asked:?}");
        }
        assert!(!names_in(std::slice::from_ref(&root), &asked, 9).is_ok_and(|(_, others)| others.contains(&"secret".to_owned())));
    }
});
