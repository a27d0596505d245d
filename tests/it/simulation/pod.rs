//! What the pod's two containers do, as `src/manifest/init.sh` and `pod.sh` do it, with a scripted opencode.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::World;
use super::opencode::{Exit, Script};

/// How a container ends.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Ended {
    fn refused(code: i32, why: &str) -> Self {
        Self {
            code,
            message: format!("paperclip: {why}\n"),
        }
    }
}

/// A pod on its node.
pub(crate) struct Pod {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) job_uid: String,
    base: PathBuf,
    nonce: String,
    run: String,
    namespace: String,
    facts: String,
    session: Option<String>,
}

impl Pod {
    pub(crate) fn of(world: &Arc<World>, pod: &Value) -> Self {
        let word = |container: &Value, at: usize| {
            container["command"][at]
                .as_str()
                .unwrap_or_default()
                .replace("$$", "$")
        };
        let (init, main) = (&pod["spec"]["initContainers"][0], &pod["spec"]["containers"][0]);
        let words = main["command"].as_array().unwrap();
        let session = words
            .iter()
            .position(|word| word == "--session")
            .and_then(|at| words[at + 1].as_str());
        Self {
            world: world.clone(),
            name: pod["metadata"]["name"].as_str().unwrap().to_owned(),
            uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(),
            job_uid: super::api::owner(pod).unwrap().to_owned(),
            base: world.volume.on_server(&word(main, 7)),
            nonce: word(init, 5),
            run: word(main, 4),
            namespace: word(main, 5),
            facts: word(main, 6),
            session: session.map(str::to_owned),
        }
    }

    pub(crate) fn run_id(&self) -> &str {
        &self.run
    }

    fn file(&self, end: &str) -> PathBuf {
        let name = self.base.file_name().unwrap().to_str().unwrap();
        self.base.with_file_name(format!("{name}.{end}"))
    }

    /// The init container: waits at the gate.
    pub(crate) async fn init(&self) -> Ended {
        fs::create_dir_all(self.base.parent().unwrap()).unwrap();
        if !self.nonce.is_empty() {
            let is_open = |file: &Path| fs::metadata(file).is_ok_and(|found| found.len() > 0);
            let mut looks = 300;
            while self.file("ndjson").exists() && !is_open(&self.file("nonce")) {
                if looks == 0 {
                    return Ended::refused(
                        70,
                        "the server did not say within a minute that this Job may run",
                    );
                }
                looks -= 1;
                sleep(Duration::from_millis(200)).await;
            }
            if fs::read_to_string(self.file("nonce")).ok().as_deref() != Some(&self.nonce) {
                return Ended::refused(67, "the nonce is not what the server wrote");
            }
        }
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.file("ndjson"));
        Ended {
            code: 0,
            message: String::new(),
        }
    }

    /// The main container. `asked` turns true when its kubelet sends TERM.
    pub(crate) async fn main(&self, script: Script, asked: watch::Receiver<bool>) -> Ended {
        let record = format!(
            "{{\"v\":1,\"run\":\"{}\",\"pod\":\"{}\",\"podUid\":\"{}\",\"namespace\":\"{}\",{}}}\n",
            self.run, self.name, self.uid, self.namespace, self.facts
        );
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.file("started"))
        {
            Ok(mut started) => started.write_all(record.as_bytes()).unwrap(),
            Err(_) if self.file("started").exists() => {
                return Ended::refused(64, "another pod of this Job already ran the agent");
            }
            Err(_) => return Ended::refused(66, "cannot write to the log folder"),
        }
        self.world.volume.stamp(&self.file("started"));
        self.hiccup().await;
        if !self.nonce.is_empty()
            && fs::read_to_string(self.file("nonce")).ok().as_deref() != Some(&self.nonce)
        {
            let _ = fs::remove_file(self.file("started"));
            return Ended::refused(64, "this run is over");
        }
        let open = |end| OpenOptions::new().append(true).create(true).open(self.file(end));
        let (Ok(mut log), Ok(mut err)) = (open("ndjson"), open("stderr.log")) else {
            return Ended::refused(66, "cannot write the log");
        };
        let status = self.agent(script, asked, &mut log, &mut err).await;
        self.hiccup().await;
        self.last_words(status).await
    }

    /// A process may be held up between any two calls.
    async fn hiccup(&self) {
        let pause = self.world.draw(|dice| {
            if dice.once_in(20) {
                dice.millis(1, 3_000)
            } else {
                Duration::ZERO
            }
        });
        sleep(pause).await;
    }

    async fn agent(
        &self,
        script: Script,
        mut asked: watch::Receiver<bool>,
        log: &mut File,
        err: &mut File,
    ) -> i32 {
        let truth = &self.world.truth;
        truth.opencode_starts(&self.world, &self.job_uid, &self.run, &self.name);
        let session = self
            .session
            .clone()
            .unwrap_or_else(|| format!("ses_{}", self.run.replace('-', "")));
        let ignores_term = script.ignores_term;
        let work = async {
            for (at, step) in script.steps.iter().enumerate() {
                sleep(step.takes).await;
                for line in step.lines(&session, &self.run, at) {
                    // A process writes a line in pieces when it is long.
                    let (first, rest) = line.split_at(line.len() / 2);
                    let cut = self.world.draw(|dice| dice.once_in(30));
                    if cut {
                        log.write_all(first.as_bytes()).unwrap();
                        self.world.volume.stamp(&self.file("ndjson"));
                        sleep(Duration::from_millis(700)).await;
                        log.write_all(rest.as_bytes()).unwrap();
                    } else {
                        log.write_all(line.as_bytes()).unwrap();
                    }
                    self.world.volume.stamp(&self.file("ndjson"));
                    truth.line(&self.run, &line);
                }
                // With `retainJobs` a log stays that was harvested; its nonce does not.
                let is_harvested = self.world.plan.retain && !self.file("nonce").exists();
                let is_over = is_harvested || !self.file("ndjson").exists();
                truth.step(&self.world, &self.run, step.weight, is_over);
            }
            for line in &script.stderr {
                writeln!(err, "{line}").unwrap();
            }
            match script.exit {
                Exit::Code(code) => code,
                Exit::Hangs => std::future::pending().await,
            }
        };
        let ended = async {
            let _ = asked.wait_for(|asked| *asked).await;
            if ignores_term {
                sleep(Duration::from_millis(9_600)).await;
                137
            } else {
                sleep(Duration::from_millis(300)).await;
                143
            }
        };
        let status = tokio::select! {
            biased;
            status = work => status,
            status = ended => status,
        };
        truth.opencode_ends(&self.world, &self.job_uid, &self.run, status);
        status
    }

    async fn last_words(&self, status: i32) -> Ended {
        let mut stderr = String::new();
        let _ = File::open(self.file("stderr.log")).and_then(|mut file| file.read_to_string(&mut stderr));
        let Ok(log) = fs::read(self.file("ndjson")) else {
            return Ended {
                code: status,
                message: "paperclip: this run is over: the log is not there any more\n".to_owned(),
            };
        };
        let sum: String = Sha256::digest(&log)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let signal = (status > 128).then_some(status - 128);
        let record = json!({"v": 1, "run": self.run, "pod": self.name, "exit": status, "signal": signal,
            "bytes": log.len(), "errBytes": stderr.len(), "sha256": sum, "reason": null});
        let name = self.base.file_name().unwrap().to_str().unwrap();
        let draft = self.base.with_file_name(format!(".{name}.end"));
        let _ = fs::write(&draft, format!("{record}\n"));
        self.hiccup().await;
        let _ = fs::rename(&draft, self.file("end.json"));
        self.world.story.tell(format!(
            "pod {} has written its end record: exit {status}",
            self.name
        ));
        Ended {
            code: status,
            message: format!("{record}\n{stderr}"),
        }
    }
}

/// Work that a kill ends at once: `None` when it did.
pub(crate) async fn unless_killed<T>(
    killed: &mut watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = killed.wait_for(|killed| *killed) => None,
        done = work => Some(done),
    }
}

/// A wait that others may cut short.
pub(crate) async fn within(limit: Duration, work: impl Future<Output = ()>) {
    let _ = timeout(limit, work).await;
}
