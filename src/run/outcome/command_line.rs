//! What opencode says of a command line that it does not accept.

use crate::opencode::bounded::prefix;

/// Bytes of a parser's own words.
const SAID_BYTES: usize = 300;

/// opencode's options that a setting sets, and what a person does where an opencode has no such option.
const SET_BY: &[(&str, &str)] = &[
    (
        "variant",
        "unset *Model variant* and *Thinking effort* on the agent's page, or use an image whose opencode has it",
    ),
    (
        "session",
        "turn off *Resume last session* on the agent's page, or use an image whose opencode has it",
    ),
    ("model", NEEDED),
    ("format", NEEDED),
];
const NEEDED: &str = "no run can do without it: use an image whose opencode has it";
const BY_NOBODY: &str = "take it out of extraArgs, or use an image whose opencode has it";

/// Words that stand before the option which a parser of command lines refuses.
const REFUSALS: &[&str] = &[
    "unknown argument",
    "unknown flag",
    "unknown option",
    "unrecognized argument",
    "unrecognized flag",
    "unrecognized option",
    "unexpected argument",
    "unexpected flag",
    "unexpected option",
    "no such option",
];

/// Why opencode did not accept its command line, if its stderr says so.
pub(super) fn refusal(lines: &[String]) -> Option<String> {
    if let Some(option) = lines.iter().find_map(|line| refused_option(line)) {
        let todo = SET_BY.iter().find(|(name, _)| *name == option);
        let todo = todo.map_or(BY_NOBODY, |(_, todo)| todo);
        return Some(format!("it does not know the option --{option}; {todo}"));
    }
    let is_usage = lines
        .first()
        .is_some_and(|line| line.starts_with("opencode run [message"));
    if !is_usage {
        return None;
    }
    let said = behind_usage(lines);
    let why = match said.is_empty() {
        true => "an unknown option",
        false => prefix(&said, SAID_BYTES),
    };
    Some(format!(
        "it does not accept its command line ({why}) and printed its usage"
    ))
}

/// What stands behind the list of options, in one line.
fn behind_usage(lines: &[String]) -> String {
    let of_list = |line: &String| {
        line.trim_start().starts_with('-')
            || line.ends_with(':') && line.starts_with("Option")
            || [
                "[string]",
                "[boolean]",
                "[array]",
                "[number]",
                "[default",
                "[choices",
            ]
            .iter()
            .any(|kind| line.contains(kind))
    };
    let end = lines.iter().rposition(of_list).map_or(lines.len(), |at| at + 1);
    let said = lines.get(end..).unwrap_or_default().iter();
    said.map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The option that a line refuses by name: `Unrecognized flag: --variant`, `Unknown argument: variant`.
fn refused_option(line: &str) -> Option<String> {
    let small = line.to_ascii_lowercase();
    let after = REFUSALS
        .iter()
        .find_map(|words| small.split_once(words).map(|(_, after)| after))?;
    let word = after
        .split(|c: char| c.is_whitespace() || ":,'\"`=()".contains(c))
        .find(|word| word.len() > 1)?;
    let name = word.trim_start_matches('-');
    // The parser of 1.x leaves the dashes out; elsewhere a bare word is no option.
    let is_yargs = small.contains("unknown argument: ") || small.contains("unknown arguments: ");
    let is_option = name.len() < word.len() || is_yargs;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (is_option && !name.is_empty() && name.len() <= 40 && name.chars().all(is_plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Option<String> {
        refusal(&stderr.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_refused_option_is_told_by_name_with_the_field_that_sets_it() {
        for stderr in [
            "ERROR\n  Unrecognized flag: --variant in command opencode run",
            "error: unexpected argument '--variant' found\n\n  tip: ...",
            "opencode run [message..]\n\nOptions:\n\nUnknown argument: variant",
            "Received unknown argument: '--variant=high'",
        ] {
            let said = said(stderr).expect("a refusal");
            assert!(
                said.starts_with("it does not know the option --variant;"),
                "{said}"
            );
            assert!(said.contains("*Model variant*"), "{said}");
        }
    }

    #[test]
    fn an_option_of_no_setting_and_a_bare_usage_are_told_as_far_as_they_go() {
        let named = said("Unknown arguments: foo-bar, fooBar").expect("a refusal");
        assert!(
            named.starts_with("it does not know the option --foo-bar;"),
            "{named}"
        );
        assert!(named.contains("extraArgs"), "{named}");
        let usage = said("opencode run [message..]\n\nOptions:\n  -h, --help").expect("a refusal");
        assert!(usage.contains("an unknown option"), "{usage}");
        assert_eq!(said("Error: unknown option value in opencode.json"), None);
        assert_eq!(said("Error: Unknown argument type in opencode.json"), None);
        assert_eq!(said("Error: Session not found"), None);
        let needed = said("Unrecognized flag: --format").expect("a refusal");
        assert!(!needed.contains("extraArgs"), "{needed}");
    }
}
