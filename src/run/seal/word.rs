//! Seals: a keyed hash over the facts that a server states, and what a server without the key cannot make. Pure.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// What a seal is about: seals of one kind prove nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A server let this run start.
    Start,
    /// A server took this Job over.
    Holder,
    /// A server has reported so much of this run.
    Usage,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Holder => "holder",
            Self::Usage => "usage",
        }
    }
}

/// Seals, and knows its own seals. Without a key it makes none and knows none.
#[derive(Clone, Default)]
pub struct Seal(Option<[u8; BLOCK]>);

impl Seal {
    /// A seal with this key; a short one makes none.
    #[must_use]
    pub fn new(key: &str) -> Self {
        if key.len() < 32 {
            return Self::default();
        }
        let mut block = [0; BLOCK];
        let hashed = Sha256::digest(key);
        for (place, byte) in block.iter_mut().zip(hashed) {
            *place = byte;
        }
        Self(Some(block))
    }

    /// The seal of these facts, in hex; empty without a key.
    #[must_use]
    pub fn of(&self, kind: Kind, facts: &[&str]) -> String {
        let Some(key) = &self.0 else {
            return String::new();
        };
        let padded = |pad: u8| key.map(|byte| byte ^ pad);
        let mut inner = Sha256::new().chain_update(padded(0x36)).chain_update(kind.word());
        for fact in facts {
            // Its length first: two facts are never one.
            inner.update((fact.len() as u64).to_be_bytes());
            inner.update(fact);
        }
        let outer = Sha256::new()
            .chain_update(padded(0x5c))
            .chain_update(inner.finalize());
        hex(&outer.finalize())
    }

    /// Whether this is the seal of these facts. It takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn is_of(&self, seal: &str, kind: Kind, facts: &[&str]) -> bool {
        let own = self.of(kind, facts);
        let differs = own.bytes().zip(seal.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        !own.is_empty() && own.len() == seal.len() && differs == 0
    }
}

/// What the nonce of a run says about it to whoever knows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start<'a> {
    /// The company.
    pub company: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// The run.
    pub run: &'a str,
    /// The task, as the start record has it; empty without one.
    pub task: &'a str,
    /// The working directory, as the start record has it; empty without one.
    pub cwd: &'a str,
}

impl Start<'_> {
    fn facts<'a>(&'a self, word: &'a str) -> [&'a str; 6] {
        [self.company, self.agent, self.run, self.task, self.cwd, word]
    }
}

impl Seal {
    /// A nonce: this unique word, when it was made (seconds since 1970), and the seal.
    #[must_use]
    pub fn nonce(&self, unique: &str, made: u64, start: &Start<'_>) -> String {
        let word = format!("{unique}.{made}");
        let seal = self.of(Kind::Start, &start.facts(&word));
        format!("{word}.{seal}")
    }

    /// When a server of this namespace made this nonce for this start; `None` when none did.
    #[must_use]
    pub fn made(&self, nonce: &str, start: &Start<'_>) -> Option<u64> {
        let (word, seal) = nonce.rsplit_once('.')?;
        if !self.is_of(seal, Kind::Start, &start.facts(word)) {
            return None;
        }
        word.rsplit_once('.')?.1.parse().ok()
    }

    /// The holder file's content, when a server wrote it that took this Job over: a word and its seal.
    #[must_use]
    pub fn holder<'a>(&self, content: &'a [u8], job_uid: &str) -> Option<&'a str> {
        let content = std::str::from_utf8(content).ok()?;
        let (word, seal) = content.split_once('.')?;
        self.is_of(seal, Kind::Holder, &[job_uid, word])
            .then_some(content)
    }

    /// The text of a note, when a server wrote it of this run: one line, and its seal in the next.
    #[must_use]
    pub fn usage_note<'a>(&self, content: &'a [u8], run: &str) -> Option<&'a str> {
        let (text, seal) = std::str::from_utf8(content).ok()?.split_once('\n')?;
        self.is_of(seal, Kind::Usage, &[run, text]).then_some(text)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_key_one_kind_and_these_facts() {
        let seal = Seal::new(&"k".repeat(32));
        let of = seal.of(Kind::Start, &["run", "agent"]);
        assert_eq!(of.len(), 64);
        assert!(seal.is_of(&of, Kind::Start, &["run", "agent"]));
        for (kind, facts) in [
            (Kind::Usage, ["run", "agent"]),
            (Kind::Start, ["runa", "gent"]),
            (Kind::Start, ["run", "other"]),
        ] {
            assert!(!seal.is_of(&of, kind, &facts), "{facts:?}");
        }
        assert!(!seal.is_of(&of[..63], Kind::Start, &["run", "agent"]));
        assert!(!Seal::new(&"l".repeat(32)).is_of(&of, Kind::Start, &["run", "agent"]));
    }

    #[test]
    fn a_nonce_is_of_one_start_and_knows_its_time() {
        let start = Start {
            company: "c",
            agent: "a",
            run: "r",
            task: "t",
            cwd: "/w",
        };
        let seal = Seal::new(&"k".repeat(32));
        let nonce = seal.nonce("unique", 1_795_000_000, &start);
        assert_eq!(seal.made(&nonce, &start), Some(1_795_000_000));
        for other in [
            Start { run: "r2", ..start },
            Start { task: "", ..start },
            Start { agent: "b", ..start },
            Start { cwd: "/x", ..start },
        ] {
            assert_eq!(seal.made(&nonce, &other), None, "{other:?}");
        }
        let later = nonce.replace("1795000000", "1795000001");
        assert_eq!(seal.made(&later, &start), None);
        let none = Seal::default();
        assert_eq!(none.made(&none.nonce("unique", 1, &start), &start), None);
    }

    #[test]
    fn without_a_key_nothing_is_known() {
        for none in [Seal::default(), Seal::new("short")] {
            assert_eq!(none.of(Kind::Holder, &["a"]), "");
            assert!(!none.is_of("", Kind::Holder, &["a"]));
        }
    }
}
