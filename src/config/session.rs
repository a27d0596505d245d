//! The stored session of an agent: every old spelling is read, one is written, and one decision says whether a run
//! resumes it.

use serde_json::{Map, Value};

use super::Runtime;
use crate::ids::is_id;

/// The folder that opencode really ran in. The host writes another `cwd` into a stored session when the issue's project
/// gets a workspace; opencode cannot be moved like that and hangs.
pub const SESSION_CWD: &str = "sessionCwd";

/// Name that is written, and the spellings that are read, in order of preference.
const KEYS: [(&str, &[&str]); 6] = [
    ("sessionId", &["sessionId", "session_id", "sessionID"]),
    ("cwd", &["cwd", "workdir", "folder"]),
    (SESSION_CWD, &[SESSION_CWD]),
    ("workspaceId", &["workspaceId", "workspace_id"]),
    ("repoUrl", &["repoUrl", "repo_url"]),
    ("repoRef", &["repoRef", "repo_ref"]),
];

/// Whether a run goes on with the stored session. Both the argument list and the shape of the prompt follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The session to resume; none starts a fresh one.
    pub session_id: Option<String>,
    /// What to tell the user when a stored session is not resumed although resuming is on.
    pub note: Option<String>,
}

/// Reads what the host stored; without a session id there is no session.
pub fn deserialize(raw: &Value) -> Option<Value> {
    display_id(raw)?;
    let mut session = Map::new();
    for (name, spellings) in KEYS {
        if let Some(text) = first_text(raw, spellings) {
            session.insert(name.to_owned(), Value::String(text.to_owned()));
        }
    }
    Some(Value::Object(session))
}

/// What the host is to store; the same shape that [`deserialize`] gives.
pub fn serialize(params: &Value) -> Option<Value> {
    deserialize(params)
}

/// The session id for people to read; none where the stored text is no id.
pub fn display_id(params: &Value) -> Option<String> {
    first_text(params, KEYS[0].1)
        .filter(|id| is_id(id))
        .map(str::to_owned)
}

/// The session that the host has stored for this run, resumed or not.
pub fn stored_id(runtime: &Runtime) -> Option<String> {
    let stored = display_id(&runtime.session_params);
    let legacy = runtime
        .session_id
        .as_deref()
        .map(str::trim)
        .filter(|id| is_id(id));
    stored.or_else(|| legacy.map(str::to_owned))
}

/// Whether something is stored where an id should be.
fn has_stored(runtime: &Runtime) -> bool {
    let legacy = runtime.session_id.as_deref().map(str::trim);
    let params = &runtime.session_params;
    first_text(params, KEYS[0].1).is_some() || legacy.is_some_and(|id| !id.is_empty())
}

/// Decides whether this run resumes the stored session.
///
/// opencode hangs for ever when a session is resumed from another working directory, so a session that was left in
/// another one is not resumed; an unknown directory counts as the same.
pub fn resume(runtime: &Runtime, here: &str, is_wanted: bool) -> Resume {
    if !is_wanted {
        return Resume::default();
    }
    let Some(id) = stored_id(runtime) else {
        // The text itself is not repeated: whoever wrote it may not be whom the reader thinks of.
        let said = "The stored session is no id of opencode's: starting a fresh session.";
        return Resume {
            session_id: None,
            note: has_stored(runtime).then(|| said.to_owned()),
        };
    };
    let params = &runtime.session_params;
    let left_in = first_text(params, &[SESSION_CWD]).or_else(|| first_text(params, KEYS[1].1));
    match left_in {
        Some(left) if !same_dir(left, here) => Resume {
            session_id: None,
            note: Some(format!(
                "Session {id} was left in {left}, this run works in {here}: starting a fresh session."
            )),
        },
        _ => Resume {
            session_id: Some(id),
            note: None,
        },
    }
}

fn same_dir(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

fn first_text<'a>(object: &'a Value, spellings: &[&str]) -> Option<&'a str> {
    let texts = spellings.iter().filter_map(|key| object.get(key)?.as_str());
    texts.map(str::trim).find(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RenderRequest, Settings, working_dir};

    fn of(text: &str) -> Resume {
        let request = RenderRequest::from_json(text).expect("valid");
        let settings = Settings::read(&request).expect("valid");
        let here = working_dir(&request.context, &settings);
        resume(&request.runtime, here, settings.resume_last_session)
    }

    #[test]
    fn every_key_a_run_writes_round_trips() {
        let params = serde_json::json!({
            "sessionId": "ses_1", "cwd": "/w", "workspaceId": "ws", "repoUrl": "https://x", "repoRef": "main"
        });
        assert_eq!(serialize(&params), Some(params.clone()));
        assert_eq!(deserialize(&params), Some(params.clone()));
        assert_eq!(display_id(&params).as_deref(), Some("ses_1"));
    }

    #[test]
    fn a_stored_session_is_resumed_from_params_before_the_legacy_id() {
        let both = r#"{"runtime":{"sessionId":"old","sessionParams":{"session_id":"ses_1"}}}"#;
        assert_eq!(of(both).session_id.as_deref(), Some("ses_1"));
        let legacy = r#"{"runtime":{"sessionId":"old","sessionParams":{"sessionId":""}}}"#;
        assert_eq!(of(legacy).session_id.as_deref(), Some("old"));
        assert_eq!(of(r#"{"runtime":{"sessionId":"  "}}"#), Resume::default());
    }

    #[test]
    fn what_is_no_id_never_becomes_an_argument() {
        for id in [
            "--attach=http://x",
            "-s",
            "_a",
            "ses 1",
            "ses/1",
            "é",
            &"a".repeat(129),
        ] {
            let params = serde_json::json!({"sessionId": id, "cwd": "/w"});
            assert_eq!(deserialize(&params), None, "{id}");
            assert_eq!(display_id(&params), None, "{id}");
            let stored = serde_json::json!({"runtime": {"sessionId": id, "sessionParams": params}});
            let resume = of(&stored.to_string());
            assert_eq!(resume.session_id, None, "{id}");
            assert!(
                resume
                    .note
                    .is_some_and(|note| note.starts_with("The stored session is no id")),
                "{id}"
            );
        }
        let mixed = r#"{"runtime":{"sessionId":"ses_1","sessionParams":{"sessionId":"--attach=http://x"}}}"#;
        assert_eq!(of(mixed).session_id.as_deref(), Some("ses_1"));
        let longest = format!(r#"{{"runtime":{{"sessionId":"{}"}}}}"#, "a".repeat(128));
        assert!(of(&longest).session_id.is_some());
    }

    #[test]
    fn switched_off_means_no_session_and_no_note() {
        let off = r#"{"runtime":{"sessionId":"s"},"config":{"resumeLastSession":false}}"#;
        assert_eq!(of(off), Resume::default());
        let text = r#"{"runtime":{"sessionId":"s"},"config":{"resumeLastSession":"false"}}"#;
        assert_eq!(of(text), Resume::default(), "a text means what it says");
    }

    #[test]
    fn a_session_that_the_host_moved_is_still_where_it_was() {
        let moved = of(
            r#"{"runtime":{"sessionParams":{"sessionId":"s","cwd":"/project","sessionCwd":"/home"}},"config":{"cwd":"/project"}}"#,
        );
        assert_eq!(moved.session_id, None);
        assert!(moved.note.is_some_and(|note| note.contains("/home")));
        let back = of(
            r#"{"runtime":{"sessionParams":{"sessionId":"s","cwd":"/project","sessionCwd":"/home"}},"config":{"cwd":"/home"}}"#,
        );
        assert_eq!(back.session_id.as_deref(), Some("s"));
    }

    #[test]
    fn another_working_directory_starts_afresh_and_says_so() {
        let moved =
            of(r#"{"runtime":{"sessionParams":{"sessionId":"s","workdir":"/a"}},"config":{"cwd":"/b"}}"#);
        assert_eq!(moved.session_id, None);
        assert!(
            moved
                .note
                .is_some_and(|note| note.contains("/a") && note.contains("/b"))
        );
        let same = of(r#"{"runtime":{"sessionParams":{"sessionId":"s","cwd":"/b/"}},"config":{"cwd":"/b"}}"#);
        assert_eq!(
            same,
            Resume {
                session_id: Some("s".into()),
                note: None
            }
        );
    }
}
