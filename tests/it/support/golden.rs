//! The golden cases of the manifest, and the requests that the TypeScript half would send for them.

use opencode_k8s::config::{Json, RenderRequest};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../fixtures/manifest/golden.json");

pub(crate) fn cases() -> Vec<Value> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("valid JSON");
    golden.as_array().expect("a list").clone()
}

/// The request that the TypeScript half would send for a golden input; prompt and base environment are its work.
/// Built from ordered values, because the order of environment entries is judged too.
pub(crate) fn request(index: usize) -> RenderRequest {
    let golden = Json::parse(GOLDEN).expect("valid JSON");
    let case = &golden.items()[index];
    let at = |object: &Json, key: &str| object.get(key).cloned().unwrap_or_default();
    let (input, result) = (at(case, "input"), at(case, "result"));
    let context = at(&input, "ctx");
    let agent = at(&context, "agent");
    let base_env = Json::Object(vec![
        ("PAPERCLIP_AGENT_ID".to_owned(), at(&agent, "id")),
        ("PAPERCLIP_COMPANY_ID".to_owned(), at(&agent, "companyId")),
        (
            "PAPERCLIP_API_URL".to_owned(),
            Json::String("http://localhost:3100".to_owned()),
        ),
    ]);
    let mut fields = vec![("baseEnv".to_owned(), base_env)];
    for key in ["runId", "agent", "runtime", "config", "context", "authToken"] {
        fields.push((key.to_owned(), at(&context, key)));
    }
    for key in ["selfPod", "promptSecretName", "retainJobs", "agentDbClaimName"] {
        // `null` and absent differ for the database volume.
        let value = input.entries().iter().find(|(name, _)| name == key);
        fields.extend(value.cloned());
    }
    for key in ["prompt", "promptMetrics"] {
        fields.push((key.to_owned(), at(&result, key)));
    }
    RenderRequest::from_json(&Json::Object(fields).to_string()).expect("a request")
}
