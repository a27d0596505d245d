//! The MCP servers of the company's connections, as opencode's configuration names them. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::addresses::{Addresses, Reach};
use crate::config::RunSpec;

/// More servers than any company connects; what is beyond is said and left out.
const MOST: usize = 64;
/// Longest name that is shown.
const LONGEST_NAME: usize = 60;
/// Stands for a brace of the host's until the configuration is text. opencode replaces `{env:NAME}` and `{file:PATH}`
/// in that text before it reads it as JSON, and refuses to start where there is no such file.
const BRACE: char = '\u{ffff}';

/// The `mcp` member of opencode's configuration; empty without servers. Adds a warning about those that a pod does not
/// reach.
pub(super) fn servers(
    spec: &RunSpec,
    addresses: &Addresses,
    warnings: &mut Vec<String>,
) -> Map<String, Value> {
    let (mut all, mut taken) = (Map::new(), BTreeSet::new());
    let (mut unreached, mut no_urls) = (Vec::new(), Vec::new());
    for server in spec.run.mcp_servers.iter().take(MOST) {
        let name = free_name(&mut taken, &server.name);
        let shown = || name.chars().take(LONGEST_NAME).collect::<String>();
        let url = match addresses.reach(&server.url) {
            Reach::AsItIs => {
                no_urls.extend((!is_http(&server.url)).then(shown));
                server.url.clone()
            }
            Reach::At(url) => url,
            Reach::Nowhere => {
                unreached.push(shown());
                server.url.clone()
            }
        };
        let mut remote = json!({"type": "remote", "url": without_braces(&url), "enabled": true});
        if !server.token.is_empty() {
            // The host has logged in already: nobody is there to do it again.
            remote["oauth"] = Value::Bool(false);
            remote["headers"] = json!({"Authorization": format!("Bearer {}", without_braces(&server.token))});
        }
        all.insert(without_braces(&name), remote);
    }
    if !no_urls.is_empty() {
        warnings.push(format!(
            "MCP servers that opencode cannot call, their addresses are no http or https URLs: {}. Correct them in the \
             company's connections.",
            no_urls.join(", ")
        ));
    }
    if !unreached.is_empty() {
        warnings.push(format!(
            "MCP servers that a pod does not reach, their addresses lead to the pod itself: {}. Set PAPERCLIP_API_URL \
             of the server to an address that pods reach.",
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

fn is_http(url: &str) -> bool {
    let scheme = url
        .trim()
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

fn without_braces(text: &str) -> String {
    text.replace('{', BRACE.encode_utf8(&mut [0; 4]))
}

/// The text of a configuration with these servers: each of their braces as JSON also writes it.
pub(super) fn with_braces(json: &str) -> String {
    json.replace(BRACE, "\\u007b")
}

/// How the names of a server's tools begin in opencode. Where those of two servers do, one hides the other.
fn start_of_tools(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Two connections may have one name, or names that opencode cannot tell apart.
fn free_name(taken: &mut BTreeSet<String>, name: &str) -> String {
    let name = if name.is_empty() { "mcp" } else { name };
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(start_of_tools(&free)) {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::{RenderRequest, RunSpec};
    use crate::manifest;

    /// opencode's configuration as the pod has it, and what was said of it.
    fn content(servers: Value, env: Value) -> (String, Vec<String>) {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
            "selfPod": {"namespace": "n", "image": "i"}, "mcpServers": servers, "config": {"env": env}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let made = manifest::render(&RunSpec::from_request(request).expect("a spec")).expect("a manifest");
        let job = serde_json::to_value(made.job).expect("JSON");
        let env = job
            .pointer("/spec/template/spec/containers/0/env")
            .and_then(Value::as_array);
        let is_content = |entry: &&Value| entry["name"] == "OPENCODE_CONFIG_CONTENT";
        let entry = env
            .into_iter()
            .flatten()
            .find(is_content)
            .expect("a configuration");
        (entry["value"].as_str().expect("text").to_owned(), made.warnings)
    }

    #[test]
    fn what_the_host_names_is_nothing_that_opencode_replaces() {
        let servers = json!([{"name": "{env:HOME}", "url": "http://h/{file:/gone}", "token": "{env:KEY}"}]);
        let own = json!({"OPENCODE_CONFIG_CONTENT": "{\"model\":\"{env:MODEL}\"}"});
        for (env, kept) in [(json!({}), None), (own, Some("{env:MODEL}"))] {
            let (text, warnings) = content(servers.clone(), env);
            assert!(
                !text.contains("{file:") && !text.contains("{env:HOME}") && !text.contains("{env:KEY}"),
                "{text}"
            );
            let read: Value = serde_json::from_str(&text).expect("JSON");
            let server = &read["mcp"]["{env:HOME}"];
            assert_eq!(server["url"], "http://h/{file:/gone}");
            assert_eq!(server["headers"]["Authorization"], "Bearer {env:KEY}");
            assert_eq!(read["model"].as_str(), kept);
            assert!(
                text.contains(kept.unwrap_or_default()) && warnings.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn servers_whose_tools_would_have_one_name_are_told_apart() {
        let named = |name: &str| json!({"name": name, "url": "http://h/x", "token": "t"});
        let names = ["東京", "大阪", "a b", "a_b", "a b", ""].map(named);
        let (text, _) = content(json!(names), json!({}));
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let all = read["mcp"].as_object().expect("servers");
        let known: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(known, ["東京", "大阪-2", "a b", "a_b-2", "a b-3", "mcp"]);
    }

    #[test]
    fn addresses_that_nobody_can_call_are_named() {
        let servers = json!([{"name": "", "url": "http://localhost:9/x"}, {"name": "b", "url": "/relative"},
            {"name": "c", "url": "ftp://h/x"}, {"name": "d", "url": "HTTPS://h/x"}]);
        let (_, warnings) = content(servers, json!({}));
        let said = |start: &str| {
            warnings
                .iter()
                .find(|text| text.starts_with(start))
                .expect("a warning")
        };
        assert!(said("MCP servers that a pod does not reach").contains("itself: mcp."));
        assert!(said("MCP servers that opencode cannot call").contains("URLs: b, c."));
    }
}
