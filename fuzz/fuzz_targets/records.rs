//! Any bytes as a start record, an end record or a termination message: nothing panics, what is taken is of its run.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/tail/record.rs"]
#[allow(dead_code)]
mod record;

use record::{EndRecord, MAX_RECORD_BYTES, StartRecord, split_termination_message};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let end = EndRecord::parse(&text, "r-1");
    if let Some(record) = &end {
        assert!(record.run == "r-1" && record.v == 1 && record.pod.len() <= MAX_RECORD_BYTES);
        assert!(record.sha256.as_ref().is_none_or(|sum| sum.len() == 64));
    }
    assert!(EndRecord::parse(&text, "r-1\u{1}").is_none(), "a run of another name");
    let (record, rest) = split_termination_message(&text, "r-1");
    assert!(record == end && text.contains(rest));
    if let Some(record) = StartRecord::parse(data, "r-1", "n", "c") {
        assert!(record.run == "r-1" && record.namespace == "n" && record.cluster == "c");
    }
    if let Some(record) = StartRecord::of_any_place(data, "r-1") {
        assert_eq!(record.run, "r-1");
    }
});
