//! The MCP servers of the company's connections, as opencode's configuration names them. Pure.

use serde_json::{Map, Value, json};

use super::addresses::{Addresses, Reach};
use crate::config::RunSpec;

/// More servers than any company connects; what is beyond is said and left out.
const MOST: usize = 64;
/// Longest name that is shown.
const LONGEST_NAME: usize = 60;

/// The `mcp` member of opencode's configuration; empty without servers. Adds a warning about those that a pod does not
/// reach.
pub(super) fn servers(
    spec: &RunSpec,
    addresses: &Addresses,
    warnings: &mut Vec<String>,
) -> Map<String, Value> {
    let mut all = Map::new();
    let mut unreached: Vec<String> = Vec::new();
    for server in spec.run.mcp_servers.iter().take(MOST) {
        let url = match addresses.reach(&server.url) {
            Reach::AsItIs => server.url.clone(),
            Reach::At(url) => url,
            Reach::Nowhere => {
                unreached.push(server.name.chars().take(LONGEST_NAME).collect());
                server.url.clone()
            }
        };
        let mut remote = json!({"type": "remote", "url": url, "enabled": true});
        if !server.token.is_empty() {
            // The host has logged in already: nobody is there to do it again.
            remote["oauth"] = Value::Bool(false);
            remote["headers"] = json!({"Authorization": format!("Bearer {}", server.token)});
        }
        all.insert(free_name(&all, &server.name), remote);
    }
    if !unreached.is_empty() {
        warnings.push(format!(
            "MCP servers that a pod does not reach, their addresses lead to the pod itself: {}. Set PAPERCLIP_API_URL of the \
             server to an address that pods reach.",
            unreached.join(", ")
        ));
    }
    match spec.run.mcp_servers.len().saturating_sub(MOST) {
        0 => {}
        more => warnings.push(format!(
            "{more} of the company's MCP servers are left out: {MOST} fit."
        )),
    }
    all
}

/// Two connections may have one name.
fn free_name(taken: &Map<String, Value>, name: &str) -> String {
    let name = if name.is_empty() { "mcp" } else { name };
    let mut free = name.to_owned();
    let mut number = 2;
    while taken.contains_key(&free) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

/// Every text with its `$` doubled, for a value in which Kubernetes expands `$(NAME)`.
pub(super) fn doubled(servers: &Map<String, Value>) -> Map<String, Value> {
    let double = |value: &Value| match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Object(members) => Value::Object(doubled(members)),
        other => other.clone(),
    };
    servers
        .iter()
        .map(|(name, value)| (name.replace('$', "$$"), double(value)))
        .collect()
}
