//! What a program of the server's own gets that reads what lies in its HOME: nothing that leads to the shared volume,
//! where agents write. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{POD_ROOT, Texts, read_named};

/// The environment of the server, and where it puts temporary files.
#[derive(Deserialize)]
struct ProgramPlace {
    environment: Texts,
    temp: String,
}

/// Of opencode: it looks into no folder above its own for configurations, and stays as it is.
const SWITCHES: [(&str, &str); 2] = [
    ("OPENCODE_DISABLE_PROJECT_CONFIG", "true"),
    ("OPENCODE_DISABLE_AUTOUPDATE", "true"),
];

/// `{environment, temp}` as JSON text, without what leads to the volume: variables, folders of PATH, HOME. One that is
/// left out has no other value, but for the temporary folder.
///
/// # Errors
/// What is no such request.
pub fn off_volume(request_json: &str) -> Result<Value, String> {
    let ProgramPlace { environment, temp } = read_named(request_json)?;
    let configured = environment
        .get("PAPERCLIP_K8S_DATA_ROOT")
        .map(str::trim)
        .filter(|root| !root.is_empty());
    let roots = [POD_ROOT, configured.unwrap_or(POD_ROOT)];
    let is_off = |text: &str| !roots.iter().any(|root| leads_to(text, root));
    let kept = environment.0.iter().filter_map(|(name, value)| {
        let value = match name.as_str() {
            // A program there is not found.
            "PATH" => {
                let folders = value.split(':');
                let folders: Vec<&str> = folders.filter(|at| at.starts_with('/') && is_off(at)).collect();
                folders.join(":")
            }
            _ if value.is_empty() || !is_off(value) => return None,
            _ => value.clone(),
        };
        Some((name.as_str(), value))
    });
    let switches = SWITCHES.map(|(name, value)| (name, value.to_owned()));
    let variables = kept
        .chain(switches)
        .map(|(name, value)| (name.to_owned(), json!(value)));
    Ok(json!({
        "environment": Value::Object(variables.collect()),
        "temp": if is_off(&temp) { temp.as_str() } else { "/tmp" },
    }))
}

/// Whether a text names this folder or what is in it, alone or among others: in a list, behind the name of an option,
/// in JSON, as a URL of a file.
fn leads_to(text: &str, root: &str) -> bool {
    let root = root.trim_end_matches('/');
    // The volume is everything, or nobody knows where it is.
    if !root.starts_with('/') {
        return true;
    }
    text.match_indices(root).any(|(at, _)| {
        let (before, from) = text.split_at(at);
        let behind = from.get(root.len()..).unwrap_or_default();
        !behind.starts_with(is_of_name) && begins_a_path(before)
    })
}

/// Whether a path begins behind this text, and not in the middle of another one (`/opt`) or of a URL. In doubt it does.
fn begins_a_path(before: &str) -> bool {
    let others = before.trim_end_matches(|c| c == '/' || is_of_name(c));
    let word = before.get(others.len()..).unwrap_or_default();
    let is_url = word == "/" || word.starts_with("//");
    let scheme = others
        .strip_suffix(':')
        .filter(|_| is_url)
        .and_then(scheme_at_end);
    let word = match scheme {
        // `file://localhost/paperclip`.
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => behind_host(word),
        // `http://paperclip`, `http://host/paperclip`.
        Some(_) => return false,
        None => word,
    };
    let mut parts = word.split('/');
    // `-I/paperclip` is an option, and where `..` leads to depends on the rest.
    word.starts_with('-')
        || word.starts_with("/proc/")
        || parts.clone().any(|part| part == "..")
        || parts.all(|part| matches!(part, "" | "."))
}

/// The last word, if it can be the scheme of a URL.
fn scheme_at_end(text: &str) -> Option<&str> {
    let others = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let scheme = text.get(others.len()..)?;
    (!scheme.is_empty() && !others.ends_with('/')).then_some(scheme)
}

/// What comes behind the slashes and the host of a URL: nothing, or a path.
fn behind_host(word: &str) -> &str {
    let from_host = word.strip_prefix("//").unwrap_or(word);
    from_host
        .find('/')
        .and_then(|at| from_host.get(at..))
        .unwrap_or_default()
}

/// Whether a file's name usually has it.
fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_volume_leads_to_it() {
        for text in [
            "/paperclip",
            "/paperclip/",
            "/paperclip/.config/opencode/opencode.json",
            "//paperclip/x",
            "/./paperclip/x",
            "/opt/../paperclip/x",
            "../../paperclip/x",
            "/proc/self/root/paperclip/x",
            "/usr/bin:/paperclip/bin",
            "/usr/bin:/paperclip",
            "--import=/paperclip/x.mjs",
            "--require /paperclip/x.js",
            "-I/paperclip/lib -L/x",
            "file:///paperclip/x.mjs",
            "FILE:///paperclip/x.mjs",
            "file://localhost/paperclip/x.mjs",
            "file:/paperclip/x.mjs",
            r#"{"plugin":["file:///paperclip/x"],"dir":"/paperclip"}"#,
            r"\/paperclip\/x",
            "a,/paperclip;b",
            "http://h/x?dir=/paperclip/y",
            "/opt/paperclip:/paperclip",
        ] {
            assert!(leads_to(text, "/paperclip"), "{text}");
        }
        assert!(leads_to("/mnt/my data/x", "/mnt/my data/"));
        assert!(leads_to("/anything", "/") && leads_to("x", "") && leads_to("x", "relative"));
    }

    #[test]
    fn what_only_looks_like_it_does_not() {
        for text in [
            "/opt/paperclip",
            "/opt/paperclip/bin:/usr/bin",
            "file:///opt/paperclip/x.mjs",
            "file://localhost/opt/paperclip/x.mjs",
            "/paperclips/x",
            "/paperclip-old",
            "/paperclip.bak/x",
            "paperclip",
            "http://paperclip:3100",
            "https://paperclip/api",
            "http://host/paperclip/api",
            "http://host:80/paperclip/api",
            "postgres://u:p@db/paperclip",
            "ghcr.io/paperclip/server",
            "bin:/opt/paperclip",
            "",
        ] {
            assert!(!leads_to(text, "/paperclip"), "{text}");
        }
    }

    fn of(environment: Value, temp: &str) -> Value {
        off_volume(&json!({"environment": environment, "temp": temp}).to_string()).expect("an answer")
    }

    #[test]
    fn a_program_keeps_what_does_not_lead_there() {
        let environment = json!({
            "PATH": "/usr/bin::bin:/paperclip/bin:/opt/paperclip/bin:/mnt/data/bin",
            "HOME": "/paperclip",
            "PAPERCLIP_K8S_DATA_ROOT": " /mnt/data/ ",
            "XDG_CONFIG_HOME": "/mnt/data/x",
            "ANTHROPIC_API_KEY": "k",
            "EMPTY": "",
        });
        assert_eq!(
            of(environment, "/mnt/data/tmp"),
            json!({"environment": {
                "PATH": "/usr/bin:/opt/paperclip/bin",
                "ANTHROPIC_API_KEY": "k",
                "OPENCODE_DISABLE_PROJECT_CONFIG": "true",
                "OPENCODE_DISABLE_AUTOUPDATE": "true",
            }, "temp": "/tmp"})
        );
        let answer = of(
            json!({"HOME": "/home/node", "OPENCODE_DISABLE_AUTOUPDATE": "no"}),
            "/var/tmp",
        );
        assert_eq!(answer["temp"], "/var/tmp");
        assert_eq!(answer["environment"]["HOME"], "/home/node");
        assert_eq!(answer["environment"]["OPENCODE_DISABLE_AUTOUPDATE"], "true");
        assert!(off_volume("{}").is_err());
    }
}
