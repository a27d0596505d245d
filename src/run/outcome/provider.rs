//! Which provider serves a model.

/// How model ids without a provider begin, by maker. Only what is unmistakable.
const MAKERS: [(&str, &[&str]); 8] = [
    ("anthropic", &["claude"]),
    ("openai", &["gpt-", "chatgpt", "codex", "o1", "o3", "o4"]),
    ("google", &["gemini", "gemma"]),
    ("xai", &["grok"]),
    ("deepseek", &["deepseek"]),
    ("mistral", &["mistral", "codestral", "devstral", "magistral"]),
    ("moonshotai", &["kimi", "moonshot"]),
    ("alibaba", &["qwen", "qwq"]),
];

/// Provider and model of a configured model: `openrouter/anthropic/claude` is (`openrouter`, `anthropic/claude`);
/// a bare id gets its maker, if that is certain.
pub(super) fn split(model: &str) -> (Option<String>, Option<String>) {
    let model = model.trim();
    if model.is_empty() {
        return (None, None);
    }
    if let Some((provider, rest)) = model.split_once('/') {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        return (some(provider), some(rest));
    }
    let lower = model.to_ascii_lowercase();
    let maker = MAKERS
        .iter()
        .find(|(_, starts)| starts.iter().any(|start| begins(&lower, start)));
    (maker.map(|(name, _)| (*name).to_owned()), Some(model.to_owned()))
}

/// `o3` and `o3-mini` begin with `o3`; `o365` does not.
fn begins(model: &str, start: &str) -> bool {
    model
        .strip_prefix(start)
        .is_some_and(|rest| start.len() > 2 || !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers() {
        for (model, provider, rest) in [
            ("fake/x", Some("fake"), Some("x")),
            (
                "openrouter/anthropic/claude-4",
                Some("openrouter"),
                Some("anthropic/claude-4"),
            ),
            ("claude-sonnet-4", Some("anthropic"), Some("claude-sonnet-4")),
            ("o3-mini", Some("openai"), Some("o3-mini")),
            ("o365", None, Some("o365")),
            ("my-model", None, Some("my-model")),
            ("/x", None, Some("x")),
            (" ", None, None),
        ] {
            assert_eq!(
                split(model),
                (provider.map(str::to_owned), rest.map(str::to_owned)),
                "{model}"
            );
        }
    }
}
