//! Exit codes of the scripts in the pod, in a range that opencode does not use.

/// Another pod of the Job already ran opencode, or the run was harvested; this one did nothing.
pub const SECOND_POD: i32 = 64;
/// The prompt file is missing or shorter than it must be; opencode was not started.
pub const PROMPT_INCOMPLETE: i32 = 65;
/// The log folder or a file in it cannot be written, or the nonce not read; opencode was not started.
pub const LOG_UNWRITABLE: i32 = 66;
/// The pod sees another volume, folder or cluster than the server; opencode was not started.
pub const WRONG_VOLUME: i32 = 67;
/// The log grew over `maxLogBytes`, and opencode was ended.
pub const LOG_TOO_LARGE: i32 = 68;
/// The folder of the agent's database cannot be made; opencode was not started.
pub const DB_UNWRITABLE: i32 = 69;
/// The nonce did not come within a minute: the server did not let this Job run. opencode was not started.
pub const NOT_ADMITTED: i32 = 70;

/// What a code of the scripts means; none for a code of opencode or of a signal.
pub fn describe(code: i32) -> Option<&'static str> {
    row(code).map(|(_, what, _)| *what)
}

/// What a person does about a code whose meaning this text begins with.
pub fn to_do_about(text: &str) -> Option<&'static str> {
    let row = ROWS.iter().find(|(_, what, _)| text.starts_with(what));
    row.map(|(_, _, to_do)| *to_do)
}

fn row(code: i32) -> Option<&'static (i32, &'static str, &'static str)> {
    ROWS.iter().find(|(of, ..)| *of == code)
}

/// Each code, what it means, and what to do.
const ROWS: [(i32, &str, &str); 7] = [
    (
        SECOND_POD,
        "Pod started twice: another pod of this Job had already run the agent, so this one did nothing",
        "Look at what deleted the first pod: a drain, an eviction, a person",
    ),
    (
        PROMPT_INCOMPLETE,
        "Prompt incomplete: it did not reach the pod whole, so the agent was not started",
        "Start the run again; if it repeats, look at the disk of the pod's node",
    ),
    (
        LOG_UNWRITABLE,
        "Volume not writable: the pod cannot write its files on the shared volume, or not read the server's there \
         (read-only, full, or owned by another user)",
        "Let user and group of the pod (1000, or `runAsUser` and `fsGroup`) write there, or free space",
    ),
    (
        WRONG_VOLUME,
        "Not the server's volume: the pod sees another volume, folder or cluster than the server at /paperclip",
        "Compare `dataRoot`, the claim, its subPath and `kubeconfig` with what the server's pod mounts",
    ),
    (
        LOG_TOO_LARGE,
        "Output too large: it grew over maxLogBytes, so the agent was ended",
        "Raise `maxLogBytes`, or make the agent print less",
    ),
    (
        DB_UNWRITABLE,
        "No database folder: the pod cannot make it on the shared volume",
        "Let the pod's user write in instances/default/opencode-db, or free space",
    ),
    (
        NOT_ADMITTED,
        "Job not let on: the server ended, or lost the API server, before it let this Job run",
        "Start the run again",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_codes_are_described() {
        let ours: Vec<i32> = (0..=255).filter(|code| describe(*code).is_some()).collect();
        assert_eq!(ours, [64, 65, 66, 67, 68, 69, 70]);
        assert_eq!(ours, ROWS.map(|(code, ..)| code));
        assert!(
            ours.iter()
                .all(|code| describe(*code).and_then(to_do_about).is_some())
        );
    }

    #[test]
    fn the_scripts_use_exactly_these_codes() {
        let scripts = concat!(include_str!("pod.sh"), include_str!("init.sh"));
        for code in 60..80 {
            let used =
                scripts.contains(&format!("refuse {code} ")) || scripts.contains(&format!("exit {code}\n"));
            assert_eq!(used, describe(code).is_some(), "{code}");
        }
    }
}
