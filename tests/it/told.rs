//! Every text that a person may read, in one listing: it is read line by line when one changes.
//! `npm run messages` writes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::opencode::field;

const LISTING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/messages.txt");

/// Files whose texts are looked for in what others say, or are no texts.
const NOT_TOLD: [&str; 6] = [
    "boundary",
    "command/doc",
    "run/outcome/provider_error.rs",
    "run/outcome/provider_words",
    "run/outcome/secrets",
    "opencode/session.rs",
];
/// What stands before a literal that no person reads.
const NOT_READ: [&str; 8] = [
    "reason =",
    "#[doc =",
    "debug!(",
    "trace!(",
    "info!(",
    "warn!(",
    "error!(",
    ".contains(",
];
/// Names of fields that the page has beside those of this adapter.
const OF_THE_PAGE: [&str; 1] = ["Thinking effort"];
/// Where a text becomes the message of a failure.
const FAILURES: [&str; 4] = [
    "Failure::before_start(",
    "Failure::of_input(",
    "ClusterError::Config(",
    "#[error(",
];
/// What a text may begin with: words of others, and the name of an id, as the TypeScript adapter has it.
const OTHERS_REASONS: [&str; 6] = [
    "{error}",
    "{what}{error}",
    "{0}",
    "{}: cannot {verb}",
    "{field} {problem}",
    "Invalid {field} for",
];
/// A list of runs shows so many characters.
const SHOWN: usize = 30;

/// A text that sends a person to the page names a field as the page does.
#[test]
fn a_field_that_a_text_names_is_on_the_page() {
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../src/config/settings.json")).expect("the settings");
    let labels: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["label"].as_str())
        .map(|label| label.split(" (").next().unwrap_or(label))
        .chain(OF_THE_PAGE)
        .collect();
    let texts = texts_of_the_source().into_iter().flat_map(|(_, texts)| texts);
    let of_page: Vec<String> = texts.filter(|text| text.contains("agent's page")).collect();
    let named: Vec<&str> = of_page
        .iter()
        .flat_map(|text| text.split('*').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 3, "{of_page:?}");
    for name in named {
        assert!(labels.contains(&name), "the page has no field *{name}*");
    }
}

#[test]
fn the_listing_has_every_message() {
    let mut wanted =
        "Results of the reports in fixtures/opencode, by code. `npm run messages` writes this file.\n"
            .to_owned();
    for (code, message) in results() {
        writeln!(wanted, "{code}: {message}").expect("written");
    }
    wanted.push_str("\nWarnings beside a success.\n");
    let warnings: BTreeSet<String> = field::results().flat_map(|(_, result)| result.warnings).collect();
    for warning in warnings {
        writeln!(wanted, "{warning}").expect("written");
    }
    wanted.push_str("\nTexts of the source, by file.\n");
    for (file, texts) in texts_of_the_source() {
        writeln!(wanted, "\n{file}").expect("written");
        for text in texts {
            writeln!(wanted, "  {text}").expect("written");
        }
    }
    if std::env::var_os("WRITE_MESSAGES").is_some() {
        return fs::write(LISTING, &wanted).expect("written");
    }
    let is = fs::read_to_string(LISTING).unwrap_or_default();
    let missing: Vec<&str> = wanted
        .lines()
        .filter(|line| !is.lines().any(|known| known == *line))
        .collect();
    assert!(
        is == wanted,
        "fixtures/messages.txt is not what the source says; read these lines, then npm run messages:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_result_begins_with_its_reason() {
    let too_long: Vec<String> = results()
        .into_iter()
        // opencode's own words are as they are, and these ones are those of the TypeScript adapter.
        .filter(|(code, message)| {
            code != "opencode_error" && !message.starts_with("LLM API returned empty response")
        })
        .map(|(_, message)| message)
        .filter(|message| {
            let reason = message
                .split([':', ';', ',', '.', '('])
                .next()
                .unwrap_or_default();
            reason.chars().count() > SHOWN
        })
        .collect();
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

/// A failure that ends a run before it has output is shown in the same list.
#[test]
fn a_failure_in_the_source_begins_with_its_reason() {
    let names_it_later: Vec<String> = texts_of_the_source_after(&FAILURES)
        .into_iter()
        // The reason is in these, and other tests hold it to a list's length.
        .filter(|text| !OTHERS_REASONS.iter().any(|other| text.starts_with(other)))
        .filter(|text| {
            let reason = text.split([':', ';', ',', '.', '(']).next().unwrap_or_default();
            reason.contains('{') || reason.chars().count() > SHOWN
        })
        .collect();
    assert!(names_it_later.is_empty(), "{}", names_it_later.join("\n"));
}

fn results() -> BTreeSet<(String, String)> {
    field::results()
        .filter_map(|(_, result)| {
            let message = result.error_message?.replace('\n', " | ");
            Some((result.error_code?.to_owned(), message))
        })
        .collect()
}

/// The texts of statements in which one of these stands.
fn texts_of_the_source_after(marks: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, text) in sources() {
        for (before, literal) in literals(own_code(&text)) {
            let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default();
            if is_told(before, &literal) && marks.iter().any(|mark| statement.contains(mark)) {
                found.push(literal);
            }
        }
    }
    found
}

fn texts_of_the_source() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (name, text) in sources() {
        let told: Vec<String> = literals(own_code(&text))
            .into_iter()
            .filter(|(before, text)| is_told(before, text))
            .map(|(_, text)| text)
            .collect();
        if !told.is_empty() {
            found.push((name, told));
        }
    }
    found
}

/// The files whose texts a person may read.
fn sources() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let name = path
            .strip_prefix(&source)
            .expect("below it")
            .to_string_lossy()
            .into_owned();
        if NOT_TOLD.iter().any(|other| name.starts_with(other)) || name.ends_with("tests.rs") {
            continue;
        }
        found.push((name, fs::read_to_string(&path).expect("a source file")));
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Without its tests.
fn own_code(text: &str) -> &str {
    let tests = text.find("#[cfg(test)]\nmod tests {");
    tests.map_or(text, |at| &text[..at])
}

/// Three words or more, and nothing that is only looked for.
fn is_told(before: &str, text: &str) -> bool {
    let words = text.split_whitespace();
    let is_word = |word: &&str| word.bytes().any(|byte| byte.is_ascii_lowercase());
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default().trim();
    let is_read = !NOT_READ.iter().any(|other| before.trim_end().ends_with(other));
    words.filter(is_word).count() >= 3 && is_read && !statement.starts_with("tracing::")
}

/// The string literals, each with what stands before it.
fn literals(text: &str) -> Vec<(&str, String)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'/' if text[at..].starts_with("//") => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
            }
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at += 3,
            b'\'' if text[at..].starts_with("'\\") => {
                at += 2 + text[at + 2..].find('\'').expect("a character ends") + 1;
            }
            b'r' if text[at..].starts_with("r#\"") => {
                at += 3 + text[at + 3..].find("\"#").expect("a raw text ends") + 2;
            }
            b'"' => {
                let (literal, end) = literal(text, at + 1);
                found.push((&text[..at], literal));
                at = end;
            }
            _ => at += 1,
        }
    }
    found
}

/// The literal that begins here, on one line, and where it ends.
fn literal(text: &str, from: usize) -> (String, usize) {
    let mut said = String::new();
    let mut rest = text[from..].char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => return (said, from + at + 1),
            '\\' => match rest.next() {
                Some((_, '\n')) => {
                    let after = rest.as_str();
                    let left = after.trim_start().len();
                    let skipped = after.len() - left;
                    rest.by_ref().take(skipped).for_each(drop);
                }
                Some((_, 'n' | 't')) => said.push(' '),
                Some((_, other)) => said.push(other),
                None => break,
            },
            other => said.push(other),
        }
    }
    (said, text.len())
}
