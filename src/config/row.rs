//! A setting is one row of `settings.json`: the form of the host's page, the reading here and the table of the README
//! all come from it.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// Everything that is said about one setting.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    /// Name in the configuration. A dotted one may also be written as nested objects.
    pub key: &'static str,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// A rule for texts.
    pub format: Option<Format>,
    /// The value of an absent setting; `null` where there is none.
    #[serde(default)]
    pub default: Value,
    /// The page shows the default; without it the hint says what happens.
    #[serde(default = "yes")]
    pub prefill: bool,
    /// What stands for the default where there is none, or where it is decided in a run.
    pub fallback: Option<&'static str>,
    /// Smallest value: a smaller number counts as this one, a smaller quantity is refused.
    #[serde(default)]
    pub min: u64,
    /// Largest number, in seconds or bytes; a larger one counts as this one.
    pub max: Option<u64>,
    /// The words of a choice, with what the page calls them.
    #[serde(default)]
    pub options: Vec<Choice>,
    /// Heading on the page; none where the host's own page has the field.
    pub group: Option<&'static str>,
    /// Name on the page; also where the field is the host's own.
    pub label: Option<&'static str>,
    /// Sentence on the page.
    pub hint: Option<&'static str>,
    /// The page's input, where it is not that of the type.
    pub input: Option<&'static str>,
    /// The setting with which this one has a meaning; the page hides it otherwise.
    pub visible_when: Option<VisibleWhen>,
    /// What the README says.
    pub meaning: &'static str,
    /// Described below the table of the README: nobody sets it by hand.
    #[serde(default)]
    pub beside: bool,
    /// Who acts on it.
    #[serde(default)]
    pub reader: Reader,
}

/// What the value of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// One text.
    Text,
    /// True or false, also as text.
    Flag,
    /// Whole seconds: a number, or text with units such as `90s`, `1h30m`, `7d`.
    Duration,
    /// A whole number.
    Count,
    /// Whole bytes: a number, or a quantity such as `2Gi`.
    Bytes,
    /// A Kubernetes quantity.
    Quantity,
    /// One word out of the options.
    Choice,
    /// Names and texts: an object, JSON text, or lines.
    Map,
    /// Texts: a list, JSON text, or words.
    Words,
    /// Objects of the Kubernetes API: a list, or JSON or YAML text of one.
    List,
    /// One object of the Kubernetes API, or JSON or YAML text of it.
    Object,
}

/// A rule for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// An absolute path.
    Path,
    /// A namespace.
    Namespace,
    /// A name of an object of the cluster.
    Name,
    /// The value of an option of opencode: it cannot begin an option itself.
    Word,
    /// A quantity of bytes.
    Bytes,
    /// A name of a container image.
    Image,
    /// A user or group other than root's, also as a number; or `none`.
    Id,
}

/// One word of a choice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// In the configuration; empty for the default.
    pub value: &'static str,
    /// On the page.
    pub label: &'static str,
}

/// When the page shows a setting, in the page's own form: values are compared as text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VisibleWhen {
    /// The other setting.
    pub key: &'static str,
    /// With one of these values.
    #[serde(default)]
    pub values: Vec<&'static str>,
    /// With any but these values.
    #[serde(default)]
    pub not_values: Vec<&'static str>,
}

/// Who acts on a setting. All of them are read and checked in one place.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reader {
    /// A run.
    #[default]
    Run,
    /// The TypeScript half, when it renders the prompt.
    Shim,
    /// The environment test.
    EnvironmentTest,
}

fn yes() -> bool {
    true
}

static ROWS: LazyLock<Result<Vec<Row>, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("settings.json")).map_err(|error| error.to_string()));

/// All settings, in the order of the README.
pub fn rows() -> &'static [Row] {
    ROWS.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read_and_says_what_is_needed() {
        assert_eq!(ROWS.as_ref().err(), None);
        let mut keys: Vec<_> = rows().iter().map(|row| row.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), rows().len(), "a key twice");
        for row in rows() {
            let key = row.key;
            assert!(
                row.default.is_null() != row.fallback.is_none(),
                "{key}: default or fallback"
            );
            let on_page = row.group.is_some();
            assert_eq!(row.hint.is_some(), on_page, "{key}");
            assert!(row.label.is_some() || row.beside, "{key}");
            assert_eq!(row.options.is_empty(), row.kind != Kind::Choice, "{key}");
            if let Some(seen) = &row.visible_when {
                let other = rows().iter().find(|other| other.key == seen.key);
                assert!(
                    other.is_some_and(|other| other.group.is_some()),
                    "{key}: on the page"
                );
                assert_ne!(seen.values.is_empty(), seen.not_values.is_empty(), "{key}");
            }
        }
    }
}
