//! The files of a run as this server reads and writes them, each call with a limit.

mod gate;
mod laid;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::config::{AgentDb, RunSpec};
use crate::manifest::job_record::JobRecord;
use crate::manifest::{self, FileNames, FoldersToMake, LogPaths, NONCE_END, STARTED_END};
use crate::run::failure::{Failure, LOG_INCOMPLETE, SHARED_VOLUME_MISSING};
use crate::run::timing::{Budget, LISTING, VOLUME};
use crate::run::volume::blocking::{DataRoot, retry};
use crate::run::volume::making::Making;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{FileSource, Ownership, Preparation, PrepareError, RunFiles, SourceError};
use crate::tail::{Hub, StartRecord, Tail, TailOptions};
pub(crate) use gate::Gate;

/// The shared volume as this server sees it.
#[derive(Clone)]
pub(crate) struct SharedVolume {
    /// What pods see at `/paperclip`.
    pub(crate) root: DataRoot,
    /// Who is to own the files.
    pub(crate) owner: Ownership,
    /// How long it may take.
    pub(crate) budget: Budget,
    /// How often the run has met a file that another process holds.
    pub(crate) held: Arc<AtomicUsize>,
}

/// The files of one run.
#[derive(Clone)]
pub(crate) struct RunFolder {
    pub(crate) files: RunFiles,
    pub(crate) names: FileNames,
    shown: [String; 2],
    volume: SharedVolume,
    /// A server made the log, and can open the pod's gate. False where root is squashed on the volume.
    pub(crate) by_server: bool,
}

impl RunFolder {
    /// The files of a run of this agent.
    pub(crate) fn of_run(volume: &SharedVolume, spec: &RunSpec, run: &str) -> Result<Self, Failure> {
        let paths = LogPaths::new(&spec.run.company_id, &spec.run.agent_id, run)
            .map_err(|error| missing(error.to_string()))?;
        Self::at(volume, &paths.log, &paths.stderr, paths.names)
    }

    /// The files that a Job names.
    pub(crate) fn of_job_record(volume: &SharedVolume, job_record: &JobRecord) -> Result<Self, Failure> {
        Self::at(
            volume,
            &job_record.log,
            &job_record.stderr,
            job_record.names.clone(),
        )
    }

    fn at(volume: &SharedVolume, log: &str, stderr: &str, names: FileNames) -> Result<Self, Failure> {
        let here = |path: &str| manifest::on_server(path, &volume.root.path.to_string_lossy());
        let shown = [here(log), here(stderr)];
        let files = RunFiles::new(&volume.root.path, Path::new(&shown[0]))
            .ok_or_else(|| missing(format!("Not below the data root: {}", shown[0])))?
            .of(volume.owner);
        Ok(Self {
            files,
            names,
            shown,
            volume: volume.clone(),
            by_server: false,
        })
    }

    /// Makes the log folder and the empty files, and `more` folders. The pod waits at its gate until
    /// [`Self::open_gate`].
    ///
    /// # Errors
    /// `k8s_shared_volume_missing`, when the volume cannot be written or does not answer.
    pub(crate) async fn prepare(&mut self, database: &AgentDb, more: FoldersToMake) -> Result<(), Failure> {
        let volume = self.volume.clone();
        let database = match database {
            AgentDb::File(path) => Some(path.clone()),
            _ => None,
        };
        let (log, stderr) = (self.names.log.clone(), self.names.stderr.clone());
        let made = self.make(move |files| {
            let root = &volume.root.path;
            let here = |path: &str| PathBuf::from(manifest::on_server(path, &root.to_string_lossy()));
            for folder in &more.shown {
                RunFiles::prepare_shown_folder(root, &here(folder), volume.owner)?;
            }
            // Of a file only the folder is made.
            let in_mount_points = more.mount_points.iter().map(|folder| here(folder).join("x"));
            for file in in_mount_points.chain(database.as_deref().map(here)) {
                RunFiles::prepare_folder_of(root, &file, volume.owner)?;
            }
            files.prepare(volume.owner, &[(&log, b""), (&stderr, b"")])
        });
        let made = made.await.ok_or_else(|| self.unanswered())?;
        self.by_server = made.map_err(|error| missing(error.to_string()))?.by_server;
        Ok(())
    }

    /// Makes files, again while the volume answers with an error that may pass. Whoever drops this half-way leaves
    /// nothing.
    async fn make(
        &self,
        work: impl Fn(&RunFiles) -> Result<Preparation, PrepareError> + Clone + Send + 'static,
    ) -> Option<Result<Preparation, PrepareError>> {
        let making = Making::new(self.files.clone(), self.names.clone());
        let made = retry(self.volume.budget.limit(VOLUME), PrepareError::may_pass, |left| {
            let (attempt, work) = (making.attempt(), work.clone());
            self.volume.root.volume.within(left, move || attempt.run(work))
        });
        let made = made.await;
        if let Some(Ok(_)) = made {
            making.is_taken();
        }
        made
    }

    /// Writes the holder file: from now on the server that this word names cleans up after the Job. Nothing is written
    /// where the volume refuses it; when two servers do this at the same moment, either may win.
    pub(crate) async fn take_over(&self, holder: &str) {
        let (files, name, owner) = (self.files.clone(), self.names.holder.clone(), self.volume.owner);
        let holder = holder.to_owned();
        let written = self.volume.root.volume.until_answered(VOLUME.calm, move || {
            files.remove([name.as_str()]);
            let made = files.prepare(owner, &[(&name, holder.as_bytes())]);
            made.err().and_then(PrepareError::of_volume).map_or(Ok(()), Err)
        });
        // A stop does not undo this: the file may be written all the same.
        let _ = self.volume.budget.within(VOLUME, written).await;
    }

    /// Whether there is a file with the name of the start record, whatever it holds.
    pub(crate) async fn was_started(&self) -> Result<bool, Failure> {
        Ok(self.content(&self.names.started).await?.is_some())
    }

    /// The start record, if a pod of this namespace and cluster wrote it for this run.
    pub(crate) async fn start_record(
        &self,
        spec: &RunSpec,
        run: &str,
    ) -> Result<Option<StartRecord>, Failure> {
        let text = self.content(&self.names.started).await?.unwrap_or_default();
        Ok(StartRecord::parse(
            &text,
            run,
            spec.namespace(),
            &spec.run.cluster,
        ))
    }

    /// Whether a pod of another namespace or cluster wrote the start record of this run, and may be at work on it.
    pub(crate) async fn is_of_another_place(&self, run: &str) -> Result<bool, Failure> {
        let text = self.content(&self.names.started).await?.unwrap_or_default();
        Ok(StartRecord::of_any_place(&text, run).is_some())
    }

    /// Whether anything at all has the name of a file of this run.
    pub(crate) async fn has_any(&self) -> Result<bool, Failure> {
        let (files, names) = (self.files.clone(), self.names.clone());
        self.answered(move || files.any_of(names.all())).await
    }

    /// Whether there is a file with the name of the end record.
    pub(crate) async fn has_ended(&self) -> Result<bool, Failure> {
        Ok(self.content(&self.names.end).await?.is_some())
    }

    /// Whether the log is there: whoever harvests a run removes it.
    pub(crate) async fn has_log(&self) -> Result<bool, Failure> {
        let path = self.files.path_of(&self.names.log);
        let look = move || {
            use crate::tail::source::LogSource as _;
            match FileSource::new(path.clone(), true).look() {
                // What an agent has put in its place was not removed by a server.
                Ok(_) | Err(SourceError::Hostile(_)) => Ok(true),
                Err(SourceError::Missing) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.answered(look).await
    }

    async fn content(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let (files, name, held) = (self.files.clone(), name.to_owned(), self.volume.held.clone());
        self.answered(move || laid::of_server_or_pod(files.read_small(&name, MAX_RECORD_BYTES), &held))
            .await
    }

    /// What the volume answers. An error does not mean absent: it is tried again until the limit.
    async fn answered<T: Send + 'static>(
        &self,
        look: impl Fn() -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        let volume = &self.volume.root.volume;
        let read = retry(VOLUME.calm, |_| true, |left| volume.within(left, look.clone()));
        let read = self.volume.budget.within(VOLUME, read).await.flatten();
        read.ok_or_else(|| self.unanswered())?
            .map_err(|error| self.failed(&error))
    }

    /// Follows stdout and stderr.
    ///
    /// # Errors
    /// `k8s_log_incomplete`, when the operating system gives no thread.
    pub(crate) fn follow(&self, hub: &Hub) -> Result<(Tail, Tail), Failure> {
        // However late the file appears, only the end of the run ends its tail.
        let options = TailOptions {
            appear: None,
            ..TailOptions::default()
        };
        // Nobody proves stderr, and it may hold the cause of a failure behind a NUL.
        let of_stderr = TailOptions {
            digest: false,
            nuls_pass: true,
            ..options
        };
        let follow = |name: &str, shown: &str, options: TailOptions| {
            let source = FileSource::new(self.files.path_of(name), self.by_server).of(self.volume.owner);
            let source = self.volume.root.volume.log(source);
            hub.follow(source, shown.to_owned(), options).map_err(|error| {
                Failure::of_input(LOG_INCOMPLETE, format!("no thread to read the log with: {error}"))
            })
        };
        let [log, stderr] = &self.shown;
        let log = follow(&self.names.log, log, options)?;
        Ok((log, follow(&self.names.stderr, stderr, of_stderr)?))
    }

    /// Removes all files of the run.
    pub(crate) async fn remove(&self) {
        let limit = self.volume.budget.limit(VOLUME);
        let volume = &self.volume.root.volume;
        volume.remove(limit, &self.files, self.names.all()).await;
    }

    /// Ids of runs in this folder that have a start record and a nonce, the latest at the end. Whoever harvests a run
    /// removes its nonce, even where the other files are kept. Of a folder that a server may not read nobody knows.
    pub(crate) async fn unreported_runs(&self) -> Result<Vec<String>, Failure> {
        let files = self.files.clone();
        let until = tokio::time::Instant::now() + LISTING;
        let is_late = move || tokio::time::Instant::now() >= until;
        let look = move || match files.runs_with([STARTED_END, NONCE_END], is_late) {
            Err(error) if !error.may_pass() => {
                tracing::info!(%error, "cannot look for earlier runs");
                Ok(Vec::new())
            }
            listed => listed,
        };
        self.answered(look).await
    }

    fn failed(&self, error: &SourceError) -> Failure {
        missing(format!(
            "Shared volume: {error}. It did not get better within {} s at {}. Look at its mount on the server's node",
            VOLUME.calm.as_secs(),
            self.shown[0]
        ))
    }

    fn unanswered(&self) -> Failure {
        missing(format!(
            "Shared volume is silent: it did not answer within {} s at {}. Look at its mount on the server's node",
            VOLUME.calm.as_secs(),
            self.shown[0]
        ))
    }
}

fn missing(message: String) -> Failure {
    Failure::before_start(SHARED_VOLUME_MISSING, message)
}

/// 128 random bits in hex, from the standard library's random hash keys: unique, not secret.
pub(crate) fn nonce() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stop::stop_signal;
    use crate::run::timing::VOLUME_RETRY_PAUSE;
    use crate::run::volume::blocking::Volume;
    use rustix::io::Errno;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    fn folder_in(root: &Path) -> RunFolder {
        let (_stopper, stop) = stop_signal();
        let volume = SharedVolume {
            root: DataRoot {
                path: root.to_owned(),
                volume: Volume::default(),
            },
            owner: Ownership::of_this_process(),
            budget: Budget::of(&stop),
            held: Arc::default(),
        };
        let names = FileNames::of_run("r");
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        RunFolder::at(&volume, &at(&names.log), &at(&names.stderr), names.clone()).expect("a folder")
    }

    /// Makes a log whose making the volume fails so often. It is made in any case.
    fn failing(
        folder: &RunFolder,
        failures: usize,
        errno: Errno,
        tries: &Arc<Mutex<usize>>,
    ) -> impl Fn(&RunFiles) -> Result<Preparation, PrepareError> + Clone + Send + 'static {
        let (log, owner, tries) = (folder.names.log.clone(), folder.volume.owner, tries.clone());
        move |files| {
            let mut tries = tries.lock().expect("no panic");
            *tries += 1;
            let made = files.prepare(owner, &[(&log, b"")]);
            if *tries > failures {
                return made;
            }
            Err(PrepareError::Unusable {
                path: String::new(),
                cause: errno.into(),
                left: vec![log.clone()],
            })
        }
    }

    /// What comes of files that the volume does not take so often, and how often it was tried.
    async fn made(failures: usize, errno: Errno) -> (Option<bool>, usize) {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, tries) = (folder_in(root.path()), Arc::default());
        let made = folder.make(failing(&folder, failures, errno, &tries));
        let made = made.await.expect("an answer").ok();
        let tries = *tries.lock().expect("no panic");
        (made.map(|made| made.by_server), tries)
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_made_again_when_the_volume_failed_for_a_moment() {
        assert_eq!(made(3, Errno::IO).await, (Some(true), 4));
        assert_eq!(made(1, Errno::NOSPC).await, (None, 1));
        assert_eq!(made(usize::MAX, Errno::STALE).await.0, None);
    }

    /// Bounds, not expectations: a machine may be slow.
    async fn is_removed(log: &Path) -> bool {
        let since = Instant::now();
        while log.exists() && since.elapsed() < Duration::from_secs(180) {
            tokio::task::yield_now().await;
        }
        !log.exists()
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_between_two_tries_leaves_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, tries) = (folder_in(root.path()), Arc::default());
        let log = root.path().join(&folder.names.log);
        let made = folder.make(failing(&folder, usize::MAX, Errno::IO, &tries));
        let made = tokio::time::timeout(VOLUME_RETRY_PAUSE / 2, made).await;
        assert!(made.is_err() && *tries.lock().expect("no panic") == 1);
        assert!(is_removed(&log).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_last_try_has_left_goes_as_well() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, tries) = (folder_in(root.path()), Arc::default());
        let log = root.path().join(&folder.names.log);
        let made = folder.make(failing(&folder, usize::MAX, Errno::IO, &tries));
        assert!(made.await.expect("an answer").is_err());
        assert!(is_removed(&log).await);
    }
}
