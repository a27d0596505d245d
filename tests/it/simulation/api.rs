//! The API server's memory: objects with versions, and what changed. Others of the cluster change it directly; servers
//! ask through `requests`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

/// A change, as a watch tells it.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) resource: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
}

#[derive(Default)]
struct Memory {
    objects: BTreeMap<(&'static str, String), Value>,
    changes: Vec<Change>,
    version: u64,
    uids: u64,
}

pub(crate) struct Api {
    memory: Mutex<Memory>,
    changed: watch::Sender<u64>,
    since: Instant,
    wall: SystemTime,
}

/// Why a request of the cluster's own is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Exists,
    Missing,
    OtherUid,
}

impl Api {
    pub(crate) fn new(wall: SystemTime) -> Self {
        Self {
            memory: Mutex::default(),
            changed: watch::Sender::new(0),
            since: Instant::now(),
            wall,
        }
    }

    /// The wall clock, as the stopped clock has it.
    pub(crate) fn wall(&self) -> SystemTime {
        self.wall + self.since.elapsed()
    }

    /// The time as objects have it: whole seconds.
    pub(crate) fn stamp(&self) -> String {
        let seconds = self
            .wall()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        Timestamp::from_second(seconds as i64).unwrap().to_string()
    }

    pub(crate) fn create(&self, resource: &'static str, mut object: Value) -> Result<Value, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if let Some(pod) = object.pointer_mut("/spec/template/spec") {
            without_scripts(pod);
        }
        let stamp = self.stamp();
        let mut memory = self.memory.lock().unwrap();
        if memory.objects.contains_key(&(resource, name.clone())) {
            return Err(Refusal::Exists);
        }
        memory.uids += 1;
        object["metadata"]["uid"] = json!(format!("uid-{}", memory.uids));
        object["metadata"]["creationTimestamp"] = json!(stamp);
        object["metadata"]["namespace"] = json!("paperclip");
        let object = self.put(&mut memory, resource, name, "ADDED", object);
        Ok(object)
    }

    fn put(
        &self,
        memory: &mut Memory,
        resource: &'static str,
        name: String,
        kind: &'static str,
        mut object: Value,
    ) -> Value {
        memory.version += 1;
        let version = memory.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        memory.changes.push(Change {
            version,
            resource,
            kind,
            object: object.clone(),
        });
        if kind == "DELETED" {
            memory.objects.remove(&(resource, name));
        } else {
            memory.objects.insert((resource, name), object.clone());
        }
        self.changed.send_replace(version);
        object
    }

    pub(crate) fn get(&self, resource: &'static str, name: &str) -> Option<Value> {
        let memory = self.memory.lock().unwrap();
        memory.objects.get(&(resource, name.to_owned())).cloned()
    }

    /// The object, if it is still the one of this uid.
    pub(crate) fn get_uid(&self, resource: &'static str, name: &str, uid: &str) -> Option<Value> {
        self.get(resource, name)
            .filter(|object| object["metadata"]["uid"] == uid)
    }

    pub(crate) fn list(&self, resource: &'static str) -> (u64, Vec<Value>) {
        let memory = self.memory.lock().unwrap();
        let of = memory.objects.iter().filter(|((of, _), _)| *of == resource);
        (memory.version, of.map(|(_, object)| object.clone()).collect())
    }

    /// Changes the object of this uid; false when it is gone.
    pub(crate) fn update(
        &self,
        resource: &'static str,
        name: &str,
        uid: &str,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let mut memory = self.memory.lock().unwrap();
        let Some(mut object) = memory.objects.get(&(resource, name.to_owned())).cloned() else {
            return false;
        };
        if object["metadata"]["uid"] != uid {
            return false;
        }
        let before = object.clone();
        change(&mut object);
        if object != before {
            self.put(&mut memory, resource, name.to_owned(), "MODIFIED", object);
        }
        true
    }

    pub(crate) fn remove(
        &self,
        resource: &'static str,
        name: &str,
        uid: Option<&str>,
    ) -> Result<Value, Refusal> {
        let mut memory = self.memory.lock().unwrap();
        let object = memory
            .objects
            .get(&(resource, name.to_owned()))
            .cloned()
            .ok_or(Refusal::Missing)?;
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Refusal::OtherUid);
        }
        Ok(self.put(&mut memory, resource, name.to_owned(), "DELETED", object))
    }

    /// What changed of a resource after this version.
    pub(crate) fn changes_after(&self, resource: &'static str, version: u64) -> Vec<Change> {
        let memory = self.memory.lock().unwrap();
        let from = memory.changes.partition_point(|change| change.version <= version);
        memory.changes[from..]
            .iter()
            .filter(|change| change.resource == resource)
            .cloned()
            .collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.memory.lock().unwrap().version
    }

    /// Wakes whoever waits at each change.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits for a change, or so long.
    pub(crate) async fn change_within(&self, limit: Duration, seen: &mut watch::Receiver<u64>) {
        let _ = tokio::time::timeout(limit, seen.changed()).await;
    }
}

/// The scripts are simulated, and most of what every list of Jobs and pods would carry.
fn without_scripts(pod: &mut Value) {
    for kind in ["initContainers", "containers"] {
        let containers = pod.get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(script) = container.pointer_mut("/command/2") {
                *script = json!("simulated");
            }
        }
    }
}

/// Whether an object has all these labels: `a=b,c=d`.
pub(crate) fn selected(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        object["metadata"]["labels"][key] == value
    })
}

/// The uid of the Job that owns this object.
pub(crate) fn owner(object: &Value) -> Option<&str> {
    object["metadata"]["ownerReferences"][0]["uid"].as_str()
}
