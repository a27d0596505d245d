//! The session codec against the golden cases.

use opencode_k8s::config::session::{deserialize, display_id, serialize};
use serde_json::Value;

#[test]
fn every_golden_case_agrees() {
    let golden: Value =
        serde_json::from_str(include_str!("../../../fixtures/session/golden.json")).expect("valid JSON");
    let cases = golden.as_array().expect("a list");
    assert!(cases.len() > 50);
    for case in cases {
        let (raw, params) = (&case["raw"], &case["params"]);
        assert_eq!(
            deserialize(raw).unwrap_or_default(),
            case["deserialized"],
            "{raw}"
        );
        assert_eq!(
            serialize(params).unwrap_or_default(),
            case["serialized"],
            "{params}"
        );
        assert_eq!(
            display_id(params).map_or(Value::Null, Value::String),
            case["displayId"],
            "{params}"
        );
    }
}
