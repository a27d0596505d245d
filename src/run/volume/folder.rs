//! The files of a run on the server's side: made before the Job exists, or found by a Job's record.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::{AgentDb, RunSpec};
use crate::manifest::job_record::JobRecord;
use crate::manifest::{self, FileNames, LogPaths};
use crate::run::failure::{Failure, LOG_INCOMPLETE, SHARED_VOLUME_MISSING};
use crate::run::timing::{Budget, GATE_WRITE, VOLUME};
use crate::run::volume::blocking::DataRoot;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{FileSource, Ownership, RunFiles, SourceError};
use crate::tail::{Hub, Pace, Tail};

/// How often the gate's file is looked at while another server may be writing it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The shared volume as this server sees it.
#[derive(Clone)]
pub(crate) struct SharedVolume {
    /// What pods see at `/paperclip`.
    pub(crate) root: DataRoot,
    /// Who is to own the files.
    pub(crate) owner: Ownership,
    /// How long it may take.
    pub(crate) budget: Budget,
}

/// The files of one run.
#[derive(Clone)]
pub(crate) struct RunFolder {
    pub(crate) files: RunFiles,
    pub(crate) names: FileNames,
    shown: [String; 2],
    volume: SharedVolume,
    /// The server made the log itself, and can open the gate of the pod.
    pub(crate) by_server: bool,
}

impl RunFolder {
    /// The files of a run of this agent.
    pub(crate) fn of_run(volume: &SharedVolume, spec: &RunSpec, run: &str) -> Result<Self, Failure> {
        let paths = LogPaths::new(&spec.run.company_id, &spec.run.agent_id, run)
            .map_err(|error| missing(error.to_string()))?;
        Self::at(volume, &paths.log, &paths.stderr, paths.file_names())
    }

    /// The files that a Job's record names.
    pub(crate) fn of_record(volume: &SharedVolume, record: &JobRecord) -> Result<Self, Failure> {
        Self::at(volume, &record.log, &record.stderr, record.names.clone())
    }

    fn at(volume: &SharedVolume, log: &str, stderr: &str, names: FileNames) -> Result<Self, Failure> {
        let here = |path: &str| manifest::on_server(path, &volume.root.path.to_string_lossy());
        let shown = [here(log), here(stderr)];
        let files = RunFiles::new(&volume.root.path, Path::new(&shown[0]))
            .ok_or_else(|| missing(format!("{} is not below the data root", shown[0])))?;
        Ok(Self {
            files,
            names,
            shown,
            volume: volume.clone(),
            by_server: false,
        })
    }

    /// Makes the log folder and the empty files. The pod is held at its gate until [`Self::open_gate`].
    pub(crate) async fn prepare(&mut self, database: &AgentDb) -> Result<(), Failure> {
        let volume = self.volume.clone();
        let database = match database {
            AgentDb::File(path) => Some(PathBuf::from(manifest::on_server(
                path,
                &volume.root.path.to_string_lossy(),
            ))),
            _ => None,
        };
        let (log, stderr) = (self.names.log.clone(), self.names.stderr.clone());
        let made = self.make(move |files| {
            if let Some(file) = database {
                RunFiles::prepare_folder_of(&volume.root.path, &file, volume.owner);
            }
            files.prepare(volume.owner, &[(&log, b""), (&stderr, b"")])
        });
        let made = made.await.ok_or_else(|| self.unanswered())?;
        self.by_server = made.map_err(|error| missing(error.to_string()))?.by_server;
        Ok(())
    }

    /// Lets the pod go on: its init container waits for this file.
    pub(crate) async fn open_gate(&self, nonce: &str) -> Result<(), Failure> {
        let (name, owner, content) = (self.names.nonce.clone(), self.volume.owner, nonce.to_owned());
        let opened = self.make(move |files| files.prepare(owner, &[(&name, content.as_bytes())]));
        let error = match opened.await.ok_or_else(|| self.unanswered())? {
            Ok(_) => return Ok(()),
            Err(error) => missing(error.to_string()),
        };
        // Two servers may take over a Job at the same time: the gate is open, whoever opened it.
        let until = Instant::now() + GATE_WRITE;
        while self.content(&self.names.nonce).await?.as_deref() != Some(nonce.as_bytes()) {
            if Instant::now() >= until {
                return Err(error);
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Makes files on a thread that may block. Whoever drops this half-way leaves nothing: what was made when nobody waited
    /// for it any more is removed.
    async fn make<E: Send + 'static, T: Send + 'static>(
        &self,
        work: impl FnOnce(&RunFiles) -> Result<T, E> + Send + 'static,
    ) -> Option<Result<T, E>> {
        let (files, names) = (self.files.clone(), self.names.clone());
        let making = Making {
            state: Arc::default(),
            files: files.clone(),
            names: names.clone(),
        };
        let state = making.state.clone();
        let made = self
            .volume
            .root
            .volume
            .within(self.volume.budget.limit(VOLUME), move || {
                let made = work(&files);
                if made.is_ok() && !hand_over(&state) {
                    files.remove(names.all());
                }
                made
            });
        let made = made.await;
        if made.is_some() {
            making.is_taken();
        }
        made
    }

    /// Names this server as the holder of the Job: it cleans up behind it from now on, whoever made it. Where nothing can be
    /// written there is no name; when another server took the Job over in the same moment, it is that one's.
    pub(crate) async fn take_over(&self, holder: &str) {
        let (files, name, owner) = (self.files.clone(), self.names.holder.clone(), self.volume.owner);
        let holder = holder.to_owned();
        let written = self.volume.root.volume.within(VOLUME.calm, move || {
            files.remove([name.as_str()]);
            let _ = files.prepare(owner, &[(&name, holder.as_bytes())]);
        });
        // Also when a stop hurries past it, the name is being written.
        let _ = self.volume.budget.within(VOLUME, written).await;
    }

    /// The start record of the pod that ran the agent, if there is one.
    pub(crate) async fn started(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.content(&self.names.started).await
    }

    /// Whether the pod has been let go on.
    pub(crate) async fn gate_is_open(&self) -> Result<bool, Failure> {
        Ok(self.content(&self.names.nonce).await?.is_some())
    }

    /// Whether the pod has written its end record.
    pub(crate) async fn has_ended(&self) -> Result<bool, Failure> {
        Ok(self.content(&self.names.end).await?.is_some())
    }

    /// Whether the log is still there: whoever harvests a run removes it.
    pub(crate) async fn has_log(&self) -> Result<bool, Failure> {
        let place = self.files.place(&self.names.log);
        let look = move || {
            use crate::tail::source::LogSource as _;
            match FileSource::new(place.clone(), true).look() {
                Ok(_) => Ok(true),
                Err(SourceError::Missing) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.answered(look).await
    }

    async fn content(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let (files, name) = (self.files.clone(), name.to_owned());
        self.answered(move || match files.read_small(&name, MAX_RECORD_BYTES) {
            // Neither a pod of ours nor a server made it.
            Err(SourceError::Hostile(_)) => Ok(None),
            read => read,
        })
        .await
    }

    /// What the volume answers. An error is no answer: absent is only what the volume says is absent.
    async fn answered<T: Send + 'static>(
        &self,
        look: impl Fn() -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        let until = Instant::now() + self.volume.budget.limit(VOLUME);
        loop {
            let read = self.volume.root.volume.within(VOLUME.calm, look.clone());
            let read = self.volume.budget.within(VOLUME, read).await.flatten();
            match read {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) if Instant::now() >= until => return Err(missing(error.to_string())),
                Some(Err(_)) => sleep(LOOK_AGAIN * 5).await,
                None => return Err(self.unanswered()),
            }
        }
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
            let source = self.volume.root.volume.log(source);
            hub.follow(source, shown.to_owned(), pace).map_err(|error| {
                Failure::of_input(LOG_INCOMPLETE, format!("no thread to read the log with: {error}"))
            })
        };
        let [log, stderr] = &self.shown;
        Ok((follow(&self.names.log, log)?, follow(&self.names.stderr, stderr)?))
    }

    /// Removes all files of the run.
    pub(crate) async fn remove(&self) {
        let (files, names) = (self.files.clone(), self.names.clone());
        self.volume
            .root
            .volume
            .within(self.volume.budget.limit(VOLUME), move || {
                files.remove(names.all())
            })
            .await;
    }

    fn unanswered(&self) -> Failure {
        missing(format!(
            "the shared volume did not answer within {} s at {}. Look at its mount on the server's node",
            VOLUME.calm.as_secs(),
            self.shown[0]
        ))
    }
}

/// What becomes of files that a thread makes while somebody waits for them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Made {
    #[default]
    NotYet,
    /// Made, and nobody has taken note of it.
    Untaken,
    Taken,
    /// Nobody waits any more.
    Unwanted,
}

/// Somebody waits for files to be made.
struct Making {
    state: Arc<Mutex<Made>>,
    files: RunFiles,
    names: FileNames,
}

impl Making {
    fn is_taken(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Made::Taken;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut made = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *made {
            Made::NotYet => *made = Made::Unwanted,
            Made::Untaken => {
                let (files, names) = (self.files.clone(), self.names.clone());
                tokio::task::spawn_blocking(move || files.remove(names.all()));
            }
            Made::Taken | Made::Unwanted => {}
        }
    }
}

/// The files are made; false when nobody wants them any more.
fn hand_over(state: &Mutex<Made>) -> bool {
    let mut made = state.lock().unwrap_or_else(PoisonError::into_inner);
    if *made == Made::NotYet {
        *made = Made::Untaken;
    }
    *made != Made::Unwanted
}

fn missing(message: String) -> Failure {
    Failure::before_start(SHARED_VOLUME_MISSING, message)
}

/// Random enough to tell volumes apart: the process's own random hash keys.
pub(crate) fn nonce() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
