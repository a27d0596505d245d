//! What stands where a prompt's files should be: nothing but a plain small file is read, whoever laid it there.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use opencode_k8s::tail::source::{Ownership, SourceError, names_in, read_text, read_text_of};

const LIMIT: usize = 4 << 10;

/// A data root, and a folder beside it that belongs to the server.
struct Stage {
    _temp: tempfile::TempDir,
    root: PathBuf,
    server: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a folder");
        let [root, server] = ["paperclip", "server"].map(|name| temp.path().join(name));
        for folder in [root.join("agents/a"), server.clone()] {
            fs::create_dir_all(folder).expect("folders");
        }
        fs::write(server.join("SKILL.md"), "SECRET").expect("written");
        fs::write(root.join("agents/a/AGENTS.md"), "BE KIND").expect("written");
        Self {
            _temp: temp,
            root,
            server,
        }
    }

    fn read(&self, path: impl AsRef<Path>) -> Result<String, SourceError> {
        read_text(
            std::slice::from_ref(&self.root),
            path.as_ref(),
            LIMIT,
            Ownership::of_this_process(),
        )
    }

    fn refuses(&self, path: impl AsRef<Path>, why: &str) {
        let path = path.as_ref();
        for read in [
            self.read(path),
            read_text_of(
                std::slice::from_ref(&self.root),
                path,
                "SKILL.md",
                LIMIT,
                Ownership::of_this_process(),
            ),
        ] {
            let error = read.expect_err(&path.display().to_string());
            assert!(error.to_string().contains(why), "{}: {error}", path.display());
        }
    }
}

#[test]
fn a_plain_file_is_read_wherever_it_is() {
    let stage = Stage::new();
    let text = |path: PathBuf| stage.read(path).expect("read");
    assert_eq!(text(stage.root.join("agents/a/AGENTS.md")), "BE KIND");
    assert_eq!(text(stage.root.join("agents/../agents/./a/AGENTS.md")), "BE KIND");
    assert_eq!(text(stage.server.join("SKILL.md")), "SECRET");
    fs::write(stage.server.join("bytes"), b"a\xffb").expect("written");
    assert_eq!(text(stage.server.join("bytes")), "a\u{fffd}b");
    assert_eq!(stage.read(stage.root.join("none")), Err(SourceError::Missing));
    assert_eq!(
        read_text_of(
            std::slice::from_ref(&stage.root),
            &stage.server,
            "SKILL.md",
            LIMIT,
            Ownership::of_this_process()
        )
        .as_deref(),
        Ok("SECRET")
    );
}

#[test]
fn below_the_data_root_no_link_is_followed() {
    let stage = Stage::new();
    let at = |name: &str| stage.root.join(name);
    symlink(stage.server.join("SKILL.md"), at("file")).expect("a link");
    symlink(&stage.server, at("folder")).expect("a link");
    symlink("/proc/self", at("process")).expect("a link");
    symlink("agents/a", at("inside")).expect("a link");
    stage.refuses(at("file"), "symbolic link");
    stage.refuses(at("folder/SKILL.md"), "symbolic link");
    stage.refuses(at("process/environ"), "symbolic link");
    stage.refuses(at("inside/AGENTS.md"), "symbolic link");
    assert!(
        read_text_of(
            std::slice::from_ref(&stage.root),
            &at("folder"),
            "SKILL.md",
            LIMIT,
            Ownership::of_this_process()
        )
        .is_err()
    );
    assert!(names_in(std::slice::from_ref(&stage.root), &at("folder"), 9).is_err());
    // The file of a skill that is a folder.
    fs::create_dir(at("skill")).expect("a folder");
    symlink("/proc/self/environ", at("skill/SKILL.md")).expect("a link");
    stage.refuses(at("skill"), "");
}

#[test]
fn below_the_data_root_a_file_has_one_name() {
    let stage = Stage::new();
    fs::hard_link(stage.server.join("SKILL.md"), stage.root.join("linked")).expect("a link");
    stage.refuses(stage.root.join("linked"), "second hard link");
    // Package managers make their files so.
    assert_eq!(stage.read(stage.server.join("SKILL.md")).as_deref(), Ok("SECRET"));
}

#[test]
fn another_name_of_the_data_root_changes_nothing() {
    let stage = Stage::new();
    let alias = stage.server.join("alias");
    symlink(&stage.root, &alias).expect("a link");
    symlink(&stage.server, stage.root.join("agents/out")).expect("a link");
    assert_eq!(
        stage.read(alias.join("agents/a/AGENTS.md")).as_deref(),
        Ok("BE KIND")
    );
    stage.refuses(alias.join("agents/out/SKILL.md"), "symbolic link");
    stage.refuses(
        stage.root.join("../paperclip/agents/out/SKILL.md"),
        "symbolic link",
    );
    stage.refuses(alias.join("agents/out/../a/../out/SKILL.md"), "symbolic link");
}

#[test]
fn elsewhere_the_file_itself_is_no_link() {
    let stage = Stage::new();
    symlink(stage.server.join("SKILL.md"), stage.server.join("link")).expect("a link");
    assert!(stage.read(stage.server.join("link")).is_err());
    let folder = stage.server.join("folder");
    symlink(".", &folder).expect("a link");
    assert_eq!(stage.read(folder.join("SKILL.md")).as_deref(), Ok("SECRET"));
    assert_eq!(
        read_text_of(
            std::slice::from_ref(&stage.root),
            &folder,
            "SKILL.md",
            LIMIT,
            Ownership::of_this_process()
        )
        .as_deref(),
        Ok("SECRET")
    );
    symlink("endless", stage.server.join("endless")).expect("a link");
    assert!(stage.read(stage.server.join("endless/SKILL.md")).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn the_kernels_own_files_are_never_read() {
    let stage = Stage::new();
    let link = stage.server.join("process");
    symlink("/proc/self", &link).expect("a link");
    let up = stage.server.join("up");
    symlink("/../usr/../proc", &up).expect("a link");
    for path in [
        PathBuf::from("/proc/self/environ"),
        "/usr/../proc/self/environ".into(),
        "/dev/../proc/self/environ".into(),
        "/sys/kernel/notes".into(),
        "/dev/null".into(),
        link.join("environ"),
        up.join("self/environ"),
    ] {
        stage.refuses(&path, "/proc, /sys or /dev");
    }
    // A data root that is chosen badly gives no more.
    let error = read_text(
        &[PathBuf::from("/proc")],
        Path::new("/proc/version"),
        LIMIT,
        Ownership::of_this_process(),
    );
    assert!(error.expect_err("refused").to_string().contains("/proc"));
}

#[test]
fn what_is_no_file_blocks_nothing() {
    let stage = Stage::new();
    let fifo = stage.root.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .expect("mkfifo")
            .success()
    );
    stage.refuses(&fifo, "FIFO");
    assert!(stage.read(stage.root.join("agents")).is_err());
    stage.refuses(&stage.root, "");
    stage.refuses("relative", "not absolute");
}

#[test]
fn a_large_file_is_refused_and_not_read() {
    let stage = Stage::new();
    let path = stage.root.join("large");
    fs::write(&path, vec![b'x'; LIMIT]).expect("written");
    assert_eq!(stage.read(&path).map(|text| text.len()), Ok(LIMIT));
    fs::File::create(&path)
        .expect("a file")
        .set_len(8 << 40)
        .expect("sparse");
    stage.refuses(&path, "larger than 4 KiB");
}

#[test]
fn folders_are_listed_up_to_a_limit() {
    let stage = Stage::new();
    let folder = stage.root.join("agents");
    fs::write(folder.join("file"), "").expect("written");
    symlink("a", folder.join("link")).expect("a link");
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names_in(std::slice::from_ref(&stage.root), &folder, 9),
        Ok((names(&["a"]), names(&["file", "link"])))
    );
    let (folders, others) = names_in(std::slice::from_ref(&stage.root), &folder, 2).expect("listed");
    assert_eq!(folders.len() + others.len(), 2);
    assert_eq!(
        names_in(std::slice::from_ref(&stage.root), &stage.root.join("none"), 9),
        Err(SourceError::Missing)
    );
}
