//! Lets opencode do without asking what it asks for by default. The environment carries the configuration: nothing is
//! written to the shared HOME.
//!
//! Nobody answers in a run, so that a question ends it silently. opencode evaluates its permission rules in order, and
//! the last match wins. Rules from the old `tools` switches come first, those from every `permission` later. So
//! switches have the least weight: an operator's rule in a configuration file, in OPENCODE_CONFIG_CONTENT or in
//! OPENCODE_PERMISSION stays in force. Each pattern here matches one permission only, but is another key than an
//! operator's: where the operator denies one folder, the other folders stay allowed.
//!
//! Rules in `permission` cannot do this: beside an operator's `{"external_directory": {"/secrets/*": "deny"}}` they
//! would come last in the same list, or replace it. Neither can `--auto`, which also allows what the user wants asked.
//!
//! One rule is lost: an operator's old switch `tools: {"read": false}` in a configuration file on the volume, because
//! switches of all files come before ours. `permission: {"read": "deny"}` means the same and stays.
//! Measured with opencode 1.18.33; for another version run the tests in tests/it/manifest/permissions again.

use serde_json::{Map, Value};

use super::mcp::with_braces;

/// The variable that holds inline configuration.
pub(crate) const CONFIG_CONTENT: &str = "OPENCODE_CONFIG_CONTENT";

/// Patterns of the permissions that opencode asks for by default: folders outside the working directory, repeated
/// calls, `.env` files.
const DEFAULT_ASKS: [&str; 3] = ["external_director?", "doom_loo?", "rea?"];

/// The user's inline configuration with our MCP servers and, if wanted, with switches that allow the default asks; the
/// user's own servers and switches stay. None when the user's text is no JSON object, such as JSON with comments.
pub(crate) fn merged_content(
    user: Option<&str>,
    allows_asks: bool,
    servers: &Map<String, Value>,
) -> Option<String> {
    let mut content: Map<String, Value> = match user.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => serde_json::from_str(text).ok()?,
        None => Map::new(),
    };
    if !servers.is_empty() {
        let mut all = servers.clone();
        match content.shift_remove("mcp") {
            Some(Value::Object(users)) => all.extend(users),
            Some(Value::Null) | None => {}
            Some(_) => return None,
        }
        content.insert("mcp".to_owned(), Value::Object(all));
    }
    if allows_asks {
        allow_default_asks(&mut content)?;
    }
    let text = Value::Object(content).to_string();
    Some(if servers.is_empty() {
        text
    } else {
        with_braces(&text)
    })
}

fn allow_default_asks(content: &mut Map<String, Value>) -> Option<()> {
    let switches = match content.shift_remove("tools") {
        Some(Value::Object(switches)) => switches,
        Some(Value::Null) | None => Map::new(),
        Some(_) => return None,
    };
    let missing = DEFAULT_ASKS
        .into_iter()
        .filter(|pattern| !switches.contains_key(*pattern));
    let ours = missing.map(|pattern| (pattern.to_owned(), Value::Bool(true)));
    let tools: Map<String, Value> = ours.chain(switches.clone()).collect();
    content.insert("tools".to_owned(), Value::Object(tools));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::merged_content;
    use serde_json::{Map, json};

    fn allow_default_asks(user: Option<&str>) -> Option<String> {
        merged_content(user, true, &Map::new())
    }

    #[test]
    fn our_servers_stand_beside_the_users_own_which_win() {
        let servers = json!({"github": {"type": "remote"}, "mine": {"type": "remote"}});
        let servers = servers.as_object().expect("an object");
        let merged = merged_content(Some(r#"{"mcp":{"mine":{"type":"local"}}}"#), false, servers);
        let text = r#"{"mcp":{"github":{"type":"remote"},"mine":{"type":"local"}}}"#;
        assert_eq!(merged.as_deref(), Some(text));
        assert_eq!(merged_content(Some(r#"{"mcp":5}"#), false, servers), None);
    }

    #[test]
    fn without_a_users_text_only_the_default_asks_are_allowed() {
        let text = r#"{"tools":{"external_director?":true,"doom_loo?":true,"rea?":true}}"#;
        assert_eq!(allow_default_asks(None).as_deref(), Some(text));
        assert_eq!(allow_default_asks(Some(" ")).as_deref(), Some(text));
    }

    #[test]
    fn a_users_text_keeps_every_key_and_wins() {
        let user = r#"{"permission":{"bash":"deny"},"tools":{"rea?":false,"bash":true},"snapshot":false}"#;
        let merged = r#"{"permission":{"bash":"deny"},"snapshot":false,"tools":{"external_director?":true,"doom_loo?":true,"rea?":false,"bash":true}}"#;
        assert_eq!(allow_default_asks(Some(user)).as_deref(), Some(merged));
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for text in ["{ // comment\n}", "[]", "5", r#"{"tools":5}"#] {
            assert_eq!(allow_default_asks(Some(text)), None, "{text}");
        }
    }
}
