//! The tail over a real file, driven by random actions, against an exact model. The clock is an argument: an hour of
//! polling takes no time.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::tail::{Driver, record_of};
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{FileSource, VolumePath};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Action {
    Write(u8),
    HalfWrite(u8),
    SplitCharacter(u8),
    LongLine,
    Burst,
    Rename,
    Truncate(u8),
    Delete,
    Recreate { repeat: u8 },
    Settle,
    Wait,
    Resume,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (1u8..5).prop_map(Action::Write),
        4 => any::<u8>().prop_map(Action::HalfWrite),
        3 => (1u8..4).prop_map(Action::SplitCharacter),
        1 => Just(Action::LongLine),
        1 => Just(Action::Burst),
        1 => Just(Action::Rename),
        2 => any::<u8>().prop_map(Action::Truncate),
        1 => Just(Action::Delete),
        3 => any::<u8>().prop_map(|repeat| Action::Recreate { repeat }),
        6 => Just(Action::Settle),
        1 => Just(Action::Wait),
        1 => Just(Action::Resume),
    ]
}

/// The files of the world: what each holds, and which one has the name.
struct World {
    path: PathBuf,
    files: Vec<Vec<u8>>,
    named: Option<usize>,
    moved: usize,
    lines: u32,
}

impl World {
    fn append(&mut self, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .expect("the log");
        file.write_all(bytes).expect("written");
        let named = *self.named.get_or_insert_with(|| {
            self.files.push(Vec::new());
            self.files.len() - 1
        });
        self.files[named].extend_from_slice(bytes);
    }

    fn line(&mut self) -> String {
        self.lines += 1;
        format!("{{\"line\":{},\"text\":\"日本 🎉\"}}\n", self.lines)
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Write(count) => {
                let text: String = (0..*count).map(|_| self.line()).collect();
                self.append(text.as_bytes());
            }
            Action::HalfWrite(part) => {
                let line = self.line();
                self.append(&line.as_bytes()[..usize::from(*part) % line.len()]);
            }
            Action::SplitCharacter(at) => self.append(&"🎉".as_bytes()[..usize::from(*at)]),
            Action::LongLine => {
                // No two of them hold the same bytes: a file that was cut and has grown again shows by these.
                let line = self.line();
                let filler = format!("{}-", self.lines).repeat(90_000 / 3);
                let line = format!("{filler}{line}");
                self.append(line.as_bytes());
            }
            Action::Burst => {
                let text: String = (0..2_000).map(|_| self.line()).collect();
                self.append(text.as_bytes());
            }
            Action::Rename if self.named.take().is_some() => {
                self.moved += 1;
                fs::rename(&self.path, self.path.with_extension(self.moved.to_string())).expect("renamed");
            }
            Action::Delete if self.named.take().is_some() => fs::remove_file(&self.path).expect("removed"),
            Action::Truncate(part) => {
                let Some(named) = self.named else { return };
                let length = self.files[named].len() * usize::from(*part) / 256;
                self.files[named].truncate(length);
                let file = OpenOptions::new().write(true).open(&self.path).expect("the log");
                file.set_len(length as u64).expect("truncated");
            }
            Action::Recreate { repeat } => {
                // Another file under the name, which begins as the old one did.
                let old = self
                    .named
                    .map(|named| self.files[named].clone())
                    .unwrap_or_default();
                let content = old[..old.len() * usize::from(*repeat) / 255].to_vec();
                let new = self.path.with_extension("new");
                fs::write(&new, &content).expect("written");
                fs::rename(&new, &self.path).expect("renamed");
                self.files.push(content);
                self.named = Some(self.files.len() - 1);
            }
            Action::Rename | Action::Delete | Action::Settle | Action::Wait | Action::Resume => {}
        }
    }
}

/// What a tail must have given after it has seen the world.
#[derive(Default)]
struct Model {
    held: Option<usize>,
    read: Vec<u8>,
    partial: Vec<u8>,
    given: Vec<Vec<u8>>,
    owed: HashMap<Vec<u8>, usize>,
    text: Vec<u8>,
}

impl Model {
    fn see(&mut self, world: &World) {
        // A file that was rewritten and then lost its name is not read on: nothing fresh can tell what it holds.
        let is_read_on = |held: usize| {
            world.named.is_none_or(|named| named == held) || world.files[held].starts_with(&self.read)
        };
        if let Some(held) = self.held.filter(|held| is_read_on(*held)) {
            self.see_file(&world.files[held]);
        }
        if let Some(named) = world.named
            && self.held != Some(named)
        {
            if self.held.replace(named).is_some() {
                self.restart();
            }
            self.see_file(&world.files[named]);
        }
    }

    fn see_file(&mut self, content: &[u8]) {
        if !content.starts_with(&self.read) {
            self.restart();
        }
        for byte in &content[self.read.len()..] {
            self.partial.push(*byte);
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.partial);
                self.line(line);
            }
        }
        self.read = content.to_vec();
    }

    fn line(&mut self, line: Vec<u8>) {
        if let Some(owed) = self.owed.get_mut(&line).filter(|owed| **owed > 0) {
            *owed -= 1;
            return;
        }
        self.text.extend_from_slice(&line);
        self.given.push(line);
    }

    /// No line that was given is given again.
    fn restart(&mut self) {
        self.read.clear();
        self.partial.clear();
        self.owed.clear();
        for line in &self.given {
            *self.owed.entry(line.clone()).or_default() += 1;
        }
    }

    fn finish(&mut self) {
        if !self.partial.is_empty() {
            let mut line = std::mem::take(&mut self.partial);
            line.push(b'\n');
            self.line(line);
        }
    }

    fn text(&self) -> String {
        // Line by line, as a reader of whole lines decodes.
        self.text
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

fn driver(path: &std::path::Path, buffer: usize) -> Driver {
    let path = VolumePath::below(path.parent().expect("a folder"), path).expect("a path");
    Driver::with(
        FileSource::new(path, true),
        TailOptions {
            appear: None,
            ..TailOptions::default()
        },
        buffer,
    )
}

fn play(actions: &[Action], buffer: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.pod.ndjson");
    let mut world = World {
        path: path.clone(),
        files: Vec::new(),
        named: None,
        moved: 0,
        lines: 0,
    };
    let (mut tail, mut model) = (driver(&path, buffer), Model::default());
    for action in actions {
        world.act(action);
        match action {
            Action::Wait => tail.now += Duration::from_secs(45),
            Action::Settle => {
                tail.settle();
                model.see(&world);
                assert_eq!(tail.text, model.text());
            }
            Action::Resume => {
                // The server was restarted: a new tail folds the file from its start.
                finish(&mut tail, &mut model, &world);
                (tail, model) = (driver(&path, buffer), Model::default());
            }
            _ => {}
        }
    }
    finish(&mut tail, &mut model, &world);
}

fn finish(tail: &mut Driver, model: &mut Model, world: &World) {
    model.see(world);
    model.finish();
    let (proof, _) = tail.finish(FinishRule::Drain);
    assert_eq!(proof, Proof::Unproven);
    assert_eq!(tail.text, model.text());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_once_whatever_happens_to_the_file(
        actions in proptest::collection::vec(action(), 1..40),
        buffer in prop_oneof![Just(256_usize), Just(4_096), Just(64 << 10)],
    ) {
        play(&actions, buffer);
    }

    #[test]
    fn a_log_that_only_grows_is_proven(
        actions in proptest::collection::vec(action(), 1..40),
        late in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.pod.ndjson");
        let mut world = World { path: path.clone(), files: Vec::new(), named: None, moved: 0, lines: 0 };
        world.append(b"");
        let mut tail = driver(&path, 4_096);
        for action in &actions {
            match action {
                Action::Settle => tail.settle(),
                Action::Rename | Action::Delete | Action::Truncate(_) | Action::Recreate { .. } => {}
                action => world.act(action),
            }
        }
        let content = world.files[0].clone();
        let record = record_of(&content);
        if late {
            // Something that outlived opencode still writes.
            tail.settle();
            world.append(b"a late grandchild\n");
        }
        let (proof, _) = tail.finish(record);
        prop_assert_eq!(proof, Proof::Proven);
        let mut model = Model::default();
        model.see_file(&content);
        model.finish();
        prop_assert_eq!(tail.text, model.text());
    }
}

#[test]
fn what_a_removed_file_holds_is_read_to_its_end_also_after_a_doubt() {
    let content = [Action::LongLine, Action::Burst];
    for buffer in [256, 4_096, 64 << 10] {
        for later in content.clone() {
            play(
                &[
                    Action::Write(1),
                    Action::Settle,
                    Action::Truncate(0),
                    later,
                    Action::Delete,
                ],
                buffer,
            );
        }
    }
}
