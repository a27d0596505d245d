//! What *proven* means: the lines that were given are the file's lines, each once, in order, and the file is the end
//! record's. Whatever a volume shows meanwhile, a fold ends with the file's lines.

use std::time::Duration;

use crate::support::tail::faulty::{Faulty, HEAD, Server, all, given};
use crate::support::tail::{Driver, record_of};
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{Freshness, SourceError};
use proptest::prelude::*;
use rustix::io::Errno;

fn counted(bytes: &[u8]) -> FinishRule {
    FinishRule::Prove {
        bytes: bytes.len() as u64,
        sha256: None,
        limit: None,
    }
}

#[test]
fn an_older_view_for_less_than_half_the_limit_changes_nothing() {
    let lines: String = (0..70_000).map(|line| format!("{{\"line\":{line}}}\n")).collect();
    let old = lines.as_bytes()[..lines.len() / 2].to_vec();
    let nuls = [&lines.as_bytes()[..lines.len() - 4_096], &[0; 4_096]].concat();
    for (shown, inode) in [(old.clone(), 1), (nuls, 1), (old, 2), (Vec::new(), 3)] {
        let source = Faulty::new(lines.as_bytes());
        let mut tail = Driver::new(source.clone());
        tail.settle();
        source.set(|server| (server.shown, server.inode) = (Some(shown), inode));
        tail.run(Duration::from_secs(30));
        source.set(|server| (server.shown, server.inode) = (None, 1));
        tail.run(Duration::from_secs(3));
        assert_eq!(tail.notices, Vec::<String>::new());
        let (proof, took) = tail.finish(record_of(lines.as_bytes()));
        assert_eq!(
            (proof, tail.text == lines, tail.of_file == lines),
            (Proof::Proven, true, true)
        );
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn identities_that_never_stay_are_no_other_file() {
    for freshness in [Freshness::Cached, Freshness::Local] {
        for rule in [record_of(all().as_bytes()), FinishRule::Drain] {
            let mut source = Faulty::new(HEAD.as_bytes());
            source.1 = freshness;
            source.set(|server| server.inodes_change = true);
            let mut tail = Driver::new(source.clone());
            tail.run(Duration::from_secs(100));
            source.set(|server| server.bytes = all().into_bytes());
            let is_record = matches!(rule, FinishRule::Prove { .. });
            let (proof, took) = tail.finish(rule);
            let proven = if is_record { Proof::Proven } else { Proof::Unproven };
            assert_eq!((proof, tail.text.as_str()), (proven, given().as_str()));
            assert!(took < Duration::from_secs(2), "{took:?}");
            assert_eq!(tail.notices, Vec::<String>::new());
        }
    }
}

#[test]
fn a_rewritten_log_is_not_proven_and_the_fold_is_of_what_it_holds() {
    let new = format!("{}one line more\n", HEAD.lines().next().expect("a line"));
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    source.set(|server| server.bytes = new.clone().into_bytes());
    let (proof, _) = tail.finish(record_of(new.as_bytes()));
    assert_eq!((proof, tail.of_file.as_str()), (Proof::Unproven, new.as_str()));
    let said = tail.notices.last().map(String::as_str);
    assert_eq!(
        said,
        Some("lines were given out that the log does not hold, or not in its order")
    );
}

#[test]
fn fewer_lines_than_were_given_are_not_proven() {
    // The log was replaced by a copy, and opencode went on writing to the old one.
    let source = Faulty::new(all().as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    source.set(|server| {
        server.bytes = HEAD.as_bytes().to_vec();
        server.inode += 1;
    });
    let (proof, _) = tail.finish(record_of(HEAD.as_bytes()));
    assert_eq!((proof, tail.of_file.as_str()), (Proof::Unproven, HEAD));
}

#[test]
fn what_follows_the_record_and_was_given_is_not_folded() {
    let source = Faulty::new(format!("{}\nlate\n", all()).as_bytes());
    let mut tail = Driver::new(source);
    tail.settle();
    let before = tail.text.clone();
    let (proof, _) = tail.finish(record_of(all().as_bytes()));
    assert_eq!(
        (proof, tail.of_file.as_str()),
        (Proof::Unproven, given().as_str())
    );
    assert_eq!(tail.text, before, "nothing comes twice");
}

#[test]
fn other_bytes_of_the_same_number_are_never_proven() {
    let right = format!("right\n{}", all().repeat(3));
    let wrong = right.replace("right", "wrong");
    for late in ["", "\nlate\n"] {
        let source = Faulty::new(format!("{wrong}{late}").as_bytes());
        let mut tail = Driver::new(source.clone());
        tail.settle();
        // Healed: the file has the record's bytes now, and what was missing is given and folded.
        source.set(|server| server.bytes = format!("{right}{late}").into_bytes());
        let (proof, _) = tail.finish(record_of(right.as_bytes()));
        assert_eq!(
            (proof, tail.of_file.as_str()),
            (Proof::Unproven, format!("{right}\n").as_str())
        );
        assert!(tail.text.contains("right\n"));
    }
    // Not healed: even the file does not have them.
    let mut tail = Driver::new(Faulty::new(wrong.as_bytes()));
    tail.settle();
    let (proof, took) = tail.finish(record_of(right.as_bytes()));
    let (have, want) = (right.len() as u64, right.len() as u64);
    assert_eq!(proof, Proof::Incomplete { have, want });
    assert!(took < Duration::from_secs(90) && tail.looks < 100, "{took:?}");
}

#[test]
fn without_a_digest_it_is_counted_and_with_nuls_not_even_that() {
    let source = Faulty::new(all().as_bytes());
    let mut tail = Driver::new(source);
    let (proof, _) = tail.finish(counted(all().as_bytes()));
    assert_eq!((proof, tail.text), (Proof::Counted, given()));
    let with_nuls = all().replace("event", "\0\0\0\0\0");
    let mut tail = Driver::new(Faulty::new(with_nuls.as_bytes()));
    let (proof, _) = tail.finish(counted(with_nuls.as_bytes()));
    assert_eq!(proof, Proof::Unproven);
}

#[test]
fn nuls_for_which_the_record_vouches_are_taken_at_once() {
    let log = format!("one\n\0\0\n{}", all());
    let mut tail = Driver::new(Faulty::new(log.as_bytes()));
    tail.run(Duration::from_secs(3));
    assert_eq!(tail.text, "one\n", "they may pass");
    let (proof, took) = tail.finish(record_of(log.as_bytes()));
    assert_eq!((proof, tail.text), (Proof::Proven, format!("{log}\n")));
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_file_of_nuls_holds_no_end() {
    for freshness in [Freshness::Local, Freshness::Cached] {
        for rule in [
            FinishRule::Drain,
            FinishRule::Settle {
                quiet: Duration::from_secs(3),
            },
            FinishRule::Prove {
                bytes: 1 << 43,
                sha256: None,
                limit: None,
            },
        ] {
            let mut source = Faulty::new(HEAD.as_bytes());
            source.1 = freshness;
            // Without the digest, which takes its time in a test build.
            let options = TailOptions {
                digest: false,
                ..TailOptions::default()
            };
            let mut tail = Driver::with(source.clone(), options, 64 << 10);
            tail.settle();
            source.set(|server| (server.frozen_size, server.endless_nuls) = (Some(1 << 43), true));
            tail.run(Duration::from_secs(40));
            let (proof, took) = tail.finish(rule);
            assert_ne!(proof, Proof::Proven);
            assert!(took < Duration::from_secs(70), "{took:?}");
        }
    }
}

/// What a mount shows for a while.
#[derive(Debug, Clone)]
enum View {
    True,
    Shorter(u8),
    Nuls(u8),
    OtherIdentity(bool),
    Unstable,
    Fails(u8),
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![
        3 => Just(View::True),
        2 => any::<u8>().prop_map(View::Shorter),
        2 => any::<u8>().prop_map(View::Nuls),
        1 => any::<bool>().prop_map(View::OtherIdentity),
        1 => Just(View::Unstable),
        1 => (1u8..20).prop_map(View::Fails),
    ]
}

fn show(server: &mut Server, view: &View) {
    (server.shown, server.inode, server.inodes_change, server.error) = (None, 1, false, None);
    let part = |part: u8| server.bytes.len() * usize::from(part) / 256;
    match view {
        View::True => {}
        View::Shorter(at) => server.shown = Some(server.bytes[..part(*at)].to_vec()),
        View::Nuls(at) => {
            let mut bytes = server.bytes.clone();
            bytes[part(*at)..].fill(0);
            server.shown = Some(bytes);
        }
        View::OtherIdentity(is_empty) => {
            server.inode = 2;
            server.shown = is_empty.then(Vec::new);
        }
        View::Unstable => server.inodes_change = true,
        View::Fails(times) => server.error = Some((SourceError::Io(Errno::STALE), (*times).into())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A volume that lies for less than half its limit at a time, and a log that only grows.
    #[test]
    fn what_passes_in_time_costs_no_proof(
        steps in proptest::collection::vec((view(), 1u64..30, 0usize..4), 1..12),
        is_local in any::<bool>(),
    ) {
        let mut source = Faulty::new(b"");
        source.1 = if is_local { Freshness::Local } else { Freshness::Cached };
        let mut tail = Driver::new(source.clone());
        let mut number = 0;
        for (view, time, lines) in &steps {
            source.set(|server| {
                for _ in 0..*lines {
                    number += 1;
                    server.bytes.extend_from_slice(format!("{{\"line\":{number}}}\n").as_bytes());
                }
                show(server, view);
            });
            let time = if is_local { Duration::from_millis(time * 80) } else { Duration::from_secs(*time) };
            tail.run(time);
            source.set(|server| show(server, &View::True));
            // A handle is renewed within 2 s.
            tail.run(Duration::from_secs(5));
        }
        let log = source.0.lock().expect("the server").bytes.clone();
        let log = String::from_utf8(log).expect("text");
        let (proof, _) = tail.finish(record_of(log.as_bytes()));
        prop_assert_eq!((proof, tail.text.as_str(), tail.of_file.as_str()), (Proof::Proven, log.as_str(), log.as_str()));
    }

    /// A volume that lies for as long as it likes, and a log that is rewritten and replaced.
    #[test]
    fn proven_is_the_files_lines_and_a_fold_is_of_the_file(
        steps in proptest::collection::vec((view(), 1u64..80, 0usize..4, 0u8..8, any::<u8>()), 1..12),
        has_digest in any::<bool>(),
    ) {
        let source = Faulty::new(b"");
        let mut tail = Driver::new(source.clone());
        let mut number = 0;
        for (view, time, lines, change, part) in &steps {
            source.set(|server| {
                let kept = server.bytes.len() * usize::from(*part) / 256;
                match change {
                    0 => server.bytes.truncate(kept),
                    1 => drop(server.bytes.drain(..kept)),
                    _ => {}
                }
                for _ in 0..*lines {
                    number += 1;
                    server.bytes.extend_from_slice(format!("{{\"line\":{number}}}\n").as_bytes());
                }
                show(server, view);
            });
            tail.run(Duration::from_secs(*time));
        }
        source.set(|server| show(server, &View::True));
        let log = source.0.lock().expect("the server").bytes.clone();
        let lossy = String::from_utf8_lossy(&log).into_owned();
        let lossy = if lossy.is_empty() || lossy.ends_with('\n') { lossy } else { format!("{lossy}\n") };
        let (proof, took) = tail.finish(if has_digest { record_of(&log) } else { counted(&log) });
        prop_assert!(took < Duration::from_secs(120), "{:?}", took);
        if matches!(proof, Proof::Proven) {
            prop_assert_eq!(&tail.text, &lossy);
        }
        if has_digest {
            prop_assert!(matches!(proof, Proof::Proven | Proof::Unproven), "{:?}", proof);
            prop_assert_eq!(&tail.of_file, &lossy);
        }
    }
}
