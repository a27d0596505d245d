//! What the cluster says about a Job and its pods in events: whatever refuses a pod tells nobody else. Listing events
//! is an optional right.

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

use super::ClusterError;
use super::answer::shown;
use super::verbs::{Namespace, call};

/// How many events of one object are read.
const MAX_EVENTS: u32 = 50;
/// How many texts are kept.
const MAX_TEXTS: usize = 4;

impl Namespace {
    /// What is wrong with the objects of these uids, as `Reason: message`, the latest first and each once.
    ///
    /// # Errors
    /// What the API server answered.
    pub async fn warnings_about(&self, uids: &[String]) -> Result<Vec<String>, ClusterError> {
        let mut found = Vec::new();
        for uid in uids {
            let of_object = ListParams::default()
                .fields(&format!("involvedObject.uid={uid}"))
                .limit(MAX_EVENTS);
            let list = call("list", "events", self.events.list(&of_object)).await?;
            found.extend(list.items);
        }
        Ok(warnings(found))
    }
}

/// The texts of warnings. Pure.
fn warnings(mut events: Vec<Event>) -> Vec<String> {
    events.retain(|event| event.type_.as_deref() == Some("Warning"));
    events.sort_by_key(|event| std::cmp::Reverse(last_seen(event)));
    let mut texts: Vec<String> = Vec::new();
    for event in events {
        let reason = event.reason.unwrap_or_default();
        let text = shown(&format!("{reason}: {}", event.message.unwrap_or_default()));
        if texts.len() < MAX_TEXTS && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn last_seen(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| time.0);
    let counted = event.last_timestamp.as_ref().map(|time| time.0);
    let made = event.event_time.as_ref().map(|time| time.0);
    [series, counted, made].into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, reason: &str, message: &str, at: &str) -> Event {
        serde_json::from_value(
            json!({"metadata": {}, "involvedObject": {}, "type": kind, "reason": reason,
            "message": message, "lastTimestamp": at}),
        )
        .expect("an event")
    }

    #[test]
    fn warnings_are_told_once_the_latest_first() {
        let quota = "pods \"x\" is forbidden: exceeded quota: q\nmore";
        let mut events = vec![
            event("Normal", "Scheduled", "assigned", "2026-01-01T10:00:03Z"),
            event("Warning", "FailedCreate", quota, "2026-01-01T10:00:01Z"),
            event("Warning", "FailedCreate", quota, "2026-01-01T10:00:02Z"),
            event("Warning", "FailedMount", "no claim", "2026-01-01T10:00:05Z"),
        ];
        let said = [
            "FailedMount: no claim",
            "FailedCreate: pods \"x\" is forbidden: exceeded quota: q",
        ];
        assert_eq!(warnings(events.clone()), said);
        events.extend((0..20).map(|at| event("Warning", "Failed", &at.to_string(), "2026-01-01T10:00:00Z")));
        assert_eq!(warnings(events).len(), MAX_TEXTS);
        assert_eq!(warnings(Vec::new()), Vec::<String>::new());
    }
}
