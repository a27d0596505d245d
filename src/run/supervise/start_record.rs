//! Whether the agent was started is the word of its start record, whatever its pod looks like. Pure.

use crate::run::job::end::Cause;

/// The end by what is known of the start; `None` while the volume has to be asked for the start record.
pub(super) fn by_start_record(cause: Cause, has_started: Option<bool>, is_asked: bool) -> Option<Cause> {
    let Cause::NeverStarted(why) = cause else {
        return Some(cause);
    };
    match has_started {
        // What it printed and used is there to be judged.
        Some(true) => Some(Cause::Lost(why)),
        None if !is_asked => None,
        Some(false) | None => Some(Cause::NeverStarted(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never_started() -> Cause {
        Cause::NeverStarted("why".to_owned())
    }

    #[test]
    fn an_agent_that_took_its_start_record_has_started() {
        let lost = Cause::Lost("why".to_owned());
        for (has_started, is_asked, end) in [
            (None, false, None),
            (None, true, Some(never_started())),
            (Some(false), true, Some(never_started())),
            (Some(true), true, Some(lost.clone())),
        ] {
            assert_eq!(by_start_record(never_started(), has_started, is_asked), end);
        }
        assert_eq!(by_start_record(lost.clone(), None, false), Some(lost));
    }
}
