//! Finds the files of old runs by a walk through the log folders. No link is followed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::SourceError;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Most runs of one survey; the next one finds more.
const MAX_RUNS: usize = 10_000;
/// Most names of a folder that a survey holds; what is removed makes room for the others.
const MAX_NAMES: usize = 50_000;
/// Most entries of a folder that are read at all.
const MAX_ENTRIES: usize = 2_000_000;
/// No pod waits this long for its start: an empty log without a start record that is older belongs to nobody.
const UNSTARTED_AGE: Duration = Duration::from_secs(24 * 3_600);

/// How the names of a run's files end, by which a survey knows it.
#[derive(Debug, Clone, Copy)]
pub struct RunFileEnds {
    /// The start record's, such as `.started`.
    pub started: &'static str,
    /// The log's.
    pub log: &'static str,
}

/// An old run that left files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRun {
    /// Folder of the company.
    pub company: String,
    /// Folder of the agent.
    pub agent: String,
    /// Id of the run.
    pub run: String,
    /// Whether it has a start record. If not, it has an empty log and no file that tells whose it is.
    pub started: bool,
    /// For how long its files have not changed.
    pub age: Duration,
}

/// Runs below `logs` (`<company>/<agent>/<run>…`) whose files did not change for as long as `age_of(company, agent)`, and
/// those that were never started and are a day old.
///
/// # Errors
/// When the log folder itself cannot be read; what cannot be read below it is left out.
pub fn old_runs(
    logs: &Path,
    ends: RunFileEnds,
    age_of: impl Fn(&str, &str) -> Duration,
    now: SystemTime,
) -> Result<Vec<OldRun>, SourceError> {
    let root = fs::open(logs, FOLDER, Mode::empty())?;
    let mut found = Vec::new();
    for company in names(&root) {
        let Ok(of_company) = fs::openat(&root, company.as_str(), FOLDER, Mode::empty()) else {
            continue;
        };
        for agent in names(&of_company) {
            let Ok(folder) = fs::openat(&of_company, agent.as_str(), FOLDER, Mode::empty()) else {
                continue;
            };
            let age = age_of(&company, &agent);
            let old = names(&folder)
                .into_iter()
                .filter_map(|name| old_run(&folder, &name, ends, age, now));
            let room = MAX_RUNS - found.len();
            found.extend(old.take(room).map(|(run, started, age)| OldRun {
                company: company.clone(),
                agent: agent.clone(),
                run,
                started,
                age,
            }));
        }
    }
    Ok(found)
}

/// The old run that a file belongs to, whether it was started, and its age. Each run is found by one of its files: by its start
/// record, or by its log where there is none.
fn old_run(
    folder: &OwnedFd,
    name: &str,
    ends: RunFileEnds,
    age: Duration,
    now: SystemTime,
) -> Option<(String, bool, Duration)> {
    if let Some(run) = name.strip_suffix(ends.started) {
        let log = format!("{run}{}", ends.log);
        let youngest = age_at(folder, name, now)?.min(age_at(folder, &log, now)?);
        return (youngest >= age).then(|| (run.to_owned(), true, youngest));
    }
    let run = name.strip_suffix(ends.log)?;
    let started = format!("{run}{}", ends.started);
    let found = fs::statat(folder, started.as_str(), AtFlags::SYMLINK_NOFOLLOW);
    let absent = found.is_err_and(|errno| errno == Errno::NOENT);
    let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let youngest = age_at(folder, name, now)?;
    let old = youngest >= age.max(UNSTARTED_AGE);
    (absent && stat.st_size == 0 && old).then(|| (run.to_owned(), false, youngest))
}

/// The names in a folder, and no more of them than a survey looks at.
fn names(folder: impl std::os::fd::AsFd) -> Vec<String> {
    names_with(folder, "", MAX_NAMES)
}

/// The beginnings of the names that end so. Whatever else lies in the folder costs no memory.
pub(super) fn names_with(folder: impl std::os::fd::AsFd, end: &str, limit: usize) -> Vec<String> {
    let Ok(entries) = Dir::read_from(folder) else {
        return Vec::new();
    };
    let names = entries.take(MAX_ENTRIES).filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str().ok()?;
        let is_name = name != "." && name != "..";
        name.strip_suffix(end).filter(|_| is_name).map(str::to_owned)
    });
    names.take(limit).collect()
}

/// For how long the file did not change: for ever when it is not there, and unknown when the volume does not say or it
/// has changed since.
fn age_at(folder: impl std::os::fd::AsFd, name: &str, now: SystemTime) -> Option<Duration> {
    let stat = match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Some(Duration::MAX),
        Err(_) => return None,
    };
    let seconds = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
    let changed = SystemTime::UNIX_EPOCH.checked_add(seconds)?;
    now.duration_since(changed).ok()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test makes what the survey is to find"
)]
mod tests {
    use super::*;

    fn old_runs(logs: &Path, age: Duration, now: SystemTime) -> Result<Vec<OldRun>, SourceError> {
        let ends = RunFileEnds {
            started: ".pod.started",
            log: ".pod.ndjson",
        };
        let mut found = super::old_runs(logs, ends, |_, _| age, now)?;
        // How old a file of this moment is differs from look to look.
        found.iter_mut().for_each(|run| run.age = age);
        Ok(found)
    }

    #[test]
    fn only_runs_of_the_right_form_and_age_are_found() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("c/a");
        std::fs::create_dir_all(&folder).expect("folders");
        for name in ["r-1.pod.started", "r-1.pod.ndjson", "r-2.pod.ndjson", "x.started"] {
            std::fs::write(folder.join(name), "x").expect("a file");
        }
        std::os::unix::fs::symlink(&folder, root.path().join("c/link")).expect("a link");
        let run = OldRun {
            company: "c".to_owned(),
            agent: "a".to_owned(),
            run: "r-1".to_owned(),
            started: true,
            age: Duration::ZERO,
        };
        assert_eq!(
            old_runs(root.path(), Duration::ZERO, SystemTime::now()),
            Ok(vec![run.clone()])
        );
        std::fs::write(folder.join("r-3.pod.ndjson"), "").expect("a file");
        let later = SystemTime::now() + UNSTARTED_AGE;
        let mut old = old_runs(root.path(), Duration::ZERO, later).expect("runs");
        old.sort_by(|a, b| a.run.cmp(&b.run));
        let never = OldRun {
            run: "r-3".to_owned(),
            started: false,
            ..run.clone()
        };
        assert_eq!(
            old,
            [run, never],
            "r-2 has a log and no start record: nobody knows whose it is"
        );
        assert_eq!(
            old_runs(root.path(), Duration::from_secs(3_600), SystemTime::now()),
            Ok(vec![])
        );
        assert!(old_runs(&root.path().join("absent"), Duration::ZERO, SystemTime::now()).is_err());
    }
}
