//! What a tail asks of its file, how often, and what it believes.

use std::time::Duration;

use crate::support::tail::Driver;
use crate::support::tail::faulty::{Faulty, HEAD, all, proven};
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{Freshness, SourceError};
use rustix::io::Errno;

#[test]
fn a_file_that_is_seen_35_s_late_is_read() {
    let source = Faulty::new(all().as_bytes());
    source.set(|server| server.exists = false);
    let mut tail = Driver::new(source.clone());
    tail.run(Duration::from_secs(35));
    assert_eq!((tail.text.as_str(), tail.notices.len()), ("", 0));
    source.set(|server| server.exists = true);
    proven(tail);
}

#[test]
fn a_doubt_is_believed_when_fresh_handles_agree_for_half_the_limit() {
    for (freshness, limit) in [(Freshness::Cached, 32_500), (Freshness::Local, 2_500)] {
        for changes_inode in [false, true] {
            let mut source = Faulty::new(HEAD.as_bytes());
            source.1 = freshness;
            let mut tail = Driver::new(source.clone());
            tail.settle();
            let opens = source.0.lock().expect("the server").opens;
            source.set(|server| {
                server.bytes = b"new\n".to_vec();
                server.inode += u64::from(changes_inode);
            });
            let since = tail.now;
            while tail.text == HEAD {
                assert!(tail.now < since + Duration::from_secs(60));
                tail.look();
            }
            let took = tail.now - since;
            let least = Duration::from_millis(limit);
            // A local file's name is asked for every 2 s.
            assert!(took >= least && took < least + Duration::from_secs(4), "{took:?}");
            assert!(
                source.0.lock().expect("the server").opens > opens,
                "by a fresh handle"
            );
            let why = ["became shorter or was rewritten", "was replaced"][usize::from(changes_inode)];
            assert_eq!(tail.text, format!("{HEAD}new\n"));
            assert_eq!(tail.of_file, "new\n");
            assert_eq!(
                tail.notices,
                [format!("the log file {why}; it is read again from its start")]
            );
        }
    }
}

#[test]
fn a_handle_is_renewed_every_2_s_where_caches_lie_and_every_30_s_elsewhere() {
    for (freshness, opens) in [
        (Freshness::Cached, 28..=31),
        (Freshness::Coherent, 28..=31),
        (Freshness::Local, 2..=3),
    ] {
        let mut source = Faulty::new(HEAD.as_bytes());
        source.1 = freshness;
        let mut tail = Driver::new(source.clone());
        tail.run(Duration::from_secs(60));
        let seen = source.0.lock().expect("the server").opens;
        assert!(opens.contains(&seen), "{freshness:?}: {seen}");
    }
}

/// What a poll costs: one read where reads tell the truth, and what the caches ask for elsewhere.
#[test]
fn a_poll_of_a_local_file_is_one_read_and_its_name_is_asked_for_every_2_s() {
    for (freshness, reads, looks) in [
        (Freshness::Local, 100..=104, 12..=15),
        (Freshness::Cached, 200..=210, 100..=105),
    ] {
        let mut source = Faulty::new(HEAD.as_bytes());
        source.1 = freshness;
        let mut tail = Driver::new(source.clone());
        tail.look();
        source.set(|server| (server.reads, server.looks) = (0, 0));
        for _ in 0..100 {
            source.set(|server| server.bytes.extend_from_slice(b"more\n"));
            let before = tail.text.len();
            while tail.text.len() == before {
                tail.look();
            }
            // Where a read of nothing says that this was all, that is the look after.
            while tail.waits.last().is_some_and(Duration::is_zero) {
                tail.look();
            }
        }
        let server = source.0.lock().expect("the server");
        assert!(
            reads.contains(&server.reads),
            "{freshness:?}: {} reads",
            server.reads
        );
        assert!(
            looks.contains(&server.looks),
            "{freshness:?}: {} looks",
            server.looks
        );
    }
}

#[test]
fn a_copy_that_takes_the_place_of_the_log_is_read_on() {
    for freshness in [Freshness::Local, Freshness::Cached] {
        let mut source = Faulty::new(HEAD.as_bytes());
        source.1 = freshness;
        let mut tail = Driver::new(source.clone());
        tail.run(Duration::from_secs(60));
        source.set(|server| {
            server.inode += 1;
            server.bytes = all().into_bytes();
        });
        tail.run(Duration::from_secs(60));
        assert_eq!(tail.text, format!("{HEAD}{}", "{\"event\":3}\n"));
        assert_eq!(tail.notices, Vec::<String>::new());
        proven(tail);
    }
}

#[test]
fn it_polls_at_250_ms_backs_off_after_five_and_speeds_up_on_growth() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    for _ in 0..8 {
        tail.look();
    }
    source.set(|server| server.bytes = all().into_bytes());
    tail.look();
    tail.look();
    let waits: Vec<u128> = tail.waits.iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [250, 250, 250, 250, 250, 1000, 1000, 1000, 250, 250]);
}

#[test]
fn a_file_that_never_appears_fails_with_its_message_after_30_s() {
    for errno in [None, Some(Errno::ACCESS)] {
        let source = Faulty::new(b"");
        source.set(|server| {
            server.exists = false;
            server.error = errno.map(|errno| (SourceError::Io(errno), u32::MAX));
        });
        let mut tail = Driver::with(source.clone(), TailOptions::default(), 4_096);
        tail.run(Duration::from_millis(29_900));
        assert_eq!(tail.end, None);
        tail.run(Duration::from_millis(400));
        assert_eq!(
            tail.end,
            Some(Proof::Failed("Pod log file never appeared at /shown".to_owned()))
        );
    }
}

#[test]
fn a_file_that_appears_within_30_s_is_followed() {
    let source = Faulty::new(HEAD.as_bytes());
    source.set(|server| server.exists = false);
    let mut tail = Driver::with(source.clone(), TailOptions::default(), 4_096);
    tail.run(Duration::from_millis(29_500));
    source.set(|server| server.exists = true);
    tail.run(Duration::from_secs(60));
    assert_eq!((tail.end.as_ref(), tail.text.as_str()), (None, HEAD));
}

#[test]
fn a_single_line_of_5_mb_comes_whole_and_one_over_16_mib_is_cut_and_said_once() {
    // Without the digest, which takes its time in a test build.
    let options = TailOptions {
        digest: false,
        ..TailOptions::default()
    };
    let line = format!("{}\n", "x".repeat(5 << 20));
    let mut tail = Driver::with(Faulty::new(line.as_bytes()), options, 1 << 20);
    tail.finish(FinishRule::Drain);
    assert!(tail.text == line);
    let long = format!("{}\nnext\n", "y".repeat(17 << 20));
    let log = format!("{long}{long}");
    let mut tail = Driver::with(Faulty::new(log.as_bytes()), options, 1 << 20);
    tail.finish(FinishRule::Drain);
    let lines: Vec<&str> = tail.text.lines().collect();
    assert_eq!((lines.len(), lines[1], lines[3]), (4, "next", "next"));
    assert!(
        lines[0].ends_with("…[line cut: it is longer than the limit]") && lines[0].len() < (16 << 20) + 64
    );
    assert_eq!(tail.notices, ["a line of the log is over 16 MiB and was cut"]);
}
