//! The README's tables are the rows. `npm run readme` writes them.

use std::fmt::Write as _;
use std::fs;

use opencode_k8s::codes::CODES;
use opencode_k8s::config::row::{Kind, Row, rows};

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
