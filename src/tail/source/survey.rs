//! Finds the files of old runs by a walk through the log folders. No link is followed.

use std::hash::{BuildHasher as _, RandomState};
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
/// Most runs of one survey, and of one agent in it; the next one finds more.
const MAX_RUNS: usize = 10_000;
const MAX_RUNS_OF_AGENT: usize = 1_000;
/// Most names of a folder that a survey holds: of more, any.
const MAX_NAMES: usize = 50_000;
/// Most entries that are read at all, of a folder and of all together.
const MAX_ENTRIES: usize = 2_000_000;
/// So many entries are read before somebody is asked again whether it is late.
const LOOKED_AT_ONCE: usize = 256;
/// Most files that are looked at.
const MAX_LOOKS: usize = 1_000_000;
/// No pod waits this long for its start: an empty log without a start record that is older belongs to nobody.
const UNSTARTED_AGE: Duration = Duration::from_secs(24 * 3_600);

/// How the names of a run's files end, by which a survey knows it.
#[derive(Debug, Clone, Copy)]
pub struct RunFileEnds {
    /// The start record's, such as `.started`.
    pub started: &'static str,
    /// The log's.
    pub log: &'static str,
    /// Those of the files beside them.
    pub others: &'static [&'static str],
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
    /// Whether it has a start record. If not, it has an empty log or none, and no file that tells whose it is.
    pub started: bool,
    /// For how long its files have not changed.
    pub age: Duration,
}

/// Runs below `logs` (`<company>/<agent>/<run>…`) whose files did not change for as long as `age_of(company, agent)`,
/// and those that were never started and are a day old. Agents can make any number of folders and files there: what one
/// survey leaves out because of its bounds is chance, and not the work of whoever made the most.
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
    let of_runs = [&[ends.started, ends.log], ends.others].concat();
    let mut found = Vec::new();
    let mut left = Bounds {
        entries: MAX_ENTRIES,
        looks: MAX_LOOKS,
    };
    for company in left.names(&root, &[""]) {
        let Ok(of_company) = fs::openat(&root, company.as_str(), FOLDER, Mode::empty()) else {
            continue;
        };
        for agent in left.names(&of_company, &[""]) {
            if found.len() >= MAX_RUNS || left.is_nothing() {
                return Ok(found);
            }
            let Ok(folder) = fs::openat(&of_company, agent.as_str(), FOLDER, Mode::empty()) else {
                continue;
            };
            let age = age_of(&company, &agent);
            let mut room = MAX_RUNS_OF_AGENT.min(MAX_RUNS - found.len());
            for name in left.names(&folder, &of_runs) {
                if room == 0 || left.looks == 0 {
                    break;
                }
                left.looks -= 1;
                if let Some((run, started, age)) = old_run(&folder, &name, ends, age, now) {
                    room -= 1;
                    let (company, agent) = (company.clone(), agent.clone());
                    found.push(OldRun {
                        company,
                        agent,
                        run,
                        started,
                        age,
                    });
                }
            }
        }
    }
    Ok(found)
}

/// What a survey may still do.
struct Bounds {
    entries: usize,
    looks: usize,
}

impl Bounds {
    fn is_nothing(&self) -> bool {
        self.entries == 0 || self.looks == 0
    }

    /// The names in a folder that have one of these ends, in an order that nobody can foresee.
    fn names(&mut self, folder: impl std::os::fd::AsFd, ends: &[&str]) -> Vec<String> {
        // To open a folder is work, too.
        self.entries = self.entries.saturating_sub(1);
        let has_end = |name: &str| ends.iter().any(|end| name.ends_with(end));
        // What cannot be read is left to the next survey.
        let sampled = sample(
            folder,
            |name| has_end(name).then_some(name),
            MAX_NAMES,
            self.entries,
            || false,
        );
        let mut names = sampled.names;
        self.entries -= sampled.read;
        names.sort_by_cached_key(|_| random());
        names
    }
}

/// The old run that a file belongs to, whether it was started, and its age. A run is found by its start record, by its
/// log where there is none, and by what else is left where there is neither.
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
    let is_absent = |run: &str, end: &str| {
        let found = fs::statat(folder, format!("{run}{end}").as_str(), AtFlags::SYMLINK_NOFOLLOW);
        found.is_err_and(|errno| errno == Errno::NOENT)
    };
    let (run, is_nobodys) = if let Some(run) = name.strip_suffix(ends.log) {
        let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (run, stat.st_size == 0)
    } else {
        let run = ends.others.iter().find_map(|end| name.strip_suffix(end))?;
        (run, is_absent(run, ends.log))
    };
    let youngest = age_at(folder, name, now)?;
    let is_old = youngest >= age.max(UNSTARTED_AGE);
    (is_nobodys && is_old && is_absent(run, ends.started)).then(|| (run.to_owned(), false, youngest))
}

/// The beginnings of the names that end so: at most `limit`, of more any, and those that are read before it is late.
/// Whatever else lies in the folder costs no memory.
///
/// # Errors
/// When the folder cannot be read to its end.
pub(super) fn names_with(
    folder: impl std::os::fd::AsFd,
    end: &str,
    limit: usize,
    is_late: impl Fn() -> bool,
) -> Result<Vec<String>, Errno> {
    let sampled = sample(folder, |name| name.strip_suffix(end), limit, MAX_ENTRIES, is_late);
    sampled.failed.map_or(Ok(sampled.names), Err)
}

/// Names of a folder.
#[derive(Debug, Default)]
struct Sample {
    names: Vec<String>,
    /// How many entries were read.
    read: usize,
    /// Why not all could be.
    failed: Option<Errno>,
}

/// What `pick` takes of the names in a folder. Each name has the same chance: whoever fills a folder does not hide what
/// others have in it for ever.
fn sample(
    folder: impl std::os::fd::AsFd,
    pick: impl Fn(&str) -> Option<&str>,
    limit: usize,
    most: usize,
    is_late: impl Fn() -> bool,
) -> Sample {
    let mut sampled = Sample::default();
    let mut seen = 0_u64;
    let entries = match Dir::read_from(folder) {
        Ok(entries) => entries,
        Err(errno) => {
            sampled.failed = Some(errno);
            return sampled;
        }
    };
    let names = &mut sampled.names;
    for entry in entries.take(most) {
        if sampled.read % LOOKED_AT_ONCE == 0 && is_late() {
            break;
        }
        sampled.read += 1;
        let entry = match entry {
            Ok(entry) => entry,
            Err(errno) => {
                sampled.failed = Some(errno);
                break;
            }
        };
        let name = entry.file_name().to_str().ok();
        let Some(name) = name.filter(|name| *name != "." && *name != "..").and_then(&pick) else {
            continue;
        };
        seen += 1;
        if names.len() < limit {
            names.push(name.to_owned());
        } else if let Ok(place) = usize::try_from(random() % seen)
            && let Some(chosen) = names.get_mut(place)
        {
            name.clone_into(chosen);
        }
    }
    sampled
}

/// A number that nobody can foresee, from the standard library's random hash keys.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// For how long the file did not change: for ever when it is not there, and unknown when the volume does not say or it
/// has changed since.
fn age_at(folder: impl std::os::fd::AsFd, name: &str, now: SystemTime) -> Option<Duration> {
    let stat = match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Some(Duration::MAX),
        Err(_) => return None,
    };
    let since = |seconds: i64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        now.duration_since(SystemTime::UNIX_EPOCH.checked_add(seconds)?)
            .ok()
    };
    // Whoever may write a file may say that it changes in the year 2100; when that was said, the kernel notes.
    since(stat.st_mtime).or_else(|| since(stat.st_ctime))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test makes what the survey is to find"
)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    fn old_runs(logs: &Path, age: Duration, now: SystemTime) -> Result<Vec<OldRun>, SourceError> {
        let ends = RunFileEnds {
            started: ".pod.started",
            log: ".pod.ndjson",
            others: &[".pod.usage"],
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
        for name in ["r-3.pod.ndjson", "r-4.pod.usage", "r-2.pod.usage"] {
            std::fs::write(folder.join(name), "").expect("a file");
        }
        let later = SystemTime::now() + UNSTARTED_AGE;
        let mut old = old_runs(root.path(), Duration::ZERO, later).expect("runs");
        old.sort_by(|a, b| a.run.cmp(&b.run));
        let never = |id: &str| OldRun {
            run: id.to_owned(),
            started: false,
            ..run.clone()
        };
        assert_eq!(
            old,
            [run.clone(), never("r-3"), never("r-4")],
            "r-2 has a log and no start record: nobody knows whose it is"
        );
        assert_eq!(
            old_runs(root.path(), Duration::from_secs(3_600), SystemTime::now()),
            Ok(vec![])
        );
        assert!(old_runs(&root.path().join("absent"), Duration::ZERO, SystemTime::now()).is_err());
    }

    #[test]
    fn a_file_that_says_it_changes_in_a_hundred_years_is_as_old_as_the_kernel_says() {
        let root = tempfile::tempdir().expect("a folder");
        let at = root.path().join("c/a/r-1.pod.started");
        std::fs::create_dir_all(root.path().join("c/a")).expect("folders");
        let file = std::fs::File::create(&at).expect("a file");
        let in_a_century = SystemTime::now() + Duration::from_secs(100 * 365 * 86_400);
        file.set_modified(in_a_century).expect("a time");
        let in_two_days = SystemTime::now() + Duration::from_secs(2 * 86_400);
        let old = old_runs(root.path(), Duration::from_secs(86_400), in_two_days).expect("runs");
        assert_eq!(old.len(), 1);
    }

    #[test]
    fn names_of_a_folder_that_cannot_be_read_are_not_none() {
        let root = tempfile::tempdir().expect("a folder");
        let file = std::fs::File::create(root.path().join("r.pod.nonce")).expect("a file");
        let of_root = fs::open(root.path(), FOLDER, Mode::empty()).expect("a folder");
        let names = |handle, is_late: bool| names_with(handle, ".pod.nonce", 9, || is_late);
        assert_eq!(names(of_root.as_fd(), false), Ok(vec!["r".to_owned()]));
        assert_eq!(
            names(of_root.as_fd(), true),
            Ok(vec![]),
            "a volume that lists slowly"
        );
        assert_eq!(names(file.as_fd(), false), Err(Errno::NOTDIR));
    }

    /// Whoever fills a folder, or makes folders without end, neither hides what others have nor keeps a thread.
    #[test]
    fn of_too_many_names_any_are_taken() {
        let root = tempfile::tempdir().expect("a folder");
        for n in 0..300 {
            std::fs::write(root.path().join(format!("{n}.laid")), "").expect("a file");
        }
        std::fs::write(root.path().join("run.pod.started"), "").expect("a file");
        let handle = || fs::open(root.path(), FOLDER, Mode::empty()).expect("a folder");
        let take = |most| sample(handle(), |name| Some(name), 30, most, || false);
        let is_seen = |_| take(400).names.iter().any(|name| name == "run.pod.started");
        assert!((0..1_000).any(is_seen), "each look has a chance of a tenth");
        assert_eq!(take(400).names.len(), 30);
        assert_eq!(take(7).read, 7);
        let mut left = Bounds { entries: 0, looks: 1 };
        assert_eq!(left.names(handle(), &[""; 2]), Vec::<String>::new());
        left.entries = 400;
        assert_eq!(
            left.names(handle(), &[".pod.started", ".pod.ndjson"]),
            ["run.pod.started"]
        );
        assert!(left.entries < 110, "{}", left.entries);
    }
}
