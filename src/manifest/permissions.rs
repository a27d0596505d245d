//! What opencode may do without asking, handed over by environment: nothing is written to the shared HOME.
//!
//! In a run nobody answers, so an ask that is left ends the run silently (OPENCODE.md, fact 2). opencode evaluates
//! permission rules in order and the last match wins; it makes rules of the old `tools` switches first and merges every
//! source of `permission` over them. Switches are therefore the weakest place there is: an operator's rule in any
//! configuration file, in OPENCODE_CONFIG_CONTENT or in OPENCODE_PERMISSION comes later and stays. The patterns match
//! exactly one permission each, but as other keys than the operator's own they are not replaced by them: a single
//! denied folder leaves the other folders allowed.
//!
//! Rules in `permission` cannot do this: added to an operator's `{"external_directory": {"/secrets/*": "deny"}}` they
//! come last in the same list, or replace it. Neither can `--auto`, which also says yes to what the user wants asked.
//!
//! One thing this cannot keep: an operator's old switch `tools: {"read": false}` in a configuration file on the volume,
//! because switches of all files come before ours. `permission: {"read": "deny"}` says the same and stays.
//! Measured with opencode 1.18.33: tests/it/manifest/permissions, to be run again with every other version.

use serde_json::{Map, Value};

/// The variable that holds inline configuration.
pub(crate) const CONFIG_CONTENT: &str = "OPENCODE_CONFIG_CONTENT";

/// Patterns of what opencode asks for by default: folders outside the working directory, repeated calls, `.env` files.
const DEFAULT_ASKS: [&str; 3] = ["external_director?", "doom_loo?", "rea?"];

/// Inline configuration that allows the default asks, below what the user's own inline configuration says.
/// None when the user's own text is no JSON object, such as JSON with comments.
pub(crate) fn allow_default_asks(user: Option<&str>) -> Option<String> {
    let mut content: Map<String, Value> = match user.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => serde_json::from_str(text).ok()?,
        None => Map::new(),
    };
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
    Some(Value::Object(content).to_string())
}

#[cfg(test)]
mod tests {
    use super::allow_default_asks;

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
