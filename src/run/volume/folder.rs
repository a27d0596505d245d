//! The files of a run on the server's side: made before the Job exists, or found by a Job's record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::{AgentDb, RunSpec};
use crate::manifest::FileNames;
use crate::manifest::job_record::JobRecord;
use crate::manifest::{self, LogPaths};
use crate::run::failure::{Failure, LOG_INCOMPLETE, SHARED_VOLUME_MISSING};
use crate::run::volume::blocking::{DataRoot, Volume};
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{FileSource, Ownership, PrepareError, RunFiles};
use crate::tail::{Hub, Pace, Tail};

/// A volume that does not answer for this long is not there.
const PATIENCE: Duration = Duration::from_secs(30);
/// Another server that opens a gate needs this long at most between making the file and writing it.
const OPENING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The files of one run.
pub(crate) struct RunFolder {
    pub(crate) files: RunFiles,
    pub(crate) names: FileNames,
    shown: [String; 2],
    owner: Ownership,
    volume: Volume,
    /// The server made the log itself, and can open the gate of the pod.
    pub(crate) by_server: bool,
}

impl RunFolder {
    /// Makes the log folder and the empty files. The pod is held at its gate until [`Self::open_gate`].
    pub(crate) async fn prepare(root: &DataRoot, owner: Ownership, spec: &RunSpec) -> Result<Self, Failure> {
        let paths = LogPaths::new(&spec.company_id, &spec.agent_id, &spec.run_id)
            .map_err(|error| missing(error.to_string()))?;
        let mut folder = Self::at(root, owner, &paths.log, &paths.stderr, file_names(&paths))?;
        let database = match &spec.agent_db {
            AgentDb::File(path) => Some(PathBuf::from(manifest::on_server(
                path,
                &root.path.to_string_lossy(),
            ))),
            _ => None,
        };
        let (files, names, below) = (folder.files.clone(), folder.names.clone(), root.path.clone());
        let waiting = Waiting::default();
        let given_up = waiting.0.clone();
        let made = root.volume.within(PATIENCE, move || {
            if let Some(file) = database {
                RunFiles::prepare_folder_of(&below, &file, owner);
            }
            let made = files.prepare(owner, &[(&names.log, b""), (&names.stderr, b"")]);
            // The volume came back after nobody waited for it any more.
            if given_up.load(Ordering::Acquire) {
                files.remove(names.all());
            }
            made
        });
        match made.await {
            Some(Ok(made)) => folder.by_server = made.by_server,
            Some(Err(error)) => return Err(of_prepare(&error)),
            None => {
                return Err(missing(format!(
                    "the shared volume did not answer within {} s at {}. Look at its mount on the server's node",
                    PATIENCE.as_secs(),
                    folder.shown[0]
                )));
            }
        }
        drop(waiting);
        Ok(folder)
    }

    /// The files that a Job's record names.
    pub(crate) fn of_papers(
        root: &DataRoot,
        owner: Ownership,
        job_record: &JobRecord,
    ) -> Result<Self, Failure> {
        Self::at(
            root,
            owner,
            &job_record.log,
            &job_record.stderr,
            job_record.names.clone(),
        )
    }

    fn at(
        root: &DataRoot,
        owner: Ownership,
        log: &str,
        stderr: &str,
        names: FileNames,
    ) -> Result<Self, Failure> {
        let here = |path: &str| manifest::on_server(path, &root.path.to_string_lossy());
        let shown = [here(log), here(stderr)];
        let files = RunFiles::new(&root.path, Path::new(&shown[0]))
            .ok_or_else(|| missing(format!("{} is not below the data root", shown[0])))?;
        Ok(Self {
            files,
            names,
            shown,
            owner,
            volume: root.volume.clone(),
            by_server: false,
        })
    }

    /// The files of another run of this agent, of which nothing but its id is known.
    pub(crate) fn of_run(
        root: &DataRoot,
        owner: Ownership,
        spec: &RunSpec,
        run: &str,
    ) -> Result<Self, Failure> {
        let paths = LogPaths::new(&spec.company_id, &spec.agent_id, run)
            .map_err(|error| missing(error.to_string()))?;
        Self::at(root, owner, &paths.log, &paths.stderr, file_names(&paths))
    }

    /// Lets the pod go on: its init container waits for this file.
    pub(crate) async fn open_gate(&self, nonce: &str) -> Result<(), Failure> {
        let (files, name, owner) = (self.files.clone(), self.names.nonce.clone(), self.owner);
        let content = nonce.to_owned();
        let opened = self.volume.within(PATIENCE, move || {
            files.prepare(owner, &[(&name, content.as_bytes())]).map(drop)
        });
        let error = match opened.await {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => of_prepare(&error),
            None => return Err(missing("the shared volume does not answer".to_owned())),
        };
        // Two servers may take over a Job at the same time: the gate is open, whoever opened it.
        let until = Instant::now() + OPENING;
        while self.content(self.names.nonce.clone()).await.as_deref() != Some(nonce.as_bytes()) {
            if Instant::now() >= until {
                return Err(error);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Leaves this word: the server that it names cleans up behind the Job from now on, whoever made it. Where nothing
    /// can be written there is no word; when another server took the Job over in the same moment, it is that one's.
    pub(crate) async fn take_over(&self, word: &str) {
        let (files, name, owner) = (self.files.clone(), self.names.holder.clone(), self.owner);
        let word = word.to_owned();
        let left = self.volume.within(PATIENCE, move || {
            files.remove([name.as_str()]);
            let _ = files.prepare(owner, &[(&name, word.as_bytes())]);
        });
        left.await;
    }

    /// What the pod that ran the agent says about it: its start record.
    pub(crate) async fn started(&self) -> Option<Vec<u8>> {
        self.content(self.names.started.clone()).await
    }

    /// Whether the pod has been let go on.
    pub(crate) async fn gate_is_open(&self) -> bool {
        self.content(self.names.nonce.clone()).await.is_some()
    }

    /// Whether the log is still there: whoever harvests a run removes it.
    pub(crate) async fn has_log(&self) -> bool {
        let place = self.files.place(&self.names.log);
        let look = move || {
            use crate::tail::source::LogSource as _;
            FileSource::new(place, true).look().is_ok()
        };
        self.volume.within(PATIENCE, look).await.unwrap_or(false)
    }

    /// Whether the pod has written its end record.
    pub(crate) async fn has_ended(&self) -> bool {
        self.content(self.names.end.clone()).await.is_some()
    }

    async fn content(&self, name: String) -> Option<Vec<u8>> {
        let files = self.files.clone();
        let read = move || files.read_small(&name, MAX_RECORD_BYTES);
        self.volume.within(PATIENCE, read).await.flatten()
    }

    /// Follows stdout and stderr.
    pub(crate) fn follow(&self, hub: &Hub) -> Result<(Tail, Tail), Failure> {
        // The pod is alive: the file may be late for any time, only the end of the run ends its tail.
        let pace = Pace {
            appear: None,
            ..Pace::default()
        };
        let follow = |name: &str, shown: &str| {
            let source = FileSource::new(self.files.place(name), self.by_server);
            hub.follow(self.volume.log(source), shown.to_owned(), pace)
                .map_err(|error| {
                    Failure::of_input(LOG_INCOMPLETE, format!("no thread to read the log with: {error}"))
                })
        };
        let [log, stderr] = &self.shown;
        Ok((follow(&self.names.log, log)?, follow(&self.names.stderr, stderr)?))
    }

    /// Removes all files of the run.
    pub(crate) async fn remove(&self) {
        let (files, names) = (self.files.clone(), self.names.clone());
        let removed = self.volume.within(PATIENCE, move || files.remove(names.all()));
        removed.await;
    }
}

/// Somebody waits for the volume; says so to the thread that is stuck in it when nobody does any more.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn missing(message: String) -> Failure {
    Failure::before_start(SHARED_VOLUME_MISSING, message)
}

fn of_prepare(error: &PrepareError) -> Failure {
    missing(error.to_string())
}

/// The names of the files that these paths lead to.
pub(crate) fn file_names(paths: &LogPaths) -> FileNames {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    FileNames {
        log: name(&paths.log),
        stderr: name(&paths.stderr),
        started: name(&paths.started),
        end: name(&paths.end),
        draft: format!(".{}", name(&paths.end).trim_end_matches(".json")),
        nonce: name(&paths.nonce),
        holder: name(&paths.nonce).replace(".nonce", ".holder"),
        usage: name(&paths.nonce).replace(".nonce", ".usage"),
    }
}

/// Random enough to tell volumes apart: the process's own random hash keys.
pub(crate) fn nonce() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
