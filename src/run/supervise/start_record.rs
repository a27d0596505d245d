//! Whether the agent was started is the word of its start record, whatever its pod looks like. Pure.

use crate::run::job::end::Cause;

/// The end by what is known of the start; `None` while the volume has to be asked for the start record.
/// `shows_no_start`: the kubelet has ended the pod, and nothing shows that its agent ran.
pub(super) fn by_start_record(
    cause: Cause,
    shows_no_start: bool,
    has_started: Option<bool>,
    is_asked: bool,
) -> Option<Cause> {
    let why = match &cause {
        Cause::NeverStarted(why) => why.clone(),
        Cause::Lost(why) if shows_no_start => why.clone(),
        Cause::Exited(end) if shows_no_start => end.reason.clone().unwrap_or_default(),
        _ => return Some(cause),
    };
    Some(match (has_started, cause) {
        (None, _) if !is_asked => return None,
        (Some(false), _) => Cause::NeverStarted(why),
        // What it printed and used is there to be judged.
        (Some(true), Cause::NeverStarted(_)) => Cause::Lost(why),
        (_, cause) => cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::conditions::ContainerEnd;

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
            assert_eq!(
                by_start_record(never_started(), false, has_started, is_asked),
                end
            );
        }
        assert_eq!(by_start_record(lost.clone(), false, None, false), Some(lost));
    }
    #[test]
    fn a_pod_that_was_rejected_and_took_no_start_record_never_started() {
        let end = ContainerEnd {
            exit_code: 137,
            reason: Some("why".to_owned()),
            message: String::new(),
        };
        for cause in [Cause::Lost("why".to_owned()), Cause::Exited(end)] {
            for (has_started, is_asked, found) in [
                (None, false, None),
                (None, true, Some(cause.clone())),
                (Some(false), true, Some(never_started())),
                (Some(true), true, Some(cause.clone())),
            ] {
                assert_eq!(by_start_record(cause.clone(), true, has_started, is_asked), found);
            }
        }
    }
}
