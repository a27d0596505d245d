//! The gate before which a Job's pod waits: its nonce file. Of a server that opens it and one that closes it exactly
//! one makes the file.

use tokio::time::{Instant, sleep};

use super::{RunFolder, missing};
use crate::run::failure::Failure;
use crate::run::timing::{NONCE_POLL_INTERVAL, NONCE_WRITE_LIMIT, VOLUME};

/// Stands in the nonce file when the server that made the Job has given it up.
const CLOSED: &[u8] = b"closed\n";

/// The gate before which a Job's pod waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nobody has decided yet, or the run was harvested since.
    Waits,
    /// The agent may start.
    Open,
    /// It never will.
    Closed,
}

impl RunFolder {
    /// Writes the nonce, for which the pod's init container waits; false when the server that made the Job has closed
    /// the gate.
    ///
    /// # Errors
    /// `k8s_shared_volume_missing`, unless another server has written the same nonce.
    pub(crate) async fn open_gate(&self, nonce: &str) -> Result<bool, Failure> {
        let (name, owner, content) = (self.names.nonce.clone(), self.volume.owner, nonce.to_owned());
        let opened = self.make(move |files| files.prepare_by_server(owner, &[(&name, content.as_bytes())]));
        let opened = self.volume.budget.within(VOLUME, opened).await.flatten();
        let error = match opened.ok_or_else(|| self.unanswered())? {
            Ok(_) => return Ok(true),
            Err(error) => missing(error.to_string()),
        };
        // Two servers may adopt the Job at the same time: the gate is open, whichever wrote the nonce.
        let until = Instant::now() + NONCE_WRITE_LIMIT;
        loop {
            match self.content(&self.names.nonce).await?.as_deref() {
                Some(content) if content == nonce.as_bytes() => return Ok(true),
                Some(CLOSED) => return Ok(false),
                _ if Instant::now() >= until => return Err(error),
                _ => sleep(NONCE_POLL_INTERVAL).await,
            }
        }
    }

    /// Takes the nonce's place, so that this Job's agent never starts, whoever adopts it; false when another server has
    /// opened the gate, also when it has harvested the run since. Of two servers exactly one makes the file.
    ///
    /// # Errors
    /// `k8s_shared_volume_missing`, when the volume does not say.
    pub(crate) async fn close_gate(&self) -> Result<bool, Failure> {
        let (files, name, owner) = (self.files.clone(), self.names.nonce.clone(), self.volume.owner);
        let made = self.volume.root.volume.within(VOLUME.calm, move || {
            files
                .prepare_by_server(owner, &[(&name, CLOSED)])
                .map_err(|error| error.to_string())
        });
        match self.volume.budget.within(VOLUME, made).await.flatten() {
            Some(Ok(_)) if self.was_let_start().await? => {
                self.remove_nonce().await;
                Ok(false)
            }
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => match self.content(&self.names.nonce).await? {
                Some(content) => Ok(content == CLOSED),
                None => Err(missing(error)),
            },
            None => Err(self.unanswered()),
        }
    }

    /// What stands in the nonce file.
    pub(crate) async fn nonce(&self) -> Result<Option<String>, Failure> {
        let content = self.content(&self.names.nonce).await?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// How the pod's gate is.
    pub(crate) async fn gate(&self) -> Result<Gate, Failure> {
        Ok(match self.content(&self.names.nonce).await?.as_deref() {
            None => Gate::Waits,
            Some(CLOSED) => Gate::Closed,
            Some(_) => Gate::Open,
        })
    }

    /// Whether the nonce was there, where it is not: whoever harvests the run removes it first. The log may stay, that
    /// of a retained Job or of one whose holder died before it cleaned up.
    pub(crate) async fn was_let_start(&self) -> Result<bool, Failure> {
        Ok(self.was_started().await? || !self.has_log().await?)
    }

    async fn remove_nonce(&self) {
        let volume = &self.volume.root.volume;
        let removed = volume.remove(VOLUME.calm, &self.files, [&self.names.nonce]);
        // What is left of it is swept.
        let _ = self.volume.budget.within(VOLUME, removed).await;
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test makes what servers and pods leave"
)]
mod tests {
    use super::*;
    use crate::manifest::FileNames;
    use crate::run::stop::stop_signal;
    use crate::run::timing::Budget;
    use crate::run::volume::blocking::{DataRoot, Volume};
    use crate::run::volume::folder::SharedVolume;
    use crate::tail::source::Ownership;

    #[tokio::test]
    async fn a_run_that_another_server_has_harvested_is_not_closed_any_more() {
        for (files, is_closed) in [
            (vec!["r.pod.ndjson"], true),
            (vec!["r.pod.ndjson", "r.pod.nonce"], false),
            // Its files are gone, or those of a retained Job stay.
            (vec![], false),
            (vec!["r.pod.ndjson", "r.pod.started"], false),
        ] {
            let root = tempfile::tempdir().expect("a folder");
            for name in &files {
                std::fs::write(root.path().join(name), "nonce").expect("written");
            }
            let (_stopper, stop) = stop_signal();
            let volume = SharedVolume {
                root: DataRoot {
                    path: root.path().to_owned(),
                    volume: Volume::default(),
                },
                owner: Ownership::default(),
                budget: Budget::of(&stop),
                held: std::sync::Arc::default(),
            };
            let at = |name: &str| root.path().join(name).to_string_lossy().into_owned();
            let names = FileNames::of_run("r");
            let folder = RunFolder::at(&volume, &at(&names.log), &at(&names.stderr), names.clone());
            let folder = folder.expect("a folder");
            assert_eq!(folder.close_gate().await, Ok(is_closed), "{files:?}");
            let nonce = std::fs::read(root.path().join(names.nonce)).ok();
            let left = nonce.as_deref();
            let expected = files.contains(&"r.pod.nonce").then_some(b"nonce".as_slice());
            assert_eq!(left, if is_closed { Some(CLOSED) } else { expected }, "{files:?}");
        }
    }
}
