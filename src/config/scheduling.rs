//! Where the pod may run and what it may use: node selector, tolerations, resources, user labels and annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ConfigError;
use super::checks::{company_namespace, is_dns_label, is_label_key, is_label_value, quantity};
use super::json::yaml_problem;
use super::pod_shape::nothing_lost;
use super::values::Values;

/// Requests and limits of the agent's container, as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// CPU that the scheduler reserves.
    pub cpu_request: String,
    /// Memory that the scheduler reserves.
    pub memory_request: String,
    /// CPU that the kernel allows.
    pub cpu_limit: String,
    /// Memory beyond which the kernel kills.
    pub memory_limit: String,
}

/// The configured namespace, as it is called for this company.
pub(super) fn namespace(read: &mut Values, company: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = read.text("namespace")? else {
        return Ok(None);
    };
    let name = company_namespace(&text, if company.is_empty() { "c" } else { company });
    match is_dns_label(&name) {
        true => Ok(Some(name)),
        false => Err(ConfigError::field(
            "namespace",
            format!("is {name:?} for this company, which is no namespace; write a shorter one"),
        )),
    }
}

/// The configured node selector; present but empty is one as well.
pub(super) fn node_selector(read: &mut Values) -> Result<Option<BTreeMap<String, String>>, ConfigError> {
    let Some(selector) = read.pairs("nodeSelector")? else {
        return Ok(None);
    };
    for (key, value) in &selector {
        if !is_label_key(key) || !is_label_value(value) {
            let problem = format!("has {key:?}={value:?}, which is no label; write one `key=value` per line");
            return Err(ConfigError::field("nodeSelector", problem));
        }
    }
    Ok(Some(selector.into_iter().collect()))
}

/// The configured tolerations; present but empty is a list as well.
pub(super) fn tolerations(read: &mut Values) -> Result<Option<Vec<Toleration>>, ConfigError> {
    let Some(list) = read.list("tolerations")? else {
        return Ok(None);
    };
    let list: Vec<Toleration> = objects("tolerations", list)?;
    list.iter().try_for_each(toleration)?;
    Ok(Some(list))
}

/// The objects of a list, or of JSON or YAML text of one. Text is read with the type in mind: YAML's `1` is the text
/// "1" where a text is wanted. A member that the type does not know is refused: `operatr` would tolerate nothing, and
/// `efect` everything.
fn objects<T: DeserializeOwned + Serialize>(field: &str, list: Value) -> Result<Vec<T>, ConfigError> {
    let refused =
        |error: String| ConfigError::field(field, format!("must be a JSON or YAML list of {field}: {error}"));
    let (given, list): (Value, Vec<T>) = match list {
        Value::String(text) if text.trim().is_empty() => return Ok(Vec::new()),
        Value::String(text) => (
            serde_saphyr::from_str(&text).map_err(|error| refused(yaml_problem(&error)))?,
            serde_saphyr::from_str(&text).map_err(|error| refused(yaml_problem(&error)))?,
        ),
        list => (
            list.clone(),
            serde_json::from_value(list).map_err(|error| refused(error.to_string()))?,
        ),
    };
    nothing_lost(field, &given, &list)?;
    Ok(list)
}

const OPERATORS: [&str; 3] = ["Exists", "Equal", ""];
const EFFECTS: [&str; 4] = ["NoSchedule", "PreferNoSchedule", "NoExecute", ""];

/// The API server's own rules.
fn toleration(toleration: &Toleration) -> Result<(), ConfigError> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, value) = (text(&toleration.key), text(&toleration.value));
    let (operator, effect) = (text(&toleration.operator), text(&toleration.effect));
    let problem = if !OPERATORS.contains(&operator.as_str()) {
        format!("has the operator {operator:?}; it must be one of Exists, Equal")
    } else if !EFFECTS.contains(&effect.as_str()) {
        format!("has the effect {effect:?}; it must be one of NoSchedule, PreferNoSchedule, NoExecute")
    } else if key.is_empty() && operator != "Exists" {
        "has an entry without a key; give it one, or the operator Exists for all keys".to_owned()
    } else if !key.is_empty() && !is_label_key(&key) {
        format!("has the key {key:?}, which Kubernetes refuses; use `name` or `prefix/name`")
    } else if operator == "Exists" && !value.is_empty() {
        format!("has the value {value:?} with the operator Exists; leave the value out, or use Equal")
    } else if !is_label_value(&value) {
        format!("has the value {value:?}, which Kubernetes refuses")
    } else if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        "has tolerationSeconds with another effect than NoExecute; leave them out".to_owned()
    } else {
        return Ok(());
    };
    Err(ConfigError::field("tolerations", problem))
}

/// User labels, checked for keys that the API server refuses; values are cleaned later.
pub(super) fn labels(read: &mut Values) -> Result<Vec<(String, String)>, ConfigError> {
    pairs_with_keys(read, "labels", is_label_key)
}

/// Annotations of the pod, whose keys may have capitals in their prefix too.
pub(super) fn annotations(read: &mut Values) -> Result<Vec<(String, String)>, ConfigError> {
    pairs_with_keys(read, "podAnnotations", |name| {
        is_label_key(&name.to_ascii_lowercase())
    })
}

fn pairs_with_keys(
    read: &mut Values,
    key: &str,
    is_key: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, ConfigError> {
    let pairs = read.pairs(key)?.unwrap_or_default();
    match pairs.iter().find(|(name, _)| !is_key(name)) {
        Some((name, _)) => {
            let problem =
                format!("has the key {name:?}, which Kubernetes refuses; use `name` or `prefix/name`");
            Err(ConfigError::field(key, problem))
        }
        None => Ok(pairs),
    }
}

/// A user or group of the pod; `none` leaves it to the namespace, as OpenShift wants it.
pub(super) fn id(read: &mut Values, key: &str) -> Result<Option<i64>, ConfigError> {
    Ok(read.text(key)?.and_then(|text| text.parse().ok()))
}

/// Requests and limits of the agent's container.
pub(super) fn resources(read: &mut Values) -> Result<Resources, ConfigError> {
    let mut text = |key: &str| read.text(key).map(Option::unwrap_or_default);
    let resources = Resources {
        cpu_request: text("resources.requests.cpu")?,
        memory_request: text("resources.requests.memory")?,
        cpu_limit: text("resources.limits.cpu")?,
        memory_limit: text("resources.limits.memory")?,
    };
    fits("cpu", &resources.cpu_request, &resources.cpu_limit)?;
    fits("memory", &resources.memory_request, &resources.memory_limit)?;
    Ok(resources)
}

/// The API server refuses a request above its limit; the default request counts too.
fn fits(name: &str, request: &str, limit: &str) -> Result<(), ConfigError> {
    if quantity(request) <= quantity(limit) {
        return Ok(());
    }
    let problem =
        format!("is {request}, more than resources.limits.{name} ({limit}); lower it or raise the limit");
    Err(ConfigError::field(format!("resources.requests.{name}"), problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(config: Value) -> Values {
        Values::read(&config).expect("readable")
    }

    #[test]
    fn scheduling_is_inherited_only_without_the_key() {
        let of = |config: Value| {
            let mut read = values(config);
            let selector = node_selector(&mut read).expect("valid");
            let tolerations = tolerations(&mut read).expect("valid");
            (
                selector.map(|selector| selector.into_keys().collect::<Vec<_>>()),
                tolerations.map(|list| list.len()),
            )
        };
        assert_eq!(of(json!({})), (None, None));
        assert_eq!(
            of(json!({"nodeSelector": null, "tolerations": null})),
            (None, None)
        );
        assert_eq!(
            of(json!({"nodeSelector": "", "tolerations": ""})),
            (Some(vec![]), Some(0))
        );
        assert_eq!(
            of(json!({"nodeSelector": {}, "tolerations": []})),
            (Some(vec![]), Some(0))
        );
        assert_eq!(
            of(json!({"nodeSelector": "a: b", "tolerations": "[]"})),
            (Some(vec!["a".to_owned()]), Some(0))
        );
    }

    #[test]
    fn tolerations_are_read_from_lists_json_and_yaml() {
        let read = |list: Value| tolerations(&mut values(json!({"tolerations": list})));
        let list = read(json!([{"key": "k", "operator": "Equal", "value": "1", "effect": "NoSchedule"}]));
        let text = r#"[{"key":"k","operator":"Equal","value":"1","effect":"NoSchedule"}]"#;
        assert_eq!(list, read(json!(text)));
        assert_eq!(
            list,
            read(json!(
                "- key: k\n  operator: Equal\n  value: 1\n  effect: NoSchedule\n"
            ))
        );
        assert_eq!(list.expect("valid").map(|list| list.len()), Some(1));
        for bad in [
            json!("{nope"),
            json!("key: k"),
            json!([5]),
            json!([{"effect": "Never"}]),
            json!([{"operator": "In"}]),
            json!([{}]),
            json!([{"operator": "Equal", "value": "x"}]),
            json!([{"key": "a b", "operator": "Exists"}]),
            json!([{"key": "a", "operator": "Exists", "value": "x"}]),
            json!([{"key": "a", "value": "x y"}]),
            json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 5}]),
        ] {
            let message = read(bad.clone()).expect_err("refused").to_string();
            assert!(
                message.starts_with("tolerations ") && !message.contains('\n'),
                "{message}"
            );
        }
        assert!(Values::read(&json!({"tolerations": 5})).is_err());
    }

    #[test]
    fn a_namespace_may_be_one_for_each_company() {
        let of = |text: &str, company: &str| {
            namespace(&mut values(json!({"namespace": text})), company).map_err(|error| error.to_string())
        };
        assert_eq!(
            of("agents-{{companyId}}", "C-1"),
            Ok(Some("agents-c-1".to_owned()))
        );
        assert_eq!(of("agents", "C-1"), Ok(Some("agents".to_owned())));
        let long = of("agents-{{companyId}}", &"c".repeat(60)).expect_err("refused");
        assert!(long.starts_with("namespace is \"agents-cccc"), "{long}");
        assert!(Values::read(&json!({"namespace": "agents-{{agentId}}"})).is_err());
    }

    #[test]
    fn only_a_prefix_of_an_annotation_may_have_capitals() {
        let both = |key: &str| values(json!({"labels": {key: "x"}, "podAnnotations": {key: "x"}}));
        assert!(labels(&mut both("A.io/B")).is_err() && annotations(&mut both("A.io/B")).is_ok());
        assert!(labels(&mut both("a.io/B")).is_ok() && annotations(&mut both("a b")).is_err());
    }

    #[test]
    fn a_request_above_its_limit_is_refused() {
        let message = resources(&mut values(json!({"resources.limits.cpu": "500m"})));
        let message = message.expect_err("refused").to_string();
        assert!(
            message.starts_with("resources.requests.cpu is 1000m, more than resources.limits.cpu"),
            "{message}"
        );
    }
}
