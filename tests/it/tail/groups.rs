//! Groups of the hub: what crosses to JavaScript together, who waits for whom, and what a closed group takes along.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::support::tail::live::open_files;
use crate::support::tail::live::{eventually, file, options};
use opencode_k8s::tail::follower::CHUNK;
use opencode_k8s::tail::hub::Group;
use opencode_k8s::tail::{Hub, TailOptions};

/// What a group was given, batch by batch.
type Batches = Arc<Mutex<Vec<Vec<(u32, String)>>>>;

fn group(hub: &Hub) -> (Group, Batches) {
    let batches = Batches::default();
    let kept = batches.clone();
    let group = Group::new(hub, move |batch| {
        let batch = batch.into_iter().map(|(id, look)| (id, look.text)).collect();
        kept.lock().expect("the batches").push(batch);
    });
    (group, batches)
}

#[test]
fn one_tick_of_many_files_is_one_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::default();
    let (group, batches) = group(&hub);
    let slow = TailOptions {
        poll: Duration::from_millis(200),
        idle_poll: Duration::from_millis(200),
        ..options()
    };
    let count = 144;
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(
            group
                .follow(file(folder.path(), &n.to_string(), ""), n.to_string(), slow)
                .expect("a tail"),
        );
    }
    // Between two ticks all files grow.
    std::thread::sleep(Duration::from_millis(450));
    for n in 0..count {
        fs::write(folder.path().join(n.to_string()), format!("{n}\n")).expect("written");
    }
    let lines = || {
        batches
            .lock()
            .expect("the batches")
            .iter()
            .map(Vec::len)
            .sum::<usize>()
    };
    eventually("all lines", || {
        let had = lines();
        group.arrived();
        had == count
    });
    // The files may have been written across some ticks; a batch is cut when looking takes long.
    assert!(batches.lock().expect("the batches").len() < count / 2);
}

#[test]
fn a_tail_whose_lines_are_not_taken_holds_up_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::default();
    let (group, batches) = group(&hub);
    let long = "x".repeat(99) + "\n";
    let slow = group
        .follow(
            file(folder.path(), "slow", &long.repeat(20_000)),
            "slow".to_owned(),
            options(),
        )
        .expect("a tail");
    let quick = group
        .follow(
            file(folder.path(), "quick", &long.repeat(20_000)),
            "quick".to_owned(),
            options(),
        )
        .expect("a tail");
    let bytes = |id| {
        let batches = batches.lock().expect("the batches");
        batches
            .iter()
            .flatten()
            .filter(|(of, _)| *of == id)
            .map(|(_, text)| text.len())
            .sum::<usize>()
    };
    eventually("the quick one's lines", || {
        group.arrived();
        group.taken(&[quick]);
        bytes(quick) == 2_000_000
    });
    // One batch is with its consumer; the next is read and waits, and no more than that.
    assert!(bytes(slow) <= CHUNK);
    eventually("the slow one's lines", || {
        group.arrived();
        group.taken(&[slow]);
        bytes(slow) == 2_000_000
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_group_that_is_closed_takes_its_tails_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::default();
    let (group, batches) = group(&hub);
    for n in 0..50 {
        group
            .follow(
                file(folder.path(), &n.to_string(), "one\n"),
                n.to_string(),
                options(),
            )
            .expect("a tail");
    }
    eventually("a batch", || !batches.lock().expect("the batches").is_empty());
    group.close();
    assert_eq!(hub.tails(), 0);
    eventually("the closes", || open_files(folder.path()) == 0);
    let had = batches.lock().expect("the batches").len();
    group.arrived();
    assert_eq!(batches.lock().expect("the batches").len(), had);
}
