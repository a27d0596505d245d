//! Tells once which opencode is at work, as the pod's start record names it. It decides nothing.

use crate::opencode::TESTED_VERSION;
use crate::run::job::handle::JobHandle;

/// How many looks at a running pod may find no start record: the pod makes it first of all.
const MAX_LOOKS: u8 = 5;

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct VersionLine {
    looks: u8,
    is_over: bool,
}

impl VersionLine {
    /// The line, where this look is the first that finds the version. Nothing is said of one that is unknown.
    pub(super) async fn next(&mut self, handle: &JobHandle) -> Option<String> {
        if self.is_over {
            return None;
        }
        self.looks += 1;
        // A volume that does not answer is not asked again: nothing waits for this.
        let answer = handle.start_record().await;
        self.is_over = !matches!(answer, Some(None)) || self.looks >= MAX_LOOKS;
        answer??.opencode.map(|version| line(&version))
    }
}

fn line(version: &str) -> String {
    if version == TESTED_VERSION {
        return format!("opencode {version} is at work");
    }
    format!("opencode {version} is at work (this adapter was tested with {TESTED_VERSION})")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn another_version_than_the_tested_one_is_told_beside_it() {
        assert_eq!(
            line(super::TESTED_VERSION),
            format!("opencode {} is at work", super::TESTED_VERSION)
        );
        let other = line("9.0.1");
        assert!(
            other.starts_with("opencode 9.0.1 ") && other.contains(super::TESTED_VERSION),
            "{other}"
        );
    }
}
