//! The golden cases of the manifest, and the requests that the TypeScript half would send for them.

use opencode_k8s::config::RenderRequest;
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("../../../fixtures/manifest/golden.json");

pub(crate) fn cases() -> Vec<Value> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("valid JSON");
    golden.as_array().expect("a list").clone()
}

/// A value of a golden configuration that the TypeScript adapter dropped without a word. CONTRACT.md 9.9 wins over the
/// golden results there.
pub(crate) struct Dropped {
    pub(crate) field: &'static str,
    /// As JSON text.
    pub(crate) value: &'static str,
    /// The field that is refused; none where the value is read as what it says.
    pub(crate) refused: Option<&'static str>,
    /// JSON text of what gives the golden result instead.
    instead: &'static str,
}

impl Dropped {
    pub(crate) fn is(&self, value: &Value) -> bool {
        serde_json::from_str::<Value>(self.value).expect("valid JSON") == *value
    }
}

const fn dropped(
    field: &'static str,
    value: &'static str,
    refused: Option<&'static str>,
    instead: &'static str,
) -> Dropped {
    Dropped {
        field,
        value,
        refused,
        instead,
    }
}

pub(crate) const MEANT: [Dropped; 12] = [
    dropped("timeoutSec", r#""60""#, None, "0"),
    dropped("dangerouslySkipPermissions", r#""false""#, None, "true"),
    dropped("extraArgs", r#""not-an-array""#, None, "[]"),
    dropped("resources", r#""bad""#, Some("resources"), "null"),
    dropped(
        "resources",
        r#"{"requests":"bad"}"#,
        Some("resources.requests"),
        "null",
    ),
    dropped("env", r#""bad""#, Some("env"), "null"),
    dropped(
        "env",
        r#"{"PAPERCLIP_RUN_ID":"override","N":5,"O":{"a":1}}"#,
        Some("env.O"),
        r#"{"PAPERCLIP_RUN_ID":"override"}"#,
    ),
    dropped("nodeSelector", "42", Some("nodeSelector"), r#""""#),
    dropped("nodeSelector", r#"["x"]"#, Some("nodeSelector"), r#""""#),
    dropped("nodeSelector", r#""{bad json""#, Some("nodeSelector"), r#""""#),
    dropped("nodeSelector", r#"{"a":1,"b":"x"}"#, None, r#"{"b":"x"}"#),
    dropped(
        "nodeSelector",
        r#""a=b\n# c\n\n kubernetes.io/arch = amd64 \nbad\n=x\ny=""#,
        Some("nodeSelector"),
        r#""a=b\n# c\n\n kubernetes.io/arch = amd64 \ny=""#,
    ),
];

/// The request that gives the golden result.
pub(crate) fn request(index: usize) -> RenderRequest {
    let mut request = request_as_written(index);
    for meant in MEANT {
        if let Some(value) = request.config.get_mut(meant.field)
            && meant.is(value)
        {
            *value = serde_json::from_str(meant.instead).expect("valid JSON");
        }
    }
    request
}

/// The request that the TypeScript half would send for a golden input; prompt and base environment are its work.
pub(crate) fn request_as_written(index: usize) -> RenderRequest {
    let case = &cases()[index];
    let (input, result) = (&case["input"], &case["result"]);
    let context = &input["ctx"];
    let mut request = json!({"baseEnv": {
        "PAPERCLIP_AGENT_ID": context["agent"]["id"],
        "PAPERCLIP_COMPANY_ID": context["agent"]["companyId"],
        "PAPERCLIP_API_URL": "http://localhost:3100",
    }});
    for key in ["runId", "agent", "runtime", "config", "context", "authToken"] {
        request[key] = context[key].clone();
    }
    for key in ["selfPod", "promptSecretName", "retainJobs", "agentDbClaimName"] {
        // `null` and absent differ for the database volume.
        if let Some(value) = input.get(key) {
            request[key] = value.clone();
        }
    }
    for key in ["prompt", "promptMetrics"] {
        request[key] = result[key].clone();
    }
    RenderRequest::from_json(&request.to_string()).expect("a request")
}
