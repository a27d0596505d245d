//! A source that plays the faults of network file systems. Whatever it does, a tail ends proven with equal bytes or
//! in a named state, within a bounded number of looks, and never says that all is there when it is not.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::allow_attributes,
    reason = "a test sets the stage itself and fails loudly"
)]

mod tail;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opencode_k8s::tail::Pace;
use opencode_k8s::tail::followed::{Ending, Proof};
use opencode_k8s::tail::source::{Freshness, LogSource, Seen, SourceError};
use rustix::io::Errno;
use tail::{Driver, record_of};

/// What the file server holds, and how badly the mount shows it.
#[derive(Default)]
struct Server {
    bytes: Vec<u8>,
    exists: bool,
    inode: u64,
    /// The size that `look` tells, whatever is true.
    frozen_size: Option<u64>,
    /// How much of the data can be read.
    frozen_data: Option<usize>,
    /// Bytes from here on are NUL until the path is opened so many times more.
    nuls: Option<(usize, u32)>,
    /// A read gives at most this much.
    short: Option<usize>,
    /// What a look, an open or a read answers, so many times.
    error: Option<(SourceError, u32)>,
    opens: u32,
    looks: u32,
    reads: u32,
}

#[derive(Clone)]
struct Faulty(Arc<Mutex<Server>>, Freshness, bool);

impl Faulty {
    fn new(bytes: &[u8]) -> Self {
        let server = Server {
            bytes: bytes.to_vec(),
            exists: true,
            inode: 1,
            ..Server::default()
        };
        Self(Arc::new(Mutex::new(server)), Freshness::Cached, false)
    }

    fn set(&self, change: impl FnOnce(&mut Server)) {
        change(&mut self.0.lock().expect("the server"));
    }

    fn ask<T>(&self, answer: impl FnOnce(&mut Server) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let mut server = self.0.lock().expect("the server");
        if let Some((error, times)) = &mut server.error
            && *times > 0
        {
            *times -= 1;
            return Err(error.clone());
        }
        if server.exists {
            answer(&mut server)
        } else {
            Err(SourceError::Missing)
        }
    }
}

fn seen(server: &Server) -> Seen {
    let size = server.frozen_size.unwrap_or(server.bytes.len() as u64);
    Seen {
        identity: (1, server.inode),
        size,
        links: 1,
    }
}

impl LogSource for Faulty {
    fn look(&mut self) -> Result<Seen, SourceError> {
        self.ask(|server| {
            server.looks += 1;
            Ok(seen(server))
        })
    }

    fn open(&mut self) -> Result<Seen, SourceError> {
        let seen = self.ask(|server| {
            server.opens += 1;
            if let Some((_, left)) = &mut server.nuls {
                *left = left.saturating_sub(1);
            }
            Ok(seen(server))
        });
        self.2 = seen.is_ok();
        seen
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        assert!(self.2, "read without a handle");
        let read = self.ask(|server| {
            server.reads += 1;
            let visible = server.bytes.len().min(server.frozen_data.unwrap_or(usize::MAX));
            let rest = server.bytes[..visible].get(offset as usize..).unwrap_or_default();
            let length = rest
                .len()
                .min(buffer.len())
                .min(server.short.unwrap_or(usize::MAX));
            buffer[..length].copy_from_slice(&rest[..length]);
            if let Some((from, 1..)) = server.nuls {
                let kept = from.saturating_sub(offset as usize).min(length);
                buffer[kept..length].fill(0);
            }
            Ok(length)
        });
        self.2 = read.is_ok();
        read
    }

    fn close(&mut self) {
        self.2 = false;
    }

    fn freshness(&self) -> Freshness {
        self.1
    }

    fn mount(&self) -> &str {
        "/mount"
    }
}

const HEAD: &str = "{\"event\":1}\n{\"event\":\"日本 🎉\"}\n";
const REST: &str = "{\"event\":3}\n{\"event\":4,\"half";

fn all() -> String {
    format!("{HEAD}{REST}")
}

fn given() -> String {
    format!("{HEAD}{REST}\n")
}

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

fn proven(mut tail: Driver) {
    let (proof, _) = tail.finish(record_of(all().as_bytes()));
    assert_eq!((proof, tail.text.as_str()), (Proof::Proven, given().as_str()));
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
    let ended = |ending: Ending| {
        let mut tail = play(endless, Duration::from_secs(5), |_| {});
        let (proof, took) = tail.finish(ending);
        assert_eq!(tail.text, HEAD);
        (proof, took)
    };
    let (proof, took) = ended(record_of(all().as_bytes()));
    assert!(matches!(proof, Proof::Incomplete { .. }) && took < Duration::from_secs(70));
    let (proof, took) = ended(Ending::Drain);
    assert!(took <= Duration::from_secs(2), "{took:?}");
    let Proof::Failed(message) = proof else {
        panic!("a stop must not pass for the whole log: {proof:?}")
    };
    assert!(
        message.starts_with("Pod log file at /shown could not be read to its end: "),
        "{message}"
    );
    let (proof, took) = ended(Ending::Settle {
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
    let (proof, _) = tail.finish(Ending::Drain);
    assert_eq!((proof, tail.text), (Proof::Unproven, given()));
}

#[test]
fn nuls_that_stay_are_content_in_the_end() {
    let source = Faulty::new(b"one\n\0\0\ntwo\n");
    let mut tail = Driver::new(source.clone());
    let (proof, took) = tail.finish(Ending::Drain);
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
fn a_record_that_comes_late_is_compared_with_what_was_read() {
    let source = Faulty::new(format!("{}\nlate\n", all()).as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    let (proof, _) = tail.finish(record_of(all().as_bytes()));
    assert_eq!(proof, Proof::Proven);
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
fn other_bytes_of_the_same_number_are_never_proven() {
    let right = format!("right\n{}", all().repeat(3));
    let wrong = right.replace("right", "wrong");
    let source = Faulty::new(wrong.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    // Healed or not: what was given out is not what the record counts.
    source.set(|server| server.bytes = right.clone().into_bytes());
    let (proof, _) = tail.finish(record_of(right.as_bytes()));
    assert_eq!(
        proof,
        Proof::Incomplete {
            have: right.len() as u64,
            want: right.len() as u64
        }
    );
    // Not even when more was read than the record counts, so that the file has to be read again.
    let source = Faulty::new(format!("{wrong}\nlate\n").as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    source.set(|server| server.bytes = format!("{right}\nlate\n").into_bytes());
    let (proof, _) = tail.finish(record_of(right.as_bytes()));
    assert!(matches!(proof, Proof::Incomplete { .. }), "{proof:?}");
}

#[test]
fn without_a_record_two_quiet_looks_end_it_unproven() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    tail.followed.end(
        Ending::Settle {
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
        Ending::Settle {
            quiet: Duration::from_secs(3),
        },
        record_of(all().as_bytes()),
        Ending::Drain,
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
        let told = tail.end.as_ref().is_some_and(|end| *end != Proof::Proven);
        assert!(
            told,
            "{ending:?}: {:?} {:?}",
            tail.end,
            &tail.waits[tail.waits.len() - 20..]
        );
    }
}

/// Whoever takes the lines takes 10 s for each batch: the file is read when he is done, and nothing ends early.
#[test]
fn a_sink_that_blocks_10_s_for_each_batch_loses_nothing() {
    for freshness in [Freshness::Cached, Freshness::Local] {
        let log = "{\"event\":1}\n".repeat(2_000);
        for ending in [record_of(log.as_bytes()), Ending::Drain] {
            let mut source = Faulty::new(log.as_bytes());
            source.1 = freshness;
            let pace = Pace {
                appear: None,
                ..Pace::default()
            };
            let mut tail = Driver::with(source, pace, 1_000);
            tail.followed.end(ending.clone(), tail.now);
            while tail.end.is_none() {
                tail.look();
                tail.now += Duration::from_secs(10);
                assert!(tail.looks < 1_000, "the tail hangs");
            }
            let proven = matches!(ending, Ending::Prove { .. });
            let proof = if proven { Proof::Proven } else { Proof::Unproven };
            assert_eq!(
                (tail.end, tail.text == log),
                (Some(proof), true),
                "{freshness:?} {ending:?}"
            );
        }
    }
}

#[test]
fn a_truncation_is_believed_when_a_fresh_handle_shows_it_too() {
    let source = Faulty::new(HEAD.as_bytes());
    let mut tail = Driver::new(source.clone());
    tail.settle();
    // An old page for one look: nothing is said, nothing comes twice.
    source.set(|server| server.frozen_data = Some(3));
    tail.look();
    source.set(|server| server.frozen_data = None);
    tail.settle();
    assert_eq!((tail.text.as_str(), tail.notices.len()), (HEAD, 0));
    source.set(|server| server.bytes = b"new\n".to_vec());
    tail.settle();
    assert_eq!(tail.text, format!("{HEAD}new\n"));
    assert_eq!(
        tail.notices,
        ["the log file became shorter or was rewritten; it is read again from its start"]
    );
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
fn a_local_file_that_takes_the_place_of_the_log_is_seen_within_2_s() {
    let mut source = Faulty::new(HEAD.as_bytes());
    source.1 = Freshness::Local;
    let mut tail = Driver::new(source.clone());
    tail.run(Duration::from_secs(60));
    source.set(|server| {
        server.inode += 1;
        server.bytes = format!("{HEAD}new\n").into_bytes();
    });
    tail.run(Duration::from_millis(3_100));
    assert_eq!(tail.text, format!("{HEAD}new\n"));
    assert_eq!(
        tail.notices,
        ["the log file was replaced; it is read again from its start"]
    );
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
        let mut tail = Driver::with(source.clone(), Pace::default(), 4_096);
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
    let mut tail = Driver::with(source.clone(), Pace::default(), 4_096);
    tail.run(Duration::from_millis(29_500));
    source.set(|server| server.exists = true);
    tail.run(Duration::from_secs(60));
    assert_eq!((tail.end.as_ref(), tail.text.as_str()), (None, HEAD));
}

#[test]
fn a_single_line_of_5_mb_comes_whole_and_one_over_16_mib_is_cut_and_said_once() {
    // Without the digest, which takes its time in a test build.
    let pace = Pace {
        digest: false,
        ..Pace::default()
    };
    let line = format!("{}\n", "x".repeat(5 << 20));
    let mut tail = Driver::with(Faulty::new(line.as_bytes()), pace, 1 << 20);
    tail.finish(Ending::Drain);
    assert!(tail.text == line);
    let long = format!("{}\nnext\n", "y".repeat(17 << 20));
    let log = format!("{long}{long}");
    let mut tail = Driver::with(Faulty::new(log.as_bytes()), pace, 1 << 20);
    tail.finish(Ending::Drain);
    let lines: Vec<&str> = tail.text.lines().collect();
    assert_eq!((lines.len(), lines[1], lines[3]), (4, "next", "next"));
    assert!(
        lines[0].ends_with("…[line cut: it is longer than the limit]") && lines[0].len() < (16 << 20) + 64
    );
    assert_eq!(tail.notices, ["a line of the log is over 16 MiB and was cut"]);
}
