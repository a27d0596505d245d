//! Where the pod may run and what it may use: node selector, tolerations, resources, user labels and annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;

use super::checks::{is_label_key, is_label_value, quantity};
use super::fields::{Fields, pairs, shown};
use super::{ConfigError, Json, Resources, SelfPod};

/// The configured node selector; without the key the server's own.
pub(super) fn node_selector(fields: Fields, own: &SelfPod) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(value) = fields.0.get("nodeSelector") else {
        return Ok(own.node_selector.clone());
    };
    let selector = pairs(Some(value));
    for (key, value) in &selector {
        if !is_label_key(key) || !is_label_value(value) {
            let problem = format!("has {key:?}={value:?}, which is no label; write one `key=value` per line");
            return Err(ConfigError::field("nodeSelector", problem));
        }
    }
    Ok(selector.into_iter().collect())
}

/// The configured tolerations, as a list or as JSON or YAML text of one; without the key the server's own.
pub(super) fn tolerations(fields: Fields, own: &SelfPod) -> Result<Vec<Toleration>, ConfigError> {
    let refused = |problem: String| ConfigError::field("tolerations", problem);
    let list: Vec<Toleration> = match fields.0.get("tolerations") {
        None => return Ok(own.tolerations.clone()),
        Some(Json::String(text)) if text.trim().is_empty() => Vec::new(),
        Some(Json::String(text)) => serde_saphyr::from_str(text)
            .map_err(|error| refused(format!("must be a JSON or YAML list of tolerations: {error}")))?,
        Some(list @ Json::Array(_)) => serde_json::from_value(list.to_value())
            .map_err(|error| refused(format!("must be a list of tolerations: {error}")))?,
        Some(other) => {
            return Err(refused(format!(
                "must be a list of tolerations, it is {}",
                shown(other)
            )));
        }
    };
    list.iter().try_for_each(toleration)?;
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
pub(super) fn label_pairs(fields: Fields, key: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let pairs = pairs(fields.0.get(key));
    match pairs.iter().find(|(name, _)| !is_label_key(name)) {
        Some((name, _)) => {
            let problem =
                format!("has the key {name:?}, which Kubernetes refuses; use `name` or `prefix/name`");
            Err(ConfigError::field(key, problem))
        }
        None => Ok(pairs),
    }
}

/// Requests and limits of the agent's container.
pub(super) fn resources(fields: Fields) -> Result<Resources, ConfigError> {
    let read = |path: &str, default: &str| -> Result<String, ConfigError> {
        let text = match fields.dotted(path) {
            Some(Json::String(text)) => text.trim().to_owned(),
            Some(Json::Number(number)) => number.to_string(),
            _ => default.to_owned(),
        };
        match quantity(&text) {
            Some(_) => Ok(text),
            None => {
                let problem = format!("must be a quantity such as 500m or 2Gi, it is {text:?}");
                Err(ConfigError::field(path, problem))
            }
        }
    };
    let resources = Resources {
        cpu_request: read("resources.requests.cpu", "1000m")?,
        memory_request: read("resources.requests.memory", "2Gi")?,
        cpu_limit: read("resources.limits.cpu", "4000m")?,
        memory_limit: read("resources.limits.memory", "8Gi")?,
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

    fn config(text: &str) -> Json {
        Json::parse(text).expect("valid")
    }

    fn server() -> SelfPod {
        let text = r#"{"nodeSelector":{"pool":"own"},"tolerations":[{"key":"own","operator":"Exists"}]}"#;
        serde_json::from_str(text).expect("valid")
    }

    #[test]
    fn scheduling_is_inherited_only_without_the_key() {
        let of = |text: &str| {
            let config = config(text);
            let selector = node_selector(Fields(&config), &server()).expect("valid");
            (
                selector.into_keys().collect::<Vec<_>>(),
                tolerations(Fields(&config), &server()).expect("valid").len(),
            )
        };
        assert_eq!(of("{}"), (vec!["pool".to_owned()], 1));
        assert_eq!(
            of(r#"{"nodeSelector":null,"tolerations":null}"#),
            (vec!["pool".to_owned()], 1)
        );
        assert_eq!(of(r#"{"nodeSelector":"","tolerations":""}"#), (vec![], 0));
        assert_eq!(of(r#"{"nodeSelector":{},"tolerations":[]}"#), (vec![], 0));
        assert_eq!(
            of(r#"{"nodeSelector":"a=b","tolerations":"[]"}"#),
            (vec!["a".to_owned()], 0)
        );
    }

    #[test]
    fn tolerations_are_read_from_lists_json_and_yaml() {
        let read = |text: &str| tolerations(Fields(&config(text)), &SelfPod::default());
        let list = read(r#"{"tolerations":[{"key":"k","operator":"Exists","effect":"NoSchedule"}]}"#);
        let json =
            read(r#"{"tolerations":"[{\"key\":\"k\",\"operator\":\"Exists\",\"effect\":\"NoSchedule\"}]"}"#);
        let yaml = read(r#"{"tolerations":"- key: k\n  operator: Exists\n  effect: NoSchedule\n"}"#);
        assert_eq!(list, json);
        assert_eq!(list, yaml);
        assert_eq!(list.expect("valid").len(), 1);
        for bad in [
            r#""{nope""#,
            r#""key: k""#,
            "5",
            r#"[5]"#,
            r#"[{"effect":"Never"}]"#,
            r#"[{"operator":"In"}]"#,
            r#"[{}]"#,
            r#"[{"operator":"Equal","value":"x"}]"#,
            r#"[{"key":"a b","operator":"Exists"}]"#,
            r#"[{"key":"a","operator":"Exists","value":"x"}]"#,
            r#"[{"key":"a","value":"x y"}]"#,
            r#"[{"key":"a","operator":"Exists","tolerationSeconds":5}]"#,
        ] {
            let message = read(&format!(r#"{{"tolerations":{bad}}}"#))
                .expect_err(bad)
                .to_string();
            assert!(
                message.starts_with("adapter configuration: tolerations "),
                "{message}"
            );
        }
    }

    #[test]
    fn resources_have_two_shapes_and_dotted_wins() {
        let read = |text: &str| resources(Fields(&config(text)));
        let text = r#"{"resources.requests.cpu":"250m","resources":{"requests":{"cpu":"9","memory":"1Gi"},"limits":{"cpu":2}}}"#;
        let both = read(text).expect("valid");
        assert_eq!(
            (both.cpu_request.as_str(), both.memory_request.as_str()),
            ("250m", "1Gi")
        );
        assert_eq!(
            (both.cpu_limit.as_str(), both.memory_limit.as_str()),
            ("2", "8Gi")
        );
        assert!(read(r#"{"resources":"bad"}"#).is_ok());
        let message = read(r#"{"resources.limits.memory":"lots"}"#)
            .expect_err("refused")
            .to_string();
        assert!(
            message.contains("resources.limits.memory must be a quantity"),
            "{message}"
        );
        let message = read(r#"{"resources.limits.cpu":"500m"}"#)
            .expect_err("refused")
            .to_string();
        assert!(
            message.contains("resources.requests.cpu is 1000m, more than resources.limits.cpu"),
            "{message}"
        );
    }
}
