//! The README's tables are the rows, and so is the document that the host shows to whoever configures an agent.
//! `npm run readme` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use opencode_k8s::codes::CODES;
use opencode_k8s::config::row::{Kind, Row, rows};
use opencode_k8s::opencode::TESTED_VERSION;
use serde_json::Value;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const AGENT_DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/agent-doc.json");

#[test]
fn the_tables_are_the_rows() {
    let is = fs::read_to_string(README).expect("the README");
    let mut wanted = is.clone();
    let table = rows().iter().filter(|row| !row.beside);
    wanted = with_section(&wanted, "settings", &settings(table));
    wanted = with_section(
        &wanted,
        "settings beside",
        &settings(rows().iter().filter(|row| row.beside)),
    );
    wanted = with_section(&wanted, "codes", &codes());
    if std::env::var_os("WRITE_README").is_some() {
        fs::write(README, &wanted).expect("written");
    } else {
        assert!(
            is == wanted,
            "README.md does not say what the rows say: npm run readme writes it"
        );
    }
}

/// The version that the README calls tried, that a run's log compares with, and that the recordings are made with.
#[test]
fn one_version_of_opencode_is_the_tested_one() {
    let readme = fs::read_to_string(README).expect("the README");
    let row = readme
        .lines()
        .find(|line| line.starts_with("| opencode, in the agent's image |"))
        .expect("the row");
    assert!(row.ends_with(&format!("| {TESTED_VERSION} |")), "{row}");
    let folders = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/opencode")).expect("fixtures");
    let recordings =
        folders.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("meta.json")).ok());
    let versions: BTreeSet<String> = recordings
        .map(|meta| serde_json::from_str::<Value>(&meta).expect("JSON")["opencodeVersion"].to_string())
        .collect();
    assert_eq!(versions, BTreeSet::from([format!("\"{TESTED_VERSION}\"")]));
}

#[test]
fn the_hosts_document_is_the_rows() {
    let wanted = format!("{}\n", serde_json::to_string_pretty(&agent_doc()).expect("JSON"));
    if std::env::var_os("WRITE_README").is_some() {
        fs::write(AGENT_DOC, &wanted).expect("written");
    } else {
        let is = fs::read_to_string(AGENT_DOC).expect("the document");
        assert!(
            is == wanted,
            "src/config/agent-doc.json does not say what the rows say: npm run readme writes it"
        );
    }
}

/// The lines of the document.
fn agent_doc() -> Vec<String> {
    let of_page = rows().iter().filter(|row| row.group.is_some());
    let mut groups: Vec<&str> = of_page.filter_map(|row| row.group).collect();
    let mut seen = std::collections::HashSet::new();
    groups.retain(|group| seen.insert(*group));
    let mut lines = vec![
        "# Agent configuration of opencode_k8s".to_owned(),
        String::new(),
        "Each run of the agent is a Kubernetes Job whose pod runs opencode. The pod shares the volume at /paperclip with \
         the Paperclip server; opencode's output goes to a file there and is followed from there."
            .to_owned(),
    ];
    let mut section = |title: &str, items: Vec<String>| {
        lines.extend([String::new(), format!("## {title}"), String::new()]);
        lines.extend(items.into_iter().map(|item| format!("- {item}")));
    };
    let everywhere = rows().iter().filter(|row| row.group.is_none() && !row.beside);
    section("Fields of every adapter", everywhere.map(described).collect());
    for group in groups {
        let rows = rows().iter().filter(|row| row.group == Some(group));
        section(group, rows.map(described).collect());
    }
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    section(
        "Taken over from the server's pod",
        texts(&[
            "image, pull secrets, DNS settings, node selector, tolerations, the shared volume and mounted Secrets",
            "environment variables, also those from Secrets and ConfigMaps",
        ]),
    );
    section(
        "Good to know",
        texts(&[
            "PAPERCLIP_API_URL must be an address that pods can reach.",
            "The shared volume must be ReadWriteMany.",
            "Runs of one agent follow each other; a second one waits.",
            "Secrets belong in env, as Paperclip secrets.",
        ]),
    );
    lines
}

/// One setting, for people and agents who read plain text.
fn described(row: &Row) -> String {
    let kind = match row.kind {
        Kind::Duration => "time (seconds, or 90s, 5m, 7d)".to_owned(),
        Kind::Bytes => "size (bytes, or 500Mi, 2Gi)".to_owned(),
        Kind::Map => "names and texts (object, JSON, or lines name=value or name: value)".to_owned(),
        Kind::List => "list (also as JSON or YAML)".to_owned(),
        Kind::Object => "object (also as JSON or YAML)".to_owned(),
        _ => kind(row),
    };
    let meaning = row.hint.unwrap_or(row.meaning);
    format!("{}: {kind}, default {}; {meaning}", row.key, default(row)).replace('`', "")
}

/// The text with another content between the marks of a section.
fn with_section(text: &str, name: &str, content: &str) -> String {
    let begin = format!("<!-- begin {name} (npm run readme) -->\n");
    let (before, rest) = text.split_once(&begin).expect("a section begins");
    let end = format!("<!-- end {name} -->");
    let (_, after) = rest.split_once(&end).expect("a section ends");
    format!("{before}{begin}{content}{end}{after}")
}

fn settings<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut table = "| field | on the page | type | default | meaning |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let (key, label, meaning) = (row.key, row.label.unwrap_or_default(), row.meaning);
        let (kind, default) = (kind(row), default(row));
        writeln!(table, "| `{key}` | {label} | {kind} | {default} | {meaning} |").expect("written");
    }
    table
}

fn kind(row: &Row) -> String {
    match row.kind {
        Kind::Text => "text".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Duration => "time".to_owned(),
        Kind::Count => "number".to_owned(),
        Kind::Bytes => "size".to_owned(),
        Kind::Quantity => "quantity".to_owned(),
        Kind::Map => "map".to_owned(),
        Kind::Words => "list of text".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Object => "object".to_owned(),
        Kind::Choice => {
            let words = row.options.iter().filter(|option| !option.value.is_empty());
            let words: Vec<String> = words.map(|option| format!("`{}`", option.value)).collect();
            format!("one of {}", words.join(", "))
        }
    }
}

fn default(row: &Row) -> String {
    match (row.default.as_str(), row.fallback) {
        (Some(text), _) => format!("`{text}`"),
        (None, Some(words)) => words.to_owned(),
        (None, None) => format!("`{}`", row.default),
    }
}

fn codes() -> String {
    let mut table = "| code | what happened | what to do |\n|---|---|---|\n".to_owned();
    for row in CODES {
        writeln!(table, "| `{}` | {} | {} |", row.word, row.happened, row.to_do).expect("written");
    }
    table
}
