//! SHA-256 of what a tail has read, to compare with the pod's end record. Pure.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::source::LogSource;

/// The running digest; `None` inside when nobody will compare it (then a proof reads the file a second time).
#[derive(Debug, Clone)]
pub(super) struct RunningDigest(Option<Sha256>);

impl RunningDigest {
    /// A digest of nothing yet.
    #[must_use]
    pub(super) fn new(kept: bool) -> Self {
        Self(kept.then(Sha256::new))
    }

    /// Adds what was read.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(bytes);
        }
    }

    /// The file starts again.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.0.is_some());
    }

    /// Whether what was read, `read` bytes, begins with `bytes` bytes of this digest. When more was read than the
    /// record counts (the record came late), the file is read once more for the digest only; what it says counts
    /// only if the whole of it is what was read before.
    pub(super) fn agrees(
        &self,
        read: u64,
        bytes: u64,
        sha256: &str,
        source: &mut dyn LogSource,
        buffer: &mut [u8],
    ) -> bool {
        match &self.0 {
            Some(digest) if read == bytes => hex(digest.clone()) == sha256,
            known => {
                let Some((prefix, whole)) = read_again(read, bytes, source, buffer) else {
                    return false;
                };
                hex(prefix) == sha256
                    && known
                        .as_ref()
                        .is_none_or(|known| hex(known.clone()) == hex(whole))
            }
        }
    }
}

/// Digests of the first `bytes` and of the first `read` bytes of the file.
fn read_again(
    read: u64,
    bytes: u64,
    source: &mut dyn LogSource,
    buffer: &mut [u8],
) -> Option<(Sha256, Sha256)> {
    let mut digest = Sha256::new();
    let mut prefix = (bytes == 0).then(|| digest.clone());
    let mut at = 0_u64;
    while at < read {
        let until = if at < bytes { bytes } else { read };
        let want = usize::try_from(until - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let got = source
            .read_at(at, buffer.get_mut(..want)?)
            .ok()
            .filter(|got| *got > 0)?;
        digest.update(buffer.get(..got)?);
        at += got as u64;
        if at == bytes {
            prefix = Some(digest.clone());
        }
    }
    Some((prefix?, digest))
}

fn hex(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
