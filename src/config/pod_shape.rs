//! What the operator says about the pod beside its place and its sizes: first-class fields, and a patch for all others.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, TopologySpreadConstraint};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::options;

use super::ConfigError;
use super::checks::{is_dns_subdomain, is_label_key, is_label_value, quantity};
use super::json::yaml_problem;
use super::values::Values;

/// Names and quantities.
type Sizes = BTreeMap<String, String>;

/// Requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoreResources {
    /// What the scheduler reserves.
    pub requests: Sizes,
    /// What the container may use.
    pub limits: Sizes,
}

/// The fields, checked; absent ones change nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodShape {
    /// The pod's runtime class.
    pub runtime_class_name: Option<String>,
    /// The pod's affinity.
    pub affinity: Option<Affinity>,
    /// How pods are spread.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Pull secrets beside the server's own.
    pub image_pull_secrets: Vec<String>,
    /// Resources of the agent's container beside CPU and memory.
    pub resources: MoreResources,
    /// The queue in which Kueue puts the Job.
    pub queue_name: Option<String>,
    /// Image of the init container; the agent's own without it.
    pub init_image: Option<String>,
    /// Resources of the init container.
    pub init_resources: MoreResources,
    /// A strategic merge patch for the pod's spec.
    pub patch: Option<Value>,
}

impl PodShape {
    pub(super) fn read(read: &mut Values, config: &Value) -> Result<Self, ConfigError> {
        let affinity = object(read, "affinity")?;
        let spread = read.list("topologySpreadConstraints")?.filter(is_said);
        let spread: Vec<TopologySpreadConstraint> = match spread {
            Some(value) => typed(
                "topologySpreadConstraints",
                parsed("topologySpreadConstraints", value)?,
            )?,
            None => Vec::new(),
        };
        spread.iter().try_for_each(check_spread)?;
        Ok(Self {
            runtime_class_name: read.text("runtimeClassName")?,
            affinity: affinity.map(|value| typed("affinity", value)).transpose()?,
            topology_spread_constraints: spread,
            image_pull_secrets: pull_secrets(read)?,
            resources: resources(read, config)?,
            queue_name: queue_name(read)?,
            init_image: read.text("initImage")?,
            init_resources: init_resources(read)?,
            patch: object(read, "podSpecPatch")?,
        })
    }
}

fn is_said(value: &Value) -> bool {
    !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
}

fn object(read: &mut Values, key: &str) -> Result<Option<Value>, ConfigError> {
    let value = read.list(key)?.filter(is_said);
    value.map(|value| an_object(key, parsed(key, value)?)).transpose()
}

/// JSON or YAML text as what it says.
fn parsed(field: &str, value: Value) -> Result<Value, ConfigError> {
    match value {
        // `defaultMode: 0400` of a manifest is octal, as kubectl has it.
        Value::String(text) => {
            let read = serde_saphyr::from_str_with_options(&text, options!(legacy_octal_numbers: true));
            read.map_err(|error| {
                let problem = yaml_problem(&error);
                ConfigError::field(field, format!("must be JSON or YAML: {problem}"))
            })
        }
        value => Ok(value),
    }
}

fn an_object(field: &str, value: Value) -> Result<Value, ConfigError> {
    match value.is_object() {
        true => Ok(value),
        false => Err(ConfigError::field(
            field,
            "must be an object, with names and values",
        )),
    }
}

/// The value as the API's type; what the type does not know is refused by name, and not dropped.
pub(crate) fn typed<T: DeserializeOwned + Serialize>(field: &str, value: Value) -> Result<T, ConfigError> {
    let wrong = |problem: String| ConfigError::field(field, problem);
    let read: T = serde_json::from_value(value.clone())
        .map_err(|error| wrong(format!("is not as the API has it: {error}")))?;
    nothing_lost(field, &value, &read)?;
    Ok(read)
}

/// Refuses what was given and is not in what was read of it.
pub(super) fn nothing_lost(field: &str, given: &Value, read: &impl Serialize) -> Result<(), ConfigError> {
    let wrong = |problem: String| ConfigError::field(field, problem);
    let kept = serde_json::to_value(read).map_err(|error| wrong(error.to_string()))?;
    match lost(given, &kept, String::new()) {
        None => Ok(()),
        Some(path) => Err(wrong(format!("has {path}, which the API does not know"))),
    }
}

/// The first member of `given` that `kept` has not. Empty ones say nothing.
fn lost(given: &Value, kept: &Value, path: String) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), kept) => given.iter().find_map(|(name, value)| {
            let inner = match path.is_empty() {
                true => name.clone(),
                false => format!("{path}.{name}"),
            };
            match kept.get(name) {
                Some(kept) => lost(value, kept, inner),
                None if is_empty(value) => None,
                None => Some(inner),
            }
        }),
        (Value::Array(given), Value::Array(kept)) => {
            let mut pairs = given.iter().zip(kept).enumerate();
            pairs.find_map(|(at, (given, kept))| lost(given, kept, format!("{path}[{at}]")))
        }
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn pull_secrets(read: &mut Values) -> Result<Vec<String>, ConfigError> {
    let names = read.words("imagePullSecrets")?;
    match names.iter().find(|name| !is_dns_subdomain(name)) {
        Some(name) => {
            let problem = format!("has {name:?}, which is no name of a Secret; write one name per word");
            Err(ConfigError::field("imagePullSecrets", problem))
        }
        None => Ok(names),
    }
}

const STORAGE: &str = "ephemeral-storage";

/// Whether a name is one of the resources that have no setting of their own: devices and huge pages.
pub(super) fn is_extended_resource(name: &str) -> bool {
    (name.contains('/') && is_label_key(name)) || name.starts_with("hugepages-")
}

/// The members of `resources.requests` and `resources.limits` without a setting of their own, as a manifest has them.
fn beside_settings(config: &Value) -> Vec<(String, String)> {
    let nested = ["requests", "limits"].map(|list| config.pointer(&format!("/resources/{list}")));
    let nested = nested
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flatten();
    let nested = nested.map(|(name, size)| (name.as_str(), size));
    let dotted = config.as_object().into_iter().flatten();
    let dotted = dotted.filter_map(|(key, size)| {
        let name = key.strip_prefix("resources.requests.");
        Some((name.or_else(|| key.strip_prefix("resources.limits."))?, size))
    });
    let all = nested
        .chain(dotted)
        .filter(|(name, size)| is_extended_resource(name) && is_said(size));
    all.map(|(name, size)| {
        (
            name.to_owned(),
            size.as_str().map_or_else(|| size.to_string(), str::to_owned),
        )
    })
    .collect()
}

fn resources(read: &mut Values, config: &Value) -> Result<MoreResources, ConfigError> {
    let mut resources = MoreResources::default();
    let other = read.pairs("resources.other")?.unwrap_or_default();
    let other = other.into_iter().map(|(name, size)| ("other", name, size));
    let beside = beside_settings(config)
        .into_iter()
        .map(|(name, size)| ("limits", name, size));
    for (list, name, size) in other.chain(beside) {
        let wrong = |problem: String| Err(ConfigError::field(format!("resources.{list}.{name}"), problem));
        if !is_extended_resource(&name) {
            return wrong("is no extended resource such as nvidia.com/gpu, and no hugepages-2Mi".to_owned());
        }
        // What cannot be shared is reserved as it is limited, and comes in whole pieces.
        let known = resources.limits.get(&name);
        match quantity(&size) {
            Some(pieces) if pieces.fract() > 0.0 => {
                return wrong(format!("must be a whole number, it is {size}"));
            }
            Some(_) if known.is_some_and(|known| *known != size) => {
                return wrong("has two sizes; its request and its limit must be the same".to_owned());
            }
            Some(_) => {}
            None => return wrong(format!("must be a quantity such as 1, it is {size:?}")),
        }
        resources.requests.insert(name.clone(), size.clone());
        resources.limits.insert(name, size);
    }
    let request = read.text("resources.requests.ephemeral-storage")?;
    let limit = read.text("resources.limits.ephemeral-storage")?;
    at_most(
        "resources.requests.ephemeral-storage",
        request.as_ref(),
        limit.as_ref(),
    )?;
    let storage = |size: String| (STORAGE.to_owned(), size);
    resources.requests.extend(request.map(storage));
    resources.limits.extend(limit.map(storage));
    Ok(resources)
}

/// The API server's own rules.
fn check_spread(spread: &TopologySpreadConstraint) -> Result<(), ConfigError> {
    let problem = if spread.max_skew < 1 {
        "has an entry whose maxSkew is not 1 or more"
    } else if !is_label_key(&spread.topology_key) {
        "has an entry whose topologyKey is no label, such as kubernetes.io/hostname"
    } else if !matches!(
        spread.when_unsatisfiable.as_str(),
        "DoNotSchedule" | "ScheduleAnyway"
    ) {
        "has an entry whose whenUnsatisfiable is not DoNotSchedule or ScheduleAnyway"
    } else {
        return Ok(());
    };
    Err(ConfigError::field("topologySpreadConstraints", problem))
}

fn queue_name(read: &mut Values) -> Result<Option<String>, ConfigError> {
    match read.text("queueName")? {
        Some(name) if !is_label_value(&name) => Err(ConfigError::field(
            "queueName",
            "is longer than 63 characters, which no label can hold",
        )),
        name => Ok(name),
    }
}

fn init_resources(read: &mut Values) -> Result<MoreResources, ConfigError> {
    let mut resources = MoreResources::default();
    for name in ["cpu", "memory"] {
        let field = format!("initResources.requests.{name}");
        let request = read.text(&field)?;
        let limit = read.text(&format!("initResources.limits.{name}"))?;
        at_most(&field, request.as_ref(), limit.as_ref())?;
        resources
            .requests
            .extend(request.map(|size| (name.to_owned(), size)));
        resources.limits.extend(limit.map(|size| (name.to_owned(), size)));
    }
    Ok(resources)
}

/// The API server refuses a request above its limit.
fn at_most(field: &str, request: Option<&String>, limit: Option<&String>) -> Result<(), ConfigError> {
    let (Some(request), Some(limit)) = (request, limit) else {
        return Ok(());
    };
    match quantity(request) > quantity(limit) {
        true => Err(ConfigError::field(
            field,
            format!("is {request}, more than its limit {limit}"),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
