//! The large texts of a Job that its caller has as well: written into JSON and read out of it they would be most of the
//! cost of a manifest.

use k8s_openapi::api::batch::v1::Job;
use serde::Serialize;

use super::command::pod_script;
use super::env::is_doubled;
use super::names::{OPENCODE_CONTAINER, PROMPT_CONTAINER};

/// Where the script stands in the agent's command.
const SCRIPT_WORD: usize = 2;

/// Where such a text belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KnownTexts {
    /// The container whose third word is [`pod_script`].
    script: Option<usize>,
    /// The init container and the variable whose value is the prompt, each `$` doubled.
    prompt: Option<(usize, usize)>,
}

/// Empties these texts, and says where they were. What a patch has changed stays.
pub fn take_known_texts(job: &mut Job, prompt: &str) -> KnownTexts {
    let mut found = KnownTexts::default();
    let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else {
        return found;
    };
    for (index, container) in pod.containers.iter_mut().enumerate() {
        let words = container.command.iter_mut().flatten();
        let script = words.skip(SCRIPT_WORD).take(1);
        for script in script.filter(|_| container.name == OPENCODE_CONTAINER) {
            if script == pod_script() {
                script.clear();
                found.script = Some(index);
            }
        }
    }
    for (index, container) in pod.init_containers.iter_mut().flatten().enumerate() {
        let entries = container.env.iter_mut().flatten().enumerate();
        for (place, entry) in entries.filter(|_| container.name == PROMPT_CONTAINER) {
            if entry.name == "PROMPT_CONTENT"
                && entry
                    .value
                    .as_ref()
                    .is_some_and(|value| is_doubled(value, prompt))
            {
                entry.value = Some(String::new());
                found.prompt = Some((index, place));
            }
        }
    }
    found
}
