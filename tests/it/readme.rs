//! The README's tables are the rows. `npm run readme` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use opencode_k8s::codes::CODES;
use opencode_k8s::config::row::{Kind, Row, rows};
use opencode_k8s::opencode::TESTED_VERSION;
use serde_json::Value;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

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

/// The text with another content between the marks of a section.
fn with_section(text: &str, name: &str, content: &str) -> String {
    let begin = format!("<!-- begin {name} (npm run readme) -->\n");
    let (before, rest) = text.split_once(&begin).expect("a section begins");
    let end = format!("<!-- end {name} -->");
    let (_, after) = rest.split_once(&end).expect("a section ends");
    format!("{before}{begin}{content}{end}{after}")
}

fn settings<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut table = "| field | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let (key, kind, default) = (row.key, kind(row), default(row));
        writeln!(table, "| `{key}` | {kind} | {default} | {} |", row.meaning).expect("written");
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
