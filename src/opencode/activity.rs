//! What the agent does at a moment. opencode tells of a tool when it has ended, and of a text when it is written.

use super::bounded;
use super::event::js_trim;

/// Longest name of a tool that is kept.
const TOOL: usize = 256;
/// How much of the end of a text is kept.
const WORDS: usize = 4 << 10;

/// What an agent's last lines tell.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The tool that it used last, if it has said nothing since.
    pub tool: Option<String>,
    /// The end of its last text. As hostile as everything from a pod.
    pub words: Option<String>,
}

impl Activity {
    pub(super) fn uses(&mut self, tool: &str) {
        let tool = bounded::prefix(tool, TOOL);
        if !tool.is_empty() && self.tool.as_deref() != Some(tool) {
            self.tool = Some(tool.to_owned());
        }
    }

    pub(super) fn says(&mut self, text: &str) {
        let text = js_trim(text);
        if text.is_empty() {
            return;
        }
        self.tool = None;
        let from = text.len().saturating_sub(WORDS);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
        self.words = from.and_then(|at| text.get(at..)).map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_counts_until_the_agent_speaks() {
        let mut activity = Activity::default();
        activity.says("I look into it.");
        activity.uses("bash");
        activity.says("  ");
        assert_eq!(
            (activity.tool.as_deref(), activity.words.as_deref()),
            (Some("bash"), Some("I look into it."))
        );
        activity.says("Done.\n");
        assert_eq!(
            (activity.tool.as_deref(), activity.words.as_deref()),
            (None, Some("Done."))
        );
        activity.says(&"日".repeat(5_000));
        assert!(
            activity
                .words
                .is_some_and(|words| words.len() <= WORDS && words.len() > WORDS - 4)
        );
    }
}
