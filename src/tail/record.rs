//! The records that a pod leaves on the volume: the start record before it starts opencode, the end record when
//! opencode has exited. What a pod wrote is hostile input. Pure.

use serde::{Deserialize, Deserializer};

/// No record is longer: the kubelet keeps this much of a termination message.
pub const MAX_RECORD_BYTES: usize = 4_096;

/// Which pod started opencode, and what for: the line of `<runId>.pod.started`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StartRecord {
    /// Id of the run.
    pub run: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Uid of the cluster's namespace, which tells clusters apart that share a volume; empty where it may not be read.
    pub cluster: String,
    /// The task's id; as a label value where it is too long.
    #[serde(default)]
    pub task: Option<String>,
    /// The working directory; absent when it was too long.
    #[serde(default)]
    pub cwd: Option<String>,
    /// For how many seconds its files are to stay.
    #[serde(default)]
    pub keep: Option<u64>,
    /// The version of opencode, as the package in the image names it. A word to print.
    #[serde(default, deserialize_with = "version")]
    pub opencode: Option<String>,
}

/// Bytes of the longest version.
const MAX_VERSION_BYTES: usize = 40;

/// A version; none for anything else, which does not spoil the record.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
    let given = match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        _ => return Ok(None),
    };
    let is_version = given.len() <= MAX_VERSION_BYTES
        && given.starts_with(|c: char| c.is_ascii_digit())
        && given.bytes().all(is_plain);
    Ok(is_version.then_some(given))
}

impl StartRecord {
    /// Reads the record of `run`, if a pod of this namespace and cluster wrote it; anything else is `None`.
    #[must_use]
    pub fn parse(text: &[u8], run: &str, namespace: &str, cluster: &str) -> Option<Self> {
        Self::of_any_place(text, run)
            .filter(|record| record.namespace == namespace && record.cluster == cluster)
    }

    /// Reads the record of `run`, whichever namespace and cluster its pod was in.
    #[must_use]
    pub fn of_any_place(text: &[u8], run: &str) -> Option<Self> {
        let record: Self = serde_json::from_slice(text).ok()?;
        (record.run == run).then_some(record)
    }
}

/// How opencode exited, and what its log holds: the line of `<runId>.pod.end.json`, and the first line of the
/// container's termination message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndRecord {
    /// Version of the record's form: 1.
    pub v: u32,
    /// Id of the run.
    pub run: String,
    /// Name of the pod.
    #[serde(default)]
    pub pod: String,
    /// opencode's exit status as the shell saw it: 128 + n for signal n.
    pub exit: i32,
    /// The signal that ended opencode, if one did.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Size of the log in bytes.
    pub bytes: u64,
    /// Size of the stderr file in bytes.
    #[serde(default)]
    pub err_bytes: u64,
    /// SHA-256 of the log in lower-case hex; absent where the image has no `sha256sum`.
    #[serde(default)]
    pub sha256: Option<String>,
    /// `log_too_large` when the script ended opencode for that reason; `log_lost` when the volume has not taken all
    /// that opencode wrote.
    #[serde(default)]
    pub reason: Option<String>,
}

impl EndRecord {
    /// Reads the record of `run` from the first line of `text`; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str, run: &str) -> Option<Self> {
        let line = text.lines().next()?;
        if line.len() > MAX_RECORD_BYTES || !line.starts_with('{') {
            return None;
        }
        let mut record: Self = serde_json::from_str(line).ok()?;
        let bytes = record.bytes;
        record.sha256 = record.sha256.filter(|sha256| is_digest_of(bytes, sha256));
        (record.v == 1 && record.run == run).then_some(record)
    }
}

/// Whether this can be the SHA-256 of so many bytes. A `head` or `sha256sum` that does not know its options leaves the
/// digest of nothing, or none.
fn is_digest_of(bytes: u64, sha256: &str) -> bool {
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    sha256.len() == OF_NOTHING.len() && sha256.bytes().all(is_hex) && (bytes == 0 || sha256 != OF_NOTHING)
}

/// The end record in a container's termination message, if there is one, and the rest as text for a person.
#[must_use]
pub fn split_termination_message<'a>(message: &'a str, run: &str) -> (Option<EndRecord>, &'a str) {
    match EndRecord::parse(message, run) {
        Some(record) => (
            Some(record),
            message.split_once('\n').map_or("", |(_, rest)| rest).trim(),
        ),
        None => (None, message.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"v":1,"run":"r-1","pod":"p","exit":7,"signal":null,"bytes":12,"errBytes":3,"sha256":"ab","reason":null}"#;

    #[test]
    fn the_record_is_the_first_line_and_the_rest_is_stderr() {
        let message = format!("{LINE}\nError: Session not found\n");
        let (record, rest) = split_termination_message(&message, "r-1");
        let record = record.expect("a record");
        assert_eq!((record.exit, record.bytes, record.err_bytes), (7, 12, 3));
        assert_eq!(rest, "Error: Session not found");
    }

    #[test]
    fn a_start_record_of_another_run_namespace_or_cluster_is_none() {
        let line = br#"{"v":1,"run":"r-1","pod":"p","podUid":"u","namespace":"n","cluster":"c","cwd":"/w"}"#;
        let read = |run, namespace, cluster| StartRecord::parse(line, run, namespace, cluster);
        let record = read("r-1", "n", "c").expect("a record");
        assert_eq!((record.cwd.as_deref(), record.task), (Some("/w"), None));
        assert_eq!(read("r-2", "n", "c"), None);
        assert_eq!(read("r-1", "m", "c"), None);
        assert_eq!(read("r-1", "n", "d"), None);
        assert_eq!(StartRecord::parse(b"r-1", "r-1", "n", "c"), None);
    }

    #[test]
    fn a_version_is_a_short_plain_word_and_spoils_no_record() {
        let long = format!("\"1.{}\"", "0".repeat(50));
        for (said, version) in [
            (r#""1.18.33""#, Some("1.18.33")),
            (r#""2.0.0-beta.4+5""#, Some("2.0.0-beta.4+5")),
            (r#""1\u001b[31m""#, None),
            (r#""Ignore all""#, None),
            ("7", None),
            (r#"{"a":1}"#, None),
            ("null", None),
            (long.as_str(), None),
        ] {
            let line = format!(r#"{{"run":"r-1","namespace":"n","cluster":"c","opencode":{said}}}"#);
            let record = StartRecord::of_any_place(line.as_bytes(), "r-1").expect("a record");
            assert_eq!(record.opencode.as_deref(), version, "{said}");
        }
    }

    #[test]
    fn a_record_of_another_run_or_form_is_no_record() {
        assert_eq!(EndRecord::parse(LINE, "r-2"), None);
        assert_eq!(EndRecord::parse("{\"v\":2}", "r-1"), None);
        assert_eq!(EndRecord::parse("sh: opencode: not found", "r-1"), None);
        let (record, rest) = split_termination_message("killed", "r-1");
        assert_eq!((record, rest), (None, "killed"));
    }
}
