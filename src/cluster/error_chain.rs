//! An error with its causes as one text, without the content of files and outputs: that may be a secret.

use std::error::Error;

use kube::client::AuthError;
use kube::config::KubeconfigError;

/// How much of a credential plugin's stderr is shown, in characters.
const PLUGIN_STDERR_CHARS: usize = 500;

/// The error and its causes, each once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let more = error.to_string();
        if let Some(clean) = without_content(error) {
            // The errors above this one repeat its text.
            text = text.replace(&more, &clean);
            append(&mut text, &clean);
            return text;
        }
        append(&mut text, &more);
        next = error.source();
    }
    text
}

fn append(text: &mut String, more: &str) {
    if text.contains(more) && !text.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text.push_str(more);
}

/// Another text for an error whose own quotes what it could not parse: a file of the server, or a credential.
fn without_content(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(KubeconfigError::Parse(error)) = error.downcast_ref() {
        return Some(format!("it is no kubeconfig{}", location(error)));
    }
    match error.downcast_ref()? {
        AuthError::AuthExecParse(error) => Some(format!(
            "the plugin's output is no ExecCredential{}",
            location(error)
        )),
        AuthError::AuthExecRun { cmd, out } => {
            let stderr = String::from_utf8_lossy(&out.stderr);
            let stderr: String = stderr.trim().chars().take(PLUGIN_STDERR_CHARS).collect();
            Some(format!(
                "auth exec command '{cmd}' failed with status {}: {stderr}",
                out.status
            ))
        }
        _ => None,
    }
}

pub(crate) fn location(error: &serde_saphyr::Error) -> String {
    error.location().map_or_else(String::new, |at| {
        format!(" (line {}, column {})", at.line(), at.column())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{ExitStatus, Output};

    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn a_file_that_is_no_kubeconfig_is_not_quoted() {
        for text in [
            "{{{ token: open-sesame",
            "open-sesame",
            "KEY=open-sesame\nOTHER: [",
            "clusters: open-sesame",
            "apiVersion: v1\nusers: [{name: u, user: {token: [open-sesame]}}]",
        ] {
            let error = Kubeconfig::from_yaml(text).expect_err("refused");
            let words = chain(&error);
            assert!(!words.contains("sesame"), "{words}");
            assert!(words.starts_with("it is no kubeconfig"), "{words}");
        }
        let error = Kubeconfig::from_yaml("a: b\n{").expect_err("refused");
        assert!(chain(&error).contains("line "), "{}", chain(&error));
    }

    #[test]
    fn a_credential_plugins_output_is_not_quoted() {
        let parse = serde_saphyr::from_str::<Vec<u8>>("{token: open-sesame}").expect_err("refused");
        let error = kube::Error::Auth(AuthError::AuthExecParse(Box::new(parse)));
        let words = chain(&error);
        assert!(
            words.contains("no ExecCredential") && !words.contains("sesame"),
            "{words}"
        );
        let out = Output {
            status: ExitStatus::from_raw(0x100),
            stdout: b"open-sesame".to_vec(),
            stderr: b"not logged in\n".to_vec(),
        };
        let error = kube::Error::Auth(AuthError::AuthExecRun {
            cmd: "aws".to_owned(),
            out: Box::new(out),
        });
        let words = chain(&error);
        assert!(
            words.contains("'aws'") && words.contains("not logged in"),
            "{words}"
        );
        assert!(!words.contains("sesame"), "{words}");
    }

    #[test]
    fn causes_are_said_once() {
        let io = std::io::Error::other("no route");
        let error = KubeconfigError::ReadConfig(io, "/etc/kubeconfig".into());
        assert_eq!(
            chain(&error),
            "failed to read kubeconfig from '\"/etc/kubeconfig\"': no route"
        );
    }
}
