//! Variables in layers: a later one takes the place of an earlier one. Rendered, a variable is a literal of the Job or
//! a key of the run's Secret. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::env::{double_dollars, literal};
use super::prompt::LARGE_PROMPT_THRESHOLD_BYTES;

/// Longest key of a Secret that still has the variable's name in it.
const LONGEST_NAME: usize = 240;

/// Named values.
#[derive(Default)]
pub(super) struct Layers(Vec<Variable>);

struct Variable {
    name: String,
    value: String,
    /// The adapter made it: it reaches the agent as it is. In other values Kubernetes expands `$(NAME)`, as whoever
    /// wrote them expects.
    generated: bool,
    /// It stands in the run's Secret, where there is one.
    secret: bool,
}

impl Variable {
    /// As a literal of the Job.
    fn literal(self) -> EnvVar {
        match self.generated {
            true => literal(&self.name, double_dollars(&self.value)),
            false => literal(&self.name, self.value),
        }
    }
}

/// What the variables became.
pub(super) struct Rendered {
    /// Entries of the container, in order.
    pub(super) env: Vec<EnvVar>,
    /// Values of the run's Secret, by key.
    pub(super) secret: BTreeMap<String, String>,
}

impl Layers {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|entry| entry.value.as_str())
    }

    fn find(&self, name: &str) -> Option<&Variable> {
        self.0.iter().find(|entry| entry.name == name)
    }

    pub(super) fn generate(&mut self, name: &str, value: &str) {
        self.set(name, value, true, false);
    }

    pub(super) fn generate_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.generate(name, value);
        }
    }

    pub(super) fn generate_secret(&mut self, name: &str, value: &str) {
        self.set(name, value, true, true);
    }

    pub(super) fn generate_some_secret(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.generate_secret(name, value);
        }
    }

    pub(super) fn pass_through(&mut self, name: &str, value: &str) {
        self.set(name, value, false, false);
    }

    pub(super) fn pass_through_secret(&mut self, name: &str, value: &str) {
        self.set(name, value, false, true);
    }

    /// Another value, which holds the one before: it is as secret as that.
    pub(super) fn replace(&mut self, name: &str, value: &str) {
        let secret = self.find(name).is_some_and(|known| known.secret);
        self.set(name, value, false, secret);
    }

    fn set(&mut self, name: &str, value: &str, generated: bool, secret: bool) {
        let entry = Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            generated,
            secret,
        };
        match self.0.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// `secret_name`: the run's Secret; none makes all of them literals. Adds a warning about what is left out.
    pub(super) fn render(self, secret_name: Option<&str>, warnings: &mut Vec<String>) -> Rendered {
        let mut known = BTreeMap::new();
        let mut rendered = Rendered {
            env: Vec::new(),
            secret: BTreeMap::new(),
        };
        let Some(secret) = secret_name else {
            let entries = fitting(self.0, warnings).into_iter();
            rendered.env.extend(entries.map(Variable::literal));
            return rendered;
        };
        for (at, entry) in fitting(self.0, warnings).into_iter().enumerate() {
            // Nobody expands what comes from a Secret.
            let plain = match entry.generated {
                true => entry.value.replace('\0', ""),
                false => expanded(&entry.value, &known),
            };
            let name = entry.name.clone();
            rendered.env.push(match entry.secret {
                true => {
                    let key = match name.len() <= LONGEST_NAME {
                        true => format!("env.{name}"),
                        false => format!("env-{at}"),
                    };
                    rendered.secret.insert(key.clone(), plain.clone());
                    of_secret(&name, secret, key)
                }
                false => entry.literal(),
            });
            known.insert(name, plain);
        }
        rendered
    }
}

/// The variables without those that are too large, which are named in a warning.
fn fitting(all: Vec<Variable>, warnings: &mut Vec<String>) -> Vec<Variable> {
    let too_large = |entry: &Variable| entry.generated && entry.value.len() > LARGE_PROMPT_THRESHOLD_BYTES;
    let (large, fitting): (Vec<Variable>, Vec<Variable>) = all.into_iter().partition(too_large);
    if !large.is_empty() {
        let list: Vec<String> = large
            .iter()
            .map(|entry| format!("{} ({} bytes)", entry.name, entry.value.len()))
            .collect();
        warnings.push(format!(
            "Left out of the agent's environment, over {LARGE_PROMPT_THRESHOLD_BYTES} bytes: {}.",
            list.join(", ")
        ));
    }
    fitting
}

fn of_secret(name: &str, secret: &str, key: String) -> EnvVar {
    let selector = SecretKeySelector {
        name: secret.to_owned(),
        key,
        optional: None,
    };
    let source = EnvVarSource {
        secret_key_ref: Some(selector),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}

/// What the kubelet makes of a literal value: `$(NAME)` becomes the variable of that name, if it stands before; `$$`
/// becomes `$`.
fn expanded(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        rest = match after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((name, after)) => {
                match known.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&format!("$({name})")),
                }
                after
            }
            None => {
                out.push('$');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_the_secret_is_what_the_kubelet_would_have_made_of_it() {
        let mut layers = Layers::default();
        layers.generate("HOME", "/p$$x");
        layers.pass_through("BASE", "$(HOME)/b");
        layers.pass_through_secret("TOKEN", "t$(LATER)$$");
        layers.pass_through_secret("URL", "https://$(TOKEN)@$(BASE)$(");
        layers.generate_secret("KEY", "$(TOKEN)$$");
        let rendered = layers.render(Some("run"), &mut Vec::new());
        let secret = |name: &str| rendered.secret[&format!("env.{name}")].as_str();
        assert_eq!(secret("TOKEN"), "t$(LATER)$");
        assert_eq!(secret("URL"), "https://t$(LATER)$@/p$$x/b$(");
        assert_eq!(secret("KEY"), "$(TOKEN)$$");
        assert_eq!(rendered.env[0].value.as_deref(), Some("/p$$$$x"));
        assert!(rendered.env[2].value.is_none());
    }
}
