//! Events of this crate as lines of the server's log: JSON, one line each, bounded. They hold ids, codes and numbers,
//! and never what an agent, a prompt or a Secret says: whoever writes an event sees to that.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::writer::LineWriter;

/// Bytes of one value; a longer one is cut.
const VALUE_BYTES: usize = 256;
/// Bytes of one line, with its newline. So much goes into a pipe in one piece or not at all.
const LINE_BYTES: usize = 2_048;
/// Only events of this crate: other crates' may hold anything.
const OWN_TARGET: &str = "opencode_k8s";

/// Writes events of this level and above to the process's stderr. False when something else takes this crate's events
/// already, or there is no thread to write with.
#[must_use]
pub fn install(level: LevelFilter) -> bool {
    if level == LevelFilter::OFF {
        return false;
    }
    let Ok(writer) = LineWriter::start(std::io::stderr()) else {
        return false;
    };
    let lines = Lines { level, writer };
    let subscriber = Registry::default().with(lines);
    tracing::dispatcher::set_global_default(Dispatch::new(subscriber)).is_ok()
}

/// Makes lines of events.
pub(super) struct Lines {
    pub(super) level: LevelFilter,
    pub(super) writer: LineWriter,
}

/// What a span says of the events in it: run, agent, Job.
struct SpanFields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let target = metadata.target();
        let is_own = target.strip_prefix(OWN_TARGET);
        is_own.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields.values));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(known)) = span.extensions_mut().get_mut() {
            let mut fields = Fields {
                values: std::mem::take(known),
            };
            record.record(&mut fields);
            *known = fields.values;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = context.event_scope(event).into_iter().flatten();
        let mut values = fields.values;
        for span in spans {
            if let Some(SpanFields(outer)) = span.extensions().get() {
                for (key, value) in outer {
                    values.entry(key.as_str()).or_insert_with(|| value.clone());
                }
            }
        }
        let metadata = event.metadata();
        self.writer.write(line(now(), *metadata.level(), values));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a line of the log; nothing is decided by it"
)]
fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
    format!("{now:.3}")
}

/// The line of an event: what does not fit any more is left out, the message last of all.
fn line(time: String, level: tracing::Level, mut values: Map<String, Value>) -> String {
    let mut fields = Map::new();
    fields.insert("time".to_owned(), Value::String(time));
    fields.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    fields.insert("name".to_owned(), "paperclip-adapter-opencode-k8s".into());
    let message = values.shift_remove("message").unwrap_or_default();
    fields.insert("msg".to_owned(), message);
    let mut bytes = Value::Object(fields.clone()).to_string().len();
    for (key, value) in values {
        bytes += key.len() + value.to_string().len() + r#","":"#.len();
        if bytes >= LINE_BYTES {
            break;
        }
        // A field of the event cannot take the place of one of the line's own.
        fields.entry(key).or_insert(value);
    }
    let mut line = Value::Object(fields).to_string();
    line.push('\n');
    line
}

/// Fields as JSON, each bounded.
#[derive(Default)]
struct Fields {
    values: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.values.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::default();
        // It fails when the text is full, which is what ends it.
        let _ = write!(text, "{value:?}");
        self.set(field, text.0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Bounded::default();
        let _ = text.write_str(value);
        self.set(field, text.0);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // Seconds: nobody reads more than their thousandths.
        self.set(field, (value * 1e3).round() / 1e3);
    }
}

/// A text that takes no more than [`VALUE_BYTES`].
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() + c.len_utf8() > VALUE_BYTES {
                if !self.0.ends_with('…') {
                    self.0.push('…');
                }
                return Err(fmt::Error);
            }
            // A line break in a value could look like a line of its own to whoever reads the log.
            self.0.push(if c.is_control() { ' ' } else { c });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use tracing::subscriber::with_default;

    use super::*;

    /// The lines of what happens in `work`.
    fn lines_of(level: LevelFilter, work: impl FnOnce()) -> Vec<Value> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let lines = Lines {
            level,
            writer: LineWriter::start(writer).expect("a thread"),
        };
        with_default(Registry::default().with(lines), work);
        let lines = BufReader::new(reader).lines().map(|line| line.expect("text"));
        lines
            .map(|line| {
                assert!(line.len() < LINE_BYTES, "{}", line.len());
                serde_json::from_str(&line).expect("JSON")
            })
            .collect()
    }

    #[test]
    fn an_event_is_one_line_with_its_run() {
        let lines = lines_of(LevelFilter::INFO, || {
            let run = tracing::error_span!("run", run = "r-1", agent = "a", job = tracing::field::Empty);
            let _in = run.enter();
            run.record("job", "agent-1");
            tracing::info!(seconds = 3_u64, "started\nand more");
            tracing::debug!("not this one");
            tracing::info!(target: "opencode_k8sx", "nor this");
            tracing::error!(target: "hyper", "nor that of another crate");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(
            [&line["run"], &line["agent"], &line["job"]],
            ["r-1", "a", "agent-1"]
        );
        assert_eq!(
            (line["level"].as_str(), line["seconds"].as_u64()),
            (Some("info"), Some(3))
        );
        assert_eq!(line["msg"], "started and more");
        let time = line["time"].as_str().expect("a time");
        assert!(
            time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(),
            "{time}"
        );
    }

    #[test]
    fn a_line_is_bounded_whatever_it_holds() {
        let long = "日\u{1b}\"".repeat(5_000);
        let lines = lines_of(LevelFilter::WARN, || {
            tracing::warn!(
                a = %long, b = %long, c = %long, d = %long, e = %long, f = %long, g = %long, h = %long, i = %long,
                j = %long, k = %long, level = "mine", "{long}"
            );
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "warn");
    }
}
