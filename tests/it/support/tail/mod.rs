//! Drives one tail by hand: no thread, and the clock stands still unless the test moves it.

pub(crate) mod faulty;
pub(crate) mod live;

use std::time::Duration;

use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{CHUNK, FinishRule, LogFollower, Look, Proof};
use opencode_k8s::tail::source::LogSource;
use sha2::{Digest as _, Sha256};

/// Looks after which a tail that has not ended counts as hanging.
pub(crate) const MANY: usize = 20_000;

pub(crate) struct Driver {
    pub(crate) followed: LogFollower,
    pub(crate) now: Duration,
    pub(crate) text: String,
    /// What a fold of the file would see.
    pub(crate) of_file: String,
    pub(crate) notices: Vec<String>,
    pub(crate) end: Option<Proof>,
    pub(crate) waits: Vec<Duration>,
    pub(crate) looks: usize,
    buffer: Vec<u8>,
}

impl Driver {
    pub(crate) fn new(source: impl LogSource + 'static) -> Self {
        Self::with(
            source,
            TailOptions {
                appear: None,
                ..TailOptions::default()
            },
            CHUNK,
        )
    }

    pub(crate) fn with(source: impl LogSource + 'static, options: TailOptions, buffer: usize) -> Self {
        // Not zero: nothing may depend on the clock's origin.
        let now = Duration::from_secs(1_000);
        Self {
            followed: LogFollower::new(Box::new(source), "/shown".to_owned(), options, now),
            now,
            text: String::new(),
            of_file: String::new(),
            notices: Vec::new(),
            end: None,
            waits: Vec::new(),
            looks: 0,
            buffer: vec![0; buffer],
        }
    }

    /// One look; the clock moves on to the next one.
    pub(crate) fn look(&mut self) -> bool {
        let look = self.followed.look(self.now, &mut self.buffer);
        if look.is_again {
            self.of_file.clear();
        }
        self.of_file.push_str(look.lines_of_file());
        let Look {
            text,
            notices,
            end,
            again_in,
            ..
        } = look;
        let quiet = text.is_empty() && end.is_none() && again_in >= Duration::from_millis(250);
        assert!(self.end.is_none(), "looked at after its end");
        self.text.push_str(&text);
        self.notices.extend(notices);
        self.end = end;
        self.waits.push(again_in);
        if self.end.is_none() {
            self.now += again_in;
        }
        self.looks += 1;
        quiet
    }

    /// Looks until nothing comes any more: a local file is asked for its name every 2 s.
    pub(crate) fn settle(&mut self) {
        let mut quiet_since = None;
        for _ in 0..MANY {
            let now = self.now;
            quiet_since = self.look().then(|| quiet_since.unwrap_or(now));
            let settled = quiet_since.is_some_and(|since| self.now >= since + Duration::from_secs(3));
            if settled || self.end.is_some() {
                return;
            }
        }
        panic!("lines without an end");
    }

    /// Looks for this long.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        let mut looks = 0;
        while self.now < until && self.end.is_none() {
            self.look();
            looks += 1;
            assert!(looks < MANY, "looks without a pause");
        }
    }

    /// Ends the run and looks until the tail says what it knows; gives the time that took.
    pub(crate) fn finish(&mut self, ending: FinishRule) -> (Proof, Duration) {
        let asked = self.now;
        self.followed.end(ending, self.now);
        let from = self.looks;
        while self.end.is_none() {
            self.look();
            assert!(self.looks - from < MANY, "the tail hangs");
        }
        (self.end.clone().expect("an end"), self.now.saturating_sub(asked))
    }
}

/// The ending that the record of this log asks for.
pub(crate) fn record_of(bytes: &[u8]) -> FinishRule {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    FinishRule::Prove {
        bytes: bytes.len() as u64,
        sha256: Some(hex),
        limit: None,
    }
}
