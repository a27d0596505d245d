//! Which fields of the host's context a run is made of. The context holds much more, and only these cross over from
//! JavaScript: their names are in `context-fields.json`, for both sides.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

const WORKSPACE: &str = "paperclipWorkspace";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContextFields {
    context: Vec<String>,
    paperclip_workspace: Vec<String>,
}

static FIELDS: LazyLock<ContextFields> =
    LazyLock::new(|| serde_json::from_str(include_str!("context-fields.json")).unwrap_or_default());

/// Reads a context and keeps the fields that are listed: whoever reads another one finds nothing.
pub(super) fn listed<'de, D: Deserializer<'de>>(input: D) -> Result<Value, D::Error> {
    let mut context = Value::deserialize(input)?;
    keep(&mut context, &FIELDS.context);
    if let Some(workspace) = context.get_mut(WORKSPACE) {
        keep(workspace, &FIELDS.paperclip_workspace);
    }
    Ok(context)
}

fn keep(value: &mut Value, names: &[String]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| names.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read_and_names_what_a_run_needs() {
        assert!(FIELDS.context.iter().any(|name| name == WORKSPACE));
        assert!(FIELDS.paperclip_workspace.iter().any(|name| name == "cwd"));
    }

    #[test]
    fn what_is_not_listed_is_left_out() {
        let text = r#"{"issueId":"i","files":{"a":1},"paperclipWorkspace":{"files":[1],"cwd":"/w"}}"#;
        let kept = listed(&mut serde_json::Deserializer::from_str(text)).expect("valid");
        assert_eq!(
            kept.to_string(),
            r#"{"issueId":"i","paperclipWorkspace":{"cwd":"/w"}}"#
        );
        let none = listed(&mut serde_json::Deserializer::from_str("null")).expect("valid");
        assert_eq!(none, Value::Null);
    }
}
