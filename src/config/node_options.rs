//! Options that a variable gives to every node and bun: without those that load the server's own code or wait for a
//! debugger. Pure.

/// Options that load something from the server's own folder, or stop a program until somebody debugs it.
const SERVERS: [&str; 20] = [
    "-r",
    "--require",
    "--import",
    "--preload",
    "--loader",
    "--experimental-loader",
    "--env-file",
    "--env-file-if-exists",
    "--experimental-config-file",
    "--experimental-default-config-file",
    "--experimental-policy",
    "--policy-integrity",
    "--snapshot-blob",
    "--inspect",
    "--inspect-brk",
    "--inspect-wait",
    "--inspect-port",
    "--inspect-publish-uid",
    "--debug-port",
    "--localstorage-file",
];

/// Whether a variable holds such options; opencode itself is a program of bun.
pub(super) fn is_options(name: &str) -> bool {
    matches!(name, "NODE_OPTIONS" | "BUN_OPTIONS")
}

/// The options that stay. `lack` says whether a text names a file that agents' pods do not have.
pub(super) fn kept(options: &str, lack: impl Fn(&str) -> bool) -> String {
    let words = words(options);
    // What begins without a dash is the value of the option before it.
    let is_option =
        |word: &&str| word.starts_with(['-', '"']) && word.trim_start_matches('"').starts_with('-');
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for word in words {
        match groups.last_mut() {
            Some(group) if !is_option(&word) => group.push(word),
            _ => groups.push(vec![word]),
        }
    }
    let count = groups.len();
    groups.retain(|group| {
        !group.first().is_some_and(|word| is_servers(word)) && !group.iter().any(|word| lack(word))
    });
    if groups.len() == count {
        return options.to_owned();
    }
    groups.concat().join(" ")
}

fn is_servers(word: &str) -> bool {
    let word = word.trim_matches('"');
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let name = name.replace('_', "-");
    SERVERS.contains(&name.as_str())
        || value.trim_start_matches('"').starts_with("./")
        || value.starts_with("../")
}

/// Words as node splits them: blanks in double quotes belong to a word.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start) = (Vec::new(), None);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => {
                words.extend(start.take().and_then(|start| text.get(start..at)));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    words.extend(start.and_then(|start| text.get(start..)));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_server_can_load_goes_and_all_else_stays() {
        for (options, stays) in [
            ("--import ./server/telemetry.js", ""),
            (
                "--max-old-space-size=512 -r dd-trace/init",
                "--max-old-space-size=512",
            ),
            (
                "--require=/app/x.js  --enable-source-maps",
                "--enable-source-maps",
            ),
            (r#"--require "/my app/x.js" --no-deprecation"#, "--no-deprecation"),
            (r#""--require=/my app/x.js" --no-deprecation"#, "--no-deprecation"),
            ("--experimental_loader ./x.mjs", ""),
            ("--inspect-brk=0.0.0.0:9229 --use-openssl-ca", "--use-openssl-ca"),
            ("--openssl-config=./x.cnf", ""),
            ("--openssl-config=/gone/x.cnf --no-warnings", "--no-warnings"),
            (
                "--max-old-space-size=512  --no-deprecation",
                "--max-old-space-size=512  --no-deprecation",
            ),
            ("--conditions production", "--conditions production"),
            ("", ""),
        ] {
            assert_eq!(kept(options, |word| word.contains("/gone/")), stays, "{options}");
        }
    }
}
