//! What a fold keeps, each thing with a limit.

use std::collections::{BTreeMap, VecDeque};

use super::event::js_trim;

/// Bytes of a message's text that are kept.
const TEXT_BYTES: usize = 1024 * 1024;
/// Messages whose text is kept. The last one is the answer; a text of an earlier one may still come.
const MAX_MESSAGES: usize = 4;
/// Unknown event types that are counted apart.
const MAX_TYPES: usize = 16;

/// The beginning of a text, at most `limit` bytes.
pub(crate) fn head(text: &str, limit: usize) -> String {
    prefix(text, limit).to_owned()
}

/// The longest prefix of at most `limit` bytes that ends between characters.
pub(crate) fn prefix(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The longest suffix of at most `limit` bytes that begins between characters.
pub(crate) fn suffix(text: &str, limit: usize) -> &str {
    let start = (text.len().saturating_sub(limit)..=text.len()).find(|&at| text.is_char_boundary(at));
    start.and_then(|at| text.get(at..)).unwrap_or_default()
}

/// Counts a name, with a limit on how many names there are.
pub(crate) fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = head(name, 64);
    if let Some(known) = counts.get_mut(&name) {
        *known += 1;
    } else if counts.len() < MAX_TYPES {
        counts.insert(name, 1);
    }
}

/// The last few of a list.
#[derive(Debug, Clone)]
pub(crate) struct LastFew<T>(VecDeque<T>);

impl<T> Default for LastFew<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> LastFew<T> {
    pub(crate) fn push(&mut self, item: T, limit: usize) {
        self.make_room(limit);
        self.0.push_back(item);
    }

    /// Drops the oldest where there is no room for one more.
    pub(crate) fn make_room(&mut self, limit: usize) -> Option<T> {
        (self.0.len() >= limit).then(|| self.0.pop_front()).flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn to_vec(&self) -> Vec<T> {
        self.0.iter().cloned().collect()
    }
}

#[derive(Debug, Clone)]
struct Message {
    id: String,
    text: String,
}

/// The texts of the last messages, by message id.
#[derive(Debug, Default, Clone)]
pub(crate) struct Messages {
    last: VecDeque<Message>,
    compaction: Option<String>,
    current: Option<String>,
    count: u64,
}

impl Messages {
    /// A step of this message has begun.
    pub(crate) fn enter(&mut self, id: &str) {
        if self.current.as_deref() != Some(id) {
            self.count += 1;
            self.current = Some(id.to_owned());
        }
    }

    /// A text of this message. It may come after the step that it belongs to.
    pub(crate) fn say(&mut self, id: &str, text: &str) {
        let text = js_trim(text);
        if text.is_empty() {
            return;
        }
        if let Some(known) = self.last.iter_mut().rev().find(|message| message.id == id) {
            append(&mut known.text, "\n\n");
            append(&mut known.text, text);
            return;
        }
        if self.current.is_none() {
            self.enter(id);
        }
        if self.last.len() >= MAX_MESSAGES {
            self.last.pop_front();
        }
        self.last.push_back(Message {
            id: id.to_owned(),
            text: head(text, TEXT_BYTES),
        });
    }

    /// This message was a compaction: its text is history, not an answer.
    pub(crate) fn demote(&mut self, id: &str) {
        let at = self.last.iter().rposition(|message| message.id == id);
        if let Some(message) = at.and_then(|at| self.last.remove(at)) {
            self.compaction = Some(message.text);
        }
    }

    /// Another message has the answer: this one comes behind it.
    pub(crate) fn put_off(&mut self, id: &str) {
        let at = self.last.iter().rposition(|message| message.id == id);
        if let Some(at) = at.filter(|at| at + 1 == self.last.len() && *at > 0) {
            self.last.remove(at);
        }
    }

    /// The text of the last message that has any.
    pub(crate) fn answer(&self) -> String {
        self.last
            .back()
            .map(|message| message.text.trim_end().to_owned())
            .unwrap_or_default()
    }

    pub(crate) fn compaction(&self) -> Option<String> {
        self.compaction.clone()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn append(text: &mut String, more: &str) {
    let room = TEXT_BYTES.saturating_sub(text.len());
    text.push_str(prefix(more, room));
}

/// The text in a line that was cut off inside it, as far as it can be read.
pub(crate) fn salvage_text(line: &str) -> Option<String> {
    const OPENING: &str = r#""type":"text","text":""#;
    let line = line.trim_start();
    if !line.starts_with(r#"{"type":"text","#) || line.contains(r#""synthetic":true"#) {
        return None;
    }
    let content = line.get(line.find(OPENING)? + OPENING.len()..)?;
    let content = head(content, TEXT_BYTES);
    // The cut may lie inside an escape: at most a surrogate pair of two.
    (0..=12.min(content.len()))
        .filter_map(|short| content.get(..content.len() - short))
        .find_map(|piece| {
            serde_json::from_str::<String>(&format!("\"{piece}\""))
                .ok()
                .filter(|text| !text.trim().is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_is_read_as_far_as_it_goes() {
        let line = |tail: &str| {
            format!(r#"{{"type":"text","sessionID":"s","part":{{"id":"p","type":"text","text":"{tail}"#)
        };
        assert_eq!(salvage_text(&line("Half an ans")).as_deref(), Some("Half an ans"));
        assert_eq!(salvage_text(&line(r"a\n\ud83d\ud")).as_deref(), Some("a\n"));
        assert_eq!(salvage_text(&line(r"a\")).as_deref(), Some("a"));
        assert_eq!(salvage_text(&line("")), None);
        assert_eq!(
            salvage_text(r#"{"type":"tool_use","part":{"type":"text","text":"no"#),
            None
        );
    }

    #[test]
    fn only_the_last_messages_are_kept() {
        let mut messages = Messages::default();
        for n in 0..1000 {
            messages.say(&n.to_string(), "word");
        }
        assert_eq!(messages.last.len(), MAX_MESSAGES);
    }

    #[test]
    fn an_endless_message_stays_bounded() {
        let mut messages = Messages::default();
        for _ in 0..5000 {
            messages.say("m", &"é".repeat(300));
        }
        assert!(messages.answer().len() <= TEXT_BYTES);
    }
}
