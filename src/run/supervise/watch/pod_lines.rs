//! What the run's log says of its pod: the name once, then what changed, and nothing that lasted less than a second.
//! Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// A state that another one follows sooner is not said.
const SETTLED: Duration = Duration::from_secs(1);

/// What was said of the pod, and what may be said next.
#[derive(Debug, Default)]
pub(super) struct PodLines {
    is_named: bool,
    said: Vec<String>,
    seen: Option<(Vec<String>, Instant)>,
}

impl PodLines {
    /// The line about a state that has stood long enough, or else the moment at which it will have.
    pub(super) fn about(
        &mut self,
        name: &str,
        state: Vec<String>,
        now: Instant,
    ) -> Result<Option<String>, Instant> {
        let since = match &self.seen {
            Some((seen, since)) if *seen == state => *since,
            _ => now,
        };
        self.seen = Some((state.clone(), since));
        let changed: Vec<&str> = state
            .iter()
            .filter(|part| !self.said.contains(part))
            .map(String::as_str)
            .collect();
        if changed.is_empty() {
            return Ok(None);
        }
        if now - since < SETTLED {
            return Err(since + SETTLED);
        }
        let line = format!("{}: {}", self.named(name), changed.join(", "));
        self.said = state;
        Ok(Some(line))
    }

    /// The agent's container runs, which is said at once.
    pub(super) fn running(&mut self, name: &str, state: Vec<String>) -> String {
        self.said = state;
        match self.is_named {
            true => "Pod running".to_owned(),
            false => {
                self.is_named = true;
                format!("Pod running: {name}")
            }
        }
    }

    fn named(&mut self, name: &str) -> String {
        match std::mem::replace(&mut self.is_named, true) {
            true => "Pod".to_owned(),
            false => format!("Pod {name}"),
        }
    }
}

/// An event for whoever looks for the node of a run.
pub(super) fn on_node(job: &str, pod: &str, node: &str) -> Value {
    json!({
        "eventType": "opencode_k8s.pod",
        "stream": "system",
        "level": "info",
        "message": format!("Pod {pod} is on node {node}"),
        "payload": {"job": job, "pod": pod, "node": node},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(state: &[&str]) -> Vec<String> {
        state.iter().map(|part| (*part).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_said_when_it_has_stood_a_second_with_what_changed() {
        let mut lines = PodLines::default();
        let start = Instant::now();
        let pending = parts(&["phase=Pending"]);
        let waiting = parts(&["phase=Pending", "opencode: waiting"]);
        assert_eq!(lines.about("p", pending.clone(), start), Err(start + SETTLED));
        // It changes before its second is over, which begins again.
        let later = start + SETTLED / 2;
        assert_eq!(lines.about("p", waiting.clone(), later), Err(later + SETTLED));
        let settled = later + SETTLED;
        let line = lines.about("p", waiting.clone(), settled);
        assert_eq!(
            line,
            Ok(Some("Pod p: phase=Pending, opencode: waiting".to_owned()))
        );
        assert_eq!(lines.about("p", waiting, settled + SETTLED), Ok(None));
        let pulled = parts(&["phase=Pending", "opencode: running"]);
        let at = settled + SETTLED;
        assert_eq!(lines.about("p", pulled.clone(), at), Err(at + SETTLED));
        assert_eq!(
            lines.about("p", pulled.clone(), at + SETTLED),
            Ok(Some("Pod: opencode: running".to_owned()))
        );
        assert_eq!(lines.running("p", pulled), "Pod running");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_starts_at_once_is_one_line() {
        let mut lines = PodLines::default();
        let now = Instant::now();
        assert!(lines.about("p", parts(&["phase=Pending"]), now).is_err());
        let running = parts(&["phase=Running", "opencode: running"]);
        assert_eq!(lines.running("p", running.clone()), "Pod running: p");
        assert_eq!(lines.about("p", running, now + SETTLED), Ok(None));
    }
}
