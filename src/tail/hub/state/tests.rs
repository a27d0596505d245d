use super::stalled::TELL_SILENCE_AFTER;
use super::*;
use crate::tail::TailOptions;
use crate::tail::follower::{CHUNK, Proof};
use crate::tail::source::{FileState, Freshness, LogSource, SourceError};

const MOUNT: &str = "/mount";

/// A file of one line.
struct OneLine;

impl LogSource for OneLine {
    fn look(&mut self) -> Result<FileState, SourceError> {
        Ok(FileState {
            identity: (1, 1),
            size: 5,
            links: 1,
        })
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        self.look()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let rest = b"line\n".get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn close(&mut self) {}

    fn freshness(&self) -> Freshness {
        Freshness::Local
    }

    fn mount(&self) -> &str {
        MOUNT
    }
}

fn one_tail(now: Duration) -> (State, TailId) {
    let mut state = State::default();
    let options = TailOptions::default();
    let file = Box::new(LogFollower::new(
        Box::new(OneLine),
        MOUNT.to_owned(),
        options,
        now,
    ));
    let id = state.add(file, Consumer::Task(Arc::default()), options.poll, now);
    (state, id)
}

/// A tail on a mount that has taken all threads.
fn one_that_waits(now: Duration) -> (State, TailId) {
    let (mut state, id) = one_tail(now);
    for _ in 0..MAX_STUCK {
        state.hangs(&MOUNT.into());
    }
    assert!(
        matches!(state.next_task(now), LeaderTask::Sleep(_)),
        "no thread is left"
    );
    (state, id)
}

/// A tail on such a mount whose consumer has not taken the notice about it yet.
fn one_with_a_notice(now: Duration) -> (State, TailId) {
    let (mut state, id) = one_that_waits(now - TELL_SILENCE_AFTER);
    assert!(
        matches!(state.next_task(now), LeaderTask::Sleep(_)),
        "no thread is left"
    );
    (state, id)
}

/// A thread is free again, and takes the file.
fn due(state: &mut State, now: Duration) -> Box<LogFollower> {
    for _ in 0..MAX_STUCK {
        state.came_back(&MOUNT.into(), now);
    }
    let LeaderTask::Look(_, file, _) = state.next_task(now) else {
        panic!("the file is due")
    };
    file
}

#[test]
fn lines_that_are_found_before_the_consumer_took_a_notice_come_with_it() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_with_a_notice(now);
    let mut file = due(&mut state, now);
    let look = file.look(now, &mut vec![0; CHUNK]);
    assert!(state.put_back(id, file, look, now).is_none());
    let look = state.take_ready(id, now).expect("a look");
    assert_eq!(look.text, "line\n");
    assert_eq!(
        look.notices,
        [
            "the volume at /mount has not answered for 10 s; the log waits for it",
            "the volume at /mount answers again, after 10 s"
        ]
    );
}

#[test]
fn the_last_lines_come_also_when_the_tail_was_given_up_meanwhile() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_with_a_notice(now);
    let mut file = due(&mut state, now);
    let quiet = Duration::from_secs(1);
    state.end(id, FinishRule::Settle { quiet }, now);
    let late = now + HUNG_MOUNT_LIMIT * 2;
    assert!(
        matches!(state.next_task(late), LeaderTask::Sleep(_)),
        "it is given up"
    );
    let look = file.look(late, &mut vec![0; CHUNK]);
    assert!(state.put_back(id, file, look, late).is_none());
    let look = state.take_ready(id, late).expect("a look");
    assert_eq!((look.text.as_str(), look.notices.len()), ("line\n", 2));
    assert!(matches!(look.end, Some(Proof::Failed(_))));
}

#[test]
fn a_mount_that_is_only_slow_is_not_reported() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_that_waits(now);
    let soon = now + TELL_SILENCE_AFTER / 2;
    assert!(matches!(state.next_task(soon), LeaderTask::Sleep(at) if at == now + TELL_SILENCE_AFTER));
    assert!(state.take_ready(id, soon).is_none());
    state.came_back(&MOUNT.into(), soon);
    assert!(matches!(state.next_task(soon), LeaderTask::LookApart(..)));
    assert!(state.take_ready(id, soon).is_none());
}

#[test]
fn a_look_that_hangs_after_the_end_of_the_run_is_given_up() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_tail(now);
    let (bytes, limit) = (5, None);
    state.end(
        id,
        FinishRule::Prove {
            bytes,
            sha256: None,
            limit,
        },
        now,
    );
    assert!(
        matches!(state.next_task(now), LeaderTask::Look(..)),
        "and it hangs from now on"
    );
    assert!(matches!(
        state.next_task(now + HUNG_MOUNT_LIMIT / 2),
        LeaderTask::Sleep(_)
    ));
    assert!(state.take_ready(id, now).is_none());
    let late = now + HUNG_MOUNT_LIMIT;
    assert!(matches!(state.next_task(late), LeaderTask::Sleep(_)));
    let end = state.take_ready(id, late).and_then(|look| look.end);
    assert!(matches!(end, Some(Proof::Failed(_))));
}

#[test]
fn a_file_that_answers_is_not_given_up_however_long_its_end_takes() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_tail(now);
    let quiet = Duration::from_secs(1);
    state.end(id, FinishRule::Settle { quiet }, now);
    let late = now + HUNG_MOUNT_LIMIT * 2;
    let LeaderTask::Look(_, mut file, _) = state.next_task(late) else {
        panic!("the file is due")
    };
    assert!(matches!(state.next_task(late), LeaderTask::Sleep(_)));
    let look = file.look(late, &mut vec![0; CHUNK]);
    assert!(state.put_back(id, file, look, late).is_none());
    let later = late + HUNG_MOUNT_LIMIT;
    assert!(
        matches!(state.next_task(later), LeaderTask::Sleep(_)),
        "its consumer comes first"
    );
    assert_eq!(
        state.take_ready(id, later).map(|look| look.text),
        Some("line\n".to_owned())
    );
}

#[test]
fn a_look_that_hangs_for_10_s_is_told_once_and_so_is_its_end() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_tail(now);
    let LeaderTask::Look(_, mut file, _) = state.next_task(now) else {
        panic!("the file is due")
    };
    // Another thread takes over.
    state.hangs(&MOUNT.into());
    state.is_silent(id, now);
    let told_at = now + TELL_SILENCE_AFTER;
    assert!(matches!(state.next_task(now), LeaderTask::Sleep(at) if at == told_at));
    assert!(matches!(state.next_task(told_at), LeaderTask::Sleep(_)));
    let told = state.take_ready(id, told_at).map(|look| look.notices);
    let text = "the volume at /mount has not answered for 10 s; the log waits for it";
    assert_eq!(told, Some(vec![text.to_owned()]));
    let back = now + Duration::from_secs(95);
    assert!(matches!(state.next_task(back), LeaderTask::Sleep(_)));
    assert!(state.take_ready(id, back).is_none(), "once");
    state.came_back(&MOUNT.into(), back);
    let look = file.look(back, &mut vec![0; CHUNK]);
    assert!(state.put_back(id, file, look, back).is_none());
    let look = state.take_ready(id, back).expect("a look");
    let text = "the volume at /mount answers again, after 95 s".to_owned();
    assert_eq!((look.text.as_str(), look.notices), ("line\n", vec![text]));
}

#[test]
fn a_look_that_hangs_is_given_up_after_it_was_told() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_tail(now);
    assert!(matches!(state.next_task(now), LeaderTask::Look(..)));
    state.is_silent(id, now);
    state.end(id, FinishRule::Drain, now + TELL_SILENCE_AFTER / 2);
    let told_at = now + TELL_SILENCE_AFTER;
    let give_up_at = now + TELL_SILENCE_AFTER / 2 + MIN_HUNG_MOUNT_LIMIT;
    assert!(matches!(state.next_task(told_at), LeaderTask::Sleep(at) if at == give_up_at));
    assert!(matches!(state.next_task(give_up_at), LeaderTask::Sleep(_)));
    let end = state.take_ready(id, give_up_at).and_then(|look| look.end);
    assert!(matches!(end, Some(Proof::Failed(_))));
}

/// A look that found this much, of a file that has more.
fn found(bytes: usize) -> Look {
    Look {
        text: "x".repeat(bytes),
        again_in: Duration::ZERO,
        ..Look::default()
    }
}

/// Looks that the leader takes of this tail before it sleeps, each of which finds a full buffer.
fn looks_ahead(state: &mut State, now: Duration) -> usize {
    let mut looks = 0;
    while let LeaderTask::Look(id, file, _) = state.next_task(now) {
        assert!(state.put_back(id, file, found(CHUNK), now).is_none());
        looks += 1;
    }
    looks
}

#[test]
fn a_file_that_is_far_ahead_is_read_ahead_within_its_limits() {
    let now = Duration::from_secs(50);
    let (mut state, id) = one_tail(now);
    assert_eq!(looks_ahead(&mut state, now), 8);
    // It is read on when half of that was taken.
    for read in [0, 0, 0, 4] {
        assert_eq!(state.take_ready(id, now).map(|look| look.text.len()), Some(CHUNK));
        assert_eq!(looks_ahead(&mut state, now), read);
    }
    // Of what is read up there is one look, until it was taken.
    for _ in 0..8 {
        assert!(state.take_ready(id, now).is_some());
    }
    let LeaderTask::Look(_, file, _) = state.next_task(now) else {
        panic!("the file is due")
    };
    let last = Look {
        again_in: Duration::from_millis(250),
        ..found(1)
    };
    assert!(state.put_back(id, file, last, now).is_none());
    let later = now + Duration::from_secs(5);
    assert_eq!(looks_ahead(&mut state, later), 0);
    assert!(state.take_ready(id, later).is_some());
    assert_eq!(looks_ahead(&mut state, later), 8);
}

#[test]
fn many_files_that_are_far_ahead_hold_no_more_than_their_total() {
    let now = Duration::from_secs(50);
    let mut state = State::default();
    let options = TailOptions::default();
    let count = 200;
    for _ in 0..count {
        let file = LogFollower::new(Box::new(OneLine), MOUNT.to_owned(), options, now);
        state.add(Box::new(file), Consumer::Task(Arc::default()), options.poll, now);
    }
    looks_ahead(&mut state, now);
    let waiting: Vec<usize> = state.entries.values().map(|entry| entry.ready.len()).collect();
    assert!(waiting.iter().all(|looks| *looks >= 1));
    assert!(waiting.iter().sum::<usize>() * CHUNK <= (8 << 20) + count * CHUNK);
    let ids: Vec<TailId> = state.entries.keys().copied().collect();
    ids.into_iter().for_each(|id| state.remove(id));
    assert_eq!(state.ready_bytes, 0);
}
