//! A source that plays the faults of network file systems. Whatever it does, a tail ends proven with equal bytes or
//! in a named state, within a bounded number of looks, and never says that all is there when it is not.

use std::time::Duration;

use crate::support::tail::faulty::{Faulty, HEAD, Server, all, given, proven};
use crate::support::tail::{Driver, record_of};
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{Freshness, SourceError};
use rustix::io::Errno;

/// Reads the head, then the fault comes with the rest of the log; it goes away after `heals`.
fn play(fault: impl FnOnce(&mut Server), heals: Duration, heal: impl FnOnce(&mut Server)) -> Driver {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    source.set(|server| {
        server.bytes = all().into_bytes();
        fault(server);
    });
    tail.run(heals);
    source.set(heal);
    tail
}

#[test]
fn a_frozen_size_hides_nothing() {
    for size in [0, HEAD.len() as u64, 1 << 40] {
        let mut tail = play(
            |server| server.frozen_size = Some(size),
            Duration::from_secs(20),
            |_| {},
        );
        assert_eq!(
            tail.text,
            format!("{HEAD}{}", "{\"event\":3}\n"),
            "read although the size is {size}"
        );
        assert_eq!(tail.notices, Vec::<String>::new());
        let (proof, _) = tail.finish(record_of(all().as_bytes()));
        assert_eq!((proof, tail.text), (Proof::Proven, given()));
    }
}

#[test]
fn frozen_data_that_thaws_within_the_limit_is_proven() {
    let source = Faulty::new(all().as_bytes());
    source.set(|server| server.frozen_data = Some(HEAD.len() + 3));
    let mut tail = Driver::new(source.clone());
    tail.settle();
    tail.followed.end(record_of(all().as_bytes()), tail.now);
    tail.run(Duration::from_secs(35));
    assert_eq!((&tail.end, tail.text.as_str()), (&None, HEAD));
    source.set(|server| server.frozen_data = None);
    tail.run(Duration::from_secs(5));
    assert_eq!((tail.end, tail.text), (Some(Proof::Proven), given()));
}

#[test]
fn frozen_data_that_never_thaws_is_incomplete_after_the_limit() {
    for (freshness, limit) in [
        (Freshness::Cached, 65),
        (Freshness::Coherent, 5),
        (Freshness::Local, 5),
    ] {
        let mut source = Faulty::new(all().as_bytes());
        source.1 = freshness;
        source.set(|server| server.frozen_data = Some(HEAD.len()));
        let mut tail = Driver::new(source);
        tail.settle();
        let (proof, took) = tail.finish(record_of(all().as_bytes()));
        assert_eq!(
            proof,
            Proof::Incomplete {
                have: HEAD.len() as u64,
                want: all().len() as u64
            }
        );
        assert!(
            took >= Duration::from_secs(limit) && took <= Duration::from_secs(limit + 2),
            "{took:?}"
        );
        assert_eq!(tail.text, HEAD);
    }
}

#[test]
fn enoent_for_60_s_after_it_existed_is_said_once_and_survived() {
    let tail = play(
        |server| server.exists = false,
        Duration::from_secs(60),
        |server| server.exists = true,
    );
    assert_eq!(
        tail.notices,
        ["reading the log file failed (no such file); trying again"]
    );
    proven(tail);
}

#[test]
fn errors_are_said_once_per_kind_and_retried() {
    for errno in [Errno::STALE, Errno::IO, Errno::ACCESS] {
        for times in [1, 2, 500] {
            let fault = |server: &mut Server| server.error = Some((SourceError::Io(errno), times));
            let mut tail = play(fault, Duration::from_secs(30), |_| {});
            assert_eq!(tail.notices.len(), 1, "{errno} {times} times");
            tail.run(Duration::from_secs(600));
            assert_eq!((tail.end.as_ref(), tail.notices.len()), (None, 1));
            proven(tail);
        }
    }
    let two = |server: &mut Server| server.error = Some((SourceError::Io(Errno::IO), 3));
    let stale = |server: &mut Server| server.error = Some((SourceError::Io(Errno::STALE), 3));
    let mut tail = play(two, Duration::from_secs(30), stale);
    tail.run(Duration::from_secs(30));
    assert_eq!(tail.notices.len(), 2, "another kind is said again");
    proven(tail);
}

#[test]
fn an_error_that_stays_ends_in_a_named_state() {
    let endless = |server: &mut Server| server.error = Some((SourceError::Io(Errno::IO), u32::MAX));
    let ended = |ending: FinishRule| {
        let mut tail = play(endless, Duration::from_secs(5), |_| {});
        let (proof, took) = tail.finish(ending);
        assert_eq!(tail.text, HEAD);
        (proof, took)
    };
    let (proof, took) = ended(record_of(all().as_bytes()));
    assert!(matches!(proof, Proof::Incomplete { .. }) && took < Duration::from_secs(70));
    let (proof, took) = ended(FinishRule::Drain);
    assert!(took <= Duration::from_secs(2), "{took:?}");
    let Proof::Failed(message) = proof else {
        panic!("a stop must not pass for the whole log: {proof:?}")
    };
    assert!(
        message.starts_with("Pod log file at /shown could not be read to its end: "),
        "{message}"
    );
    let (proof, took) = ended(FinishRule::Settle {
        quiet: Duration::from_secs(3),
    });
    assert!(proof == Proof::Unproven && took < Duration::from_secs(70));
}

#[test]
fn short_reads_are_no_end_of_the_file() {
    for short in [1, 2, 63, 64, 65] {
        proven(play(
            |server| server.short = Some(short),
            Duration::from_secs(5),
            |_| {},
        ));
    }
}

#[test]
fn a_character_may_become_visible_in_two_parts() {
    for cut in 0..all().len() {
        let source = Faulty::new(all().as_bytes());
        source.set(|server| server.frozen_data = Some(cut));
        let mut tail = Driver::new(source.clone());
        tail.settle();
        source.set(|server| server.frozen_data = None);
        proven(tail);
    }
}

#[test]
fn a_page_of_nuls_that_heals_is_never_given_out() {
    let tail = play(
        |server| server.nuls = Some((HEAD.len() + 4, 3)),
        Duration::from_secs(10),
        |_| {},
    );
    assert!(!tail.text.contains('\0') && tail.notices.is_empty());
    proven(tail);
    // Also when the record is there first, and when somebody just stops.
    let source = Faulty::new(all().as_bytes());
    source.set(|server| server.nuls = Some((HEAD.len(), 5)));
    let mut tail = Driver::new(source);
    let (proof, _) = tail.finish(FinishRule::Drain);
    assert_eq!((proof, tail.text), (Proof::Unproven, given()));
}

#[test]
fn nuls_that_stay_are_content_in_the_end() {
    let source = Faulty::new(b"one\n\0\0\ntwo\n");
    let mut tail = Driver::new(source.clone());
    let (proof, took) = tail.finish(FinishRule::Drain);
    assert_eq!((proof, tail.text.as_str()), (Proof::Unproven, "one\n\0\0\ntwo\n"));
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut tail = Driver::new(source);
    let (proof, _) = tail.finish(record_of(b"one\n\0\0\ntwo\n"));
    assert_eq!((proof, tail.text.as_str()), (Proof::Proven, "one\n\0\0\ntwo\n"));
}

#[test]
fn growth_after_the_record_is_left_out_and_said() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    source.set(|server| server.bytes = format!("{}\nlate\n", all()).into_bytes());
    let (proof, _) = tail.finish(record_of(all().as_bytes()));
    assert_eq!((proof, tail.text), (Proof::Proven, given()));
    assert_eq!(
        tail.notices,
        ["6 bytes follow in the log after its end record; they are not opencode's"]
    );
}

#[test]
fn a_record_without_its_bytes_is_waited_for() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    tail.followed.end(record_of(all().as_bytes()), tail.now);
    tail.run(Duration::from_secs(40));
    source.set(|server| server.bytes = all().into_bytes());
    tail.run(Duration::from_secs(5));
    assert_eq!((tail.end, tail.text), (Some(Proof::Proven), given()));
}

#[test]
fn without_a_record_two_quiet_looks_end_it_unproven() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    tail.followed.end(
        FinishRule::Settle {
            quiet: Duration::from_secs(3),
        },
        tail.now,
    );
    tail.run(Duration::from_secs(2));
    source.set(|server| server.bytes = all().into_bytes());
    tail.run(Duration::from_secs(2));
    assert_eq!(tail.end, None, "it grew, so that it has to be quiet again");
    tail.run(Duration::from_secs(4));
    assert_eq!((tail.end, tail.text), (Some(Proof::Unproven), given()));
}

#[test]
fn a_stranger_who_writes_for_ever_does_not_hold_the_end() {
    for ending in [
        FinishRule::Settle {
            quiet: Duration::from_secs(3),
        },
        record_of(all().as_bytes()),
        FinishRule::Drain,
    ] {
        let source = Faulty::new(HEAD.as_bytes());
        let mut tail = Driver::new(source.clone());
        tail.followed.end(ending.clone(), tail.now);
        while tail.end.is_none() && tail.looks < 4_000 {
            source.set(|server| {
                // Rewrites the whole file, again and again.
                server.inode += 1;
                server.bytes = format!("{}\n", server.inode).repeat(20).into_bytes();
            });
            tail.look();
            if tail.end.is_none() {
                tail.look();
            }
        }
        let is_unproven = tail.end.as_ref().is_some_and(|end| *end != Proof::Proven);
        assert!(
            is_unproven,
            "{ending:?}: {:?} {:?}",
            tail.end,
            &tail.waits[tail.waits.len() - 20..]
        );
    }
}

/// The consumer takes 10 s for each batch: the file is read on when it is done, and nothing ends early.
#[test]
fn a_sink_that_blocks_10_s_for_each_batch_loses_nothing() {
    for freshness in [Freshness::Cached, Freshness::Local] {
        let log = "{\"event\":1}\n".repeat(2_000);
        for ending in [record_of(log.as_bytes()), FinishRule::Drain] {
            let mut source = Faulty::new(log.as_bytes());
            source.1 = freshness;
            let options = TailOptions {
                appear: None,
                ..TailOptions::default()
            };
            let mut tail = Driver::with(source, options, 1_000);
            tail.followed.end(ending.clone(), tail.now);
            while tail.end.is_none() {
                tail.look();
                tail.now += Duration::from_secs(10);
                assert!(tail.looks < 1_000, "the tail hangs");
            }
            let proven = matches!(ending, FinishRule::Prove { .. });
            let proof = if proven { Proof::Proven } else { Proof::Unproven };
            assert_eq!(
                (tail.end, tail.text == log),
                (Some(proof), true),
                "{freshness:?} {ending:?}"
            );
        }
    }
}
