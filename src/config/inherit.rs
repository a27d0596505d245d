//! What agents' pods take over from the server's pod: everything but what only the server needs, unless the operator
//! says otherwise. Pure.

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::EnvVar;

use super::values::Values;
use super::{ConfigError, MountedVolume, SecretVolume, SelfPod};

/// What each variable begins with by which operators set up the adapter itself: nothing reads them in an agent's pod.
pub(super) const ADAPTERS_OWN: &str = "PAPERCLIP_K8S_";

/// Variables that only the server needs; `*` stands for anything. An agent that wants one of its own gets it by `env`.
const SERVERS_OWN: [&str; 44] = [
    "*DATABASE_URL",
    "DATABASE_*",
    "*_DB_URL",
    "*_DB_PASSWORD",
    "DB_*",
    "PGHOST*",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGPASS*",
    "PGSERVICE*",
    "PGSSL*",
    "POSTGRES*",
    "MYSQL_*",
    "MARIADB_*",
    "MONGO*",
    "REDIS*",
    "BETTER_AUTH_*",
    "AUTH_SECRET*",
    "NEXTAUTH_SECRET*",
    "*JWT*",
    "*MASTER_KEY*",
    "*ENCRYPTION_KEY*",
    "*SIGNING_KEY*",
    "*SIGNING_SECRET*",
    "*SESSION_SECRET*",
    "*COOKIE_SECRET*",
    "*WEBHOOK_SECRET*",
    "*OAUTH*SECRET*",
    "GITHUB_CLIENT_SECRET*",
    "GOOGLE_CLIENT_SECRET*",
    "GITHUB_APP_PRIVATE_KEY*",
    "SECRET_KEY_BASE",
    "SMTP_*",
    "PAPERCLIP_*SECRET*",
    "PAPERCLIP_*PASSWORD*",
    "PAPERCLIP_*TOKEN*",
    "PAPERCLIP_*PRIVATE*",
    "PAPERCLIP_*_KEY",
    "PAPERCLIP_*_KEY_FILE",
    "PAPERCLIP_DATABASE*",
    "PAPERCLIP_DB*",
    "PAPERCLIP_STORAGE_*",
    "PAPERCLIP_AUTH_*",
];

/// Names that a Secret or ConfigMap which is inherited as a whole may hold: each is hidden by an empty variable.
const OFTEN_IN_WHOLE_SECRETS: [&str; 18] = [
    "DATABASE_URL",
    "DATABASE_MIGRATION_URL",
    "DATABASE_PASSWORD",
    "DB_PASSWORD",
    "PGPASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "BETTER_AUTH_SECRET",
    "AUTH_SECRET",
    "JWT_SECRET",
    "SESSION_SECRET",
    "SMTP_PASSWORD",
    "PAPERCLIP_AGENT_JWT_SECRET",
    "PAPERCLIP_SECRETS_MASTER_KEY",
    "PAPERCLIP_SECRETS_MASTER_KEY_FILE",
    "PAPERCLIP_STORAGE_S3_SECRET_ACCESS_KEY",
    "PAPERCLIP_DATABASE_URL",
];

/// Addresses of databases, whose credentials stand in them.
const DATABASES: [&str; 10] = [
    "postgres://",
    "postgresql://",
    "mysql://",
    "mariadb://",
    "mongodb://",
    "mongodb+srv://",
    "redis://",
    "rediss://",
    "amqp://",
    "amqps://",
];

/// Words in the name or path of a mounted Secret that only the server needs.
const SERVERS_WORDS: [&str; 12] = [
    "master",
    "jwt",
    "auth",
    "database",
    "db",
    "postgres",
    "postgresql",
    "mysql",
    "redis",
    "session",
    "signing",
    "encryption",
];

/// What the server's container mounts below it is the host's own, such as its configuration.
pub(crate) const HOSTS_FOLDER: &str = "/paperclip/instances/";

/// What one setting says: a default, and words that add to it and take from it, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherit(Vec<Word>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    All,
    None,
    Add(String),
    Remove(String),
}

impl Inherit {
    /// `all`, `none`, `NAME` to add and `!NAME` to take away; `*` in a name stands for anything.
    pub(super) fn read(values: &mut Values, key: &str) -> Result<Self, ConfigError> {
        let words = values.words(key)?.into_iter().map(|word| match word.as_str() {
            "all" => Ok(Word::All),
            "none" => Ok(Word::None),
            _ => {
                let (is_removed, name) = match word.strip_prefix('!') {
                    Some(name) => (true, name),
                    None => (false, word.as_str()),
                };
                let fits = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
                if name.is_empty() || !name.chars().all(fits) {
                    let problem = format!("has the word {word:?}; write all, none, NAME, !NAME or PREFIX_*");
                    return Err(ConfigError::field(key, problem));
                }
                let name = name.to_owned();
                Ok(if is_removed {
                    Word::Remove(name)
                } else {
                    Word::Add(name)
                })
            }
        });
        Ok(Self(words.collect::<Result<_, _>>()?))
    }

    /// Whether something with these names is taken over.
    fn takes(&self, names: &[&str], is_servers_own: bool) -> bool {
        let is_any = |pattern: &str| names.iter().any(|name| matches(pattern, name));
        self.0.iter().fold(!is_servers_own, |takes, word| match word {
            Word::All => true,
            Word::None => false,
            Word::Add(pattern) => takes || is_any(pattern),
            Word::Remove(pattern) => takes && !is_any(pattern),
        })
    }

    /// Whether a variable of this name and, where it is known, this value is taken over.
    fn takes_variable(&self, name: &str, value: Option<&str>) -> bool {
        self.takes(&[name], is_servers_own(name, value))
    }

    /// Whether Secrets and ConfigMaps are taken over as a whole.
    fn takes_whole_sources(&self) -> bool {
        self.0.iter().fold(true, |takes, word| match word {
            Word::All => true,
            Word::None => false,
            Word::Add(_) | Word::Remove(_) => takes,
        })
    }
}

/// The server's pod without what agents do not get.
pub(super) fn for_agents(mut pod: SelfPod, env: &Inherit, mounts: &Inherit) -> SelfPod {
    let sources = withheld_sources(&pod, env);
    pod.secret_volumes
        .retain(|volume| mounts.takes(&names_of(volume), sources.hold(volume)));
    pod.other_volumes
        .retain_mut(|other| keep_sources(other, mounts, &sources));
    pod.inherited_env
        .0
        .retain(|(name, value)| env.takes_variable(name, Some(value)));
    pod.inherited_env_value_from
        .retain(|entry| env.takes_variable(&entry.name, None));
    if !env.takes_whole_sources() {
        pod.inherited_env_from.clear();
    }
    let prefixes = pod
        .inherited_env_from
        .iter()
        .map(|source| source.prefix.clone().unwrap_or_default());
    let hidden = prefixes.flat_map(|prefix| {
        let own = OFTEN_IN_WHOLE_SECRETS
            .iter()
            .filter(|name| !env.takes_variable(name, None));
        own.map(move |name| format!("{prefix}{name}"))
    });
    pod.hidden_env = hidden.collect();
    pod.hidden_env.sort_unstable();
    pod.hidden_env.dedup();
    pod
}

/// Takes the Secrets out of a projected volume that agents do not get; false where nothing is left of it.
fn keep_sources(other: &mut MountedVolume, mounts: &Inherit, withheld: &Sources) -> bool {
    let Some(sources) = other
        .volume
        .projected
        .as_mut()
        .and_then(|projected| projected.sources.as_mut())
    else {
        return true;
    };
    sources.retain(|source| {
        let Some(secret) = &source.secret else { return true };
        let volume = SecretVolume {
            volume_name: other.volume.name.clone(),
            secret_name: secret.name.clone(),
            mount_path: other.mount.mount_path.clone(),
            sub_path: other.mount.sub_path.clone(),
            items: secret.items.clone().unwrap_or_default(),
            ..SecretVolume::default()
        };
        mounts.takes(&names_of(&volume), withheld.hold(&volume))
    });
    !sources.is_empty()
}

/// Where the withheld variables come from: Secrets, and files.
struct Sources {
    secrets: Vec<String>,
    files: Vec<String>,
}

impl Sources {
    /// Whether what the server mounts here is its own.
    fn hold(&self, volume: &SecretVolume) -> bool {
        let is_whole = volume.sub_path.is_none() && volume.items.is_empty();
        let folder = format!("{}/", volume.mount_path.trim_end_matches('/'));
        let says = |text: &&str| {
            let text = text.to_lowercase();
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
            words.any(|word| SERVERS_WORDS.contains(&word))
        };
        (is_whole && self.secrets.contains(&volume.secret_name))
            || self
                .files
                .iter()
                .any(|file| file.starts_with(&folder) || *file == volume.mount_path)
            || volume.mount_path.starts_with(HOSTS_FOLDER)
            || names_of(volume).iter().any(says)
    }
}

fn withheld_sources(pod: &SelfPod, env: &Inherit) -> Sources {
    let secret = |entry: &EnvVar| Some(entry.value_from.as_ref()?.secret_key_ref.as_ref()?.name.clone());
    let withheld = pod
        .inherited_env_value_from
        .iter()
        .filter(|entry| !env.takes_variable(&entry.name, None));
    let files = pod.inherited_env.0.iter();
    Sources {
        secrets: withheld.filter_map(secret).collect(),
        files: files
            .filter(|(name, value)| value.starts_with('/') && !env.takes_variable(name, Some(value)))
            .map(|(_, value)| value.clone())
            .collect(),
    }
}

fn names_of(volume: &SecretVolume) -> Vec<&str> {
    let mut names = vec![
        volume.secret_name.as_str(),
        &volume.volume_name,
        &volume.mount_path,
    ];
    names.extend(volume.sub_path.as_deref());
    names.extend(volume.items.iter().map(|item| item.key.as_str()));
    names
}

fn is_servers_own(name: &str, value: Option<&str>) -> bool {
    static PATTERNS: LazyLock<Vec<Vec<&[u8]>>> = LazyLock::new(|| SERVERS_OWN.map(parts_of).to_vec());
    let name = name.to_uppercase();
    let is_database = |value: &str| {
        let value = value.trim_start();
        let begins = |scheme: &str| {
            value
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        DATABASES.iter().any(|scheme| begins(scheme))
    };
    // Where the host's API is found is no secret, and a key of the agent's own is set for each run.
    name.starts_with(ADAPTERS_OWN)
        || PATTERNS.iter().any(|parts| fits(parts, name.as_bytes()))
        || value.is_some_and(is_database)
}

/// Whether the pattern, in which `*` stands for anything, describes the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    fits(&parts_of(pattern), text.as_bytes())
}

/// What of a text must be as it is, in its order.
fn parts_of(pattern: &str) -> Vec<&[u8]> {
    pattern.as_bytes().split(|byte| *byte == b'*').collect()
}

/// Whether the text begins with the first of these parts, ends with the last one, and has the others between them.
/// Each variable of the server meets all patterns.
fn fits(parts: &[&[u8]], text: &[u8]) -> bool {
    let [first, between @ .., last] = parts else {
        return parts.first() == Some(&text);
    };
    let left = text
        .strip_prefix(*first)
        .and_then(|left| left.strip_suffix(*last));
    let left = left.and_then(|left| between.iter().try_fold(left, |left, part| after(left, part)));
    left.is_some()
}

/// What follows the first occurrence of the part. Names are short: to prepare a search takes longer than this one.
fn after<'a>(text: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let Some(first) = part.first() else {
        return Some(text);
    };
    memchr::memchr_iter(*first, text).find_map(|at| text.get(at..)?.strip_prefix(part))
}

#[cfg(test)]
mod tests;
