//! What the agent does now, by its last lines. opencode prints a tool call when it has ended, and a text when it is
//! complete.

use super::bounded;
use super::event::js_trim;

/// Bytes of a tool's name that are kept.
const TOOL_BYTES: usize = 256;
/// Bytes of the end of a text that are kept.
const TEXT_BYTES: usize = 4 << 10;

/// What the last event of a stream is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum LastEvent {
    /// There is none.
    #[default]
    Nothing,
    /// A step begins.
    StepStarted,
    /// A step has ended.
    StepFinished,
    /// A text, or thoughts.
    Text,
    /// A tool call that has ended.
    ToolCall,
    /// An error.
    Error,
}

/// What an agent's last lines say that it does.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The tool that it used last, if no text came since.
    pub tool: Option<String>,
    /// The end of its last text. Hostile, as everything from a pod.
    pub words: Option<String>,
}

impl Activity {
    pub(super) fn uses(&mut self, tool: &str) {
        let tool = bounded::prefix(tool, TOOL_BYTES);
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
        self.words = Some(bounded::suffix(text, TEXT_BYTES).to_owned());
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
                .is_some_and(|words| words.len() <= TEXT_BYTES && words.len() > TEXT_BYTES - 4)
        );
    }
}
