//! Variables of the server that name what only its own container has: left out of agents' pods. Pure.

use super::SelfPod;
use super::inherit::ADAPTERS_OWN;
use super::node_options::{self, is_options};

/// Where Kubernetes mounts the account of a pod that has one.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where clusters, their webhooks and injectors put secrets into a container, also without a mount in its own manifest.
const INJECTED: [&str; 3] = ["/var/run/secrets", "/run/secrets", "/vault/secrets"];
/// Variables that are of no use one without the other: an identity is a token and what it is a token of.
const IDENTITIES: [&[&str]; 3] = [
    &[
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
    ],
    &[
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ],
    &[
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_AUTHORITY_HOST",
    ],
];

/// Takes the variables away that name a file below a mount which agents' pods do not have, that name a variable which
/// was withheld, and what would be loaded into every node.
pub(super) fn leave_out(pod: &mut SelfPod, has_account: bool) {
    let paths = Paths::of(pod, has_account);
    let mut left_out = Vec::new();
    pod.inherited_env_value_from.retain(|entry| {
        // Nobody knows here what it loads.
        let stays = !is_options(&entry.name);
        if !stays {
            left_out.push(entry.name.clone());
        }
        stays
    });
    let of_elsewhere = pod
        .inherited_env_value_from
        .iter()
        .map(|entry| entry.name.clone());
    let mut present: Vec<String> = of_elsewhere.collect();
    present.extend(pod.inherited_env.0.iter().map(|(name, _)| name.clone()));
    let (order, hidden) = (&pod.env_order, &pod.hidden_env);
    pod.inherited_env.0.retain_mut(|(name, value)| {
        let is_gone = |named: &str| {
            let mut withheld = order.iter().chain(hidden);
            withheld.any(|known| known == named) && !present.iter().any(|known| known == named)
        };
        let stays = if is_options(name) {
            let kept = node_options::kept(value, |word| paths.lack(word));
            let is_changed = kept != *value;
            *value = kept;
            if is_changed {
                left_out.push(name.clone());
            }
            return !value.is_empty();
        } else {
            !paths.lack(value) && !references(value).into_iter().any(is_gone)
        };
        if !stays {
            left_out.push(name.clone());
            present.retain(|known| known != name);
        }
        stays
    });
    for identity in IDENTITIES {
        if identity
            .first()
            .is_some_and(|token| left_out.iter().any(|name| name == token))
        {
            let is_of = |name: &str| identity.contains(&name);
            left_out.extend(
                pod.inherited_env
                    .0
                    .iter()
                    .map(|(name, _)| name.clone())
                    .filter(|name| is_of(name)),
            );
            pod.inherited_env.0.retain(|(name, _)| !is_of(name));
            pod.inherited_env_value_from.retain(|entry| !is_of(&entry.name));
        }
    }
    // Whoever takes over all variables does not miss those.
    left_out.retain(|name| !name.starts_with(ADAPTERS_OWN));
    pod.left_out.extend(left_out);
}

/// Where the server mounts something: what agents' pods have of it, and what they lack.
struct Paths {
    carried: Vec<String>,
    missing: Vec<String>,
}

impl Paths {
    fn of(pod: &SelfPod, has_account: bool) -> Self {
        let mut carried = vec![super::POD_ROOT.to_owned()];
        carried.extend(has_account.then(|| ACCOUNT.to_owned()));
        let secrets = pod.secret_volumes.iter().map(|volume| &volume.mount_path);
        let others = pod.other_volumes.iter().map(|volume| &volume.mount.mount_path);
        carried.extend(
            secrets
                .chain(others)
                .map(|path| path.trim_end_matches('/').to_owned()),
        );
        let mounts = pod.mounts.iter().map(|path| path.trim_end_matches('/'));
        let missing = mounts
            .chain(INJECTED)
            .filter(|path| !carried.iter().any(|known| known == path));
        Self {
            missing: missing.map(str::to_owned).collect(),
            carried,
        }
    }

    /// Whether a text names a file that an agent's pod lacks.
    fn lack(&self, text: &str) -> bool {
        let mut parts = text.split([
            ':', ';', ',', ' ', '=', '"', '\'', '{', '}', '[', ']', '(', ')', '\n', '\t',
        ]);
        parts.any(|part| {
            // `file:///a` names a file, `http://a` does not.
            let part = match part.strip_prefix("//") {
                Some(rest) if !rest.starts_with('/') => return false,
                rest => rest.unwrap_or(part),
            };
            // The innermost mount decides: a file may be mounted into a folder.
            let below = |path: &&String| is_below(part, path);
            let lacks = self.missing.iter().filter(below).map(String::len).max();
            let has = self.carried.iter().filter(below).map(String::len).max();
            lacks > has
        })
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    !folder.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The names that Kubernetes would look up in a value: `$(NAME)`, but not `$$(NAME)`.
fn references(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after.strip_prefix('$').unwrap_or(after);
        if rest.len() == after.len()
            && let Some((name, behind)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            names.push(name);
            rest = behind;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::{MountedVolume, Texts};
    use super::*;
    use k8s_openapi::api::core::v1::{EnvVar, VolumeMount};

    fn left(pod: SelfPod) -> (Vec<String>, Vec<String>) {
        let mut pod = pod;
        leave_out(&mut pod, false);
        let stays = pod
            .inherited_env
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        (stays.collect(), pod.left_out)
    }

    fn pod(env: &[(&str, &str)]) -> SelfPod {
        let carried = |path: &str| MountedVolume {
            mount: VolumeMount {
                mount_path: path.to_owned(),
                ..VolumeMount::default()
            },
            ..MountedVolume::default()
        };
        let mounts = [
            "/paperclip/",
            "/etc/ca",
            "/var/run/secrets/aws",
            "/cache",
            "/etc/ssl/certs/company.pem",
        ];
        SelfPod {
            inherited_env: Texts(
                env.iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            mounts: mounts.map(str::to_owned).to_vec(),
            other_volumes: vec![carried("/etc/ca"), carried("/etc/ssl/certs/company.pem")],
            ..SelfPod::default()
        }
    }

    #[test]
    fn what_names_a_mount_that_agents_lack_is_left_out() {
        let (stays, left_out) = left(pod(&[
            ("NODE_EXTRA_CA_CERTS", "/etc/ca/ca.crt"),
            ("SSL_CERT_FILE", "/etc/ssl/certs/company.pem"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/aws/token"),
            ("CACHES", "/paperclip/cache:/cache/npm"),
            ("JAVA_OPTS", "-Dx=/cache/y"),
            ("LIKE", "/cached"),
            ("HOME", "/paperclip"),
        ]));
        assert_eq!(
            stays,
            [
                "NODE_EXTRA_CA_CERTS=/etc/ca/ca.crt",
                "SSL_CERT_FILE=/etc/ssl/certs/company.pem",
                "LIKE=/cached",
                "HOME=/paperclip"
            ]
        );
        assert_eq!(left_out, ["AWS_WEB_IDENTITY_TOKEN_FILE", "CACHES", "JAVA_OPTS"]);
    }

    #[test]
    fn what_names_a_variable_that_was_withheld_is_left_out() {
        let mut server = pod(&[
            ("PROXY", "http://u:$(PROXY_PASSWORD)@h"),
            ("CACHE", "x:$(DB_PASSWORD)"),
            ("OF_CACHE", "$(CACHE)/1"),
            ("PLAIN", "$$(DB_PASSWORD) $(NOBODY)"),
        ]);
        server.inherited_env_value_from = vec![EnvVar {
            name: "PROXY_PASSWORD".to_owned(),
            ..EnvVar::default()
        }];
        server.env_order = [
            "PROXY_PASSWORD",
            "DB_PASSWORD",
            "PROXY",
            "CACHE",
            "OF_CACHE",
            "PLAIN",
        ]
        .map(str::to_owned)
        .to_vec();
        let (stays, left_out) = left(server);
        assert_eq!(
            stays,
            [
                "PROXY=http://u:$(PROXY_PASSWORD)@h",
                "PLAIN=$$(DB_PASSWORD) $(NOBODY)"
            ]
        );
        assert_eq!(left_out, ["CACHE", "OF_CACHE"]);
    }

    #[test]
    fn an_identity_goes_as_a_whole() {
        let (stays, left_out) = left(pod(&[
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/server"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/aws/token"),
        ]));
        assert_eq!(stays, ["AWS_REGION=eu-central-1"]);
        assert_eq!(left_out, ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"]);
    }

    #[test]
    fn addresses_are_no_paths_and_files_are() {
        let (stays, _) = left(pod(&[
            ("A", "http://cache/x"),
            ("B", "file:///cache/x"),
            ("C", r#"{"path":"/cache"}"#),
            ("D", "/paperclip/x/"),
        ]));
        assert_eq!(stays, ["A=http://cache/x", "D=/paperclip/x/"]);
    }

    #[test]
    fn options_from_elsewhere_are_left_out() {
        let mut server = pod(&[("NODE_OPTIONS", "--import ./server/telemetry.js")]);
        server.inherited_env_value_from = vec![EnvVar {
            name: "BUN_OPTIONS".to_owned(),
            ..EnvVar::default()
        }];
        assert_eq!(
            left(server),
            (vec![], vec!["BUN_OPTIONS".to_owned(), "NODE_OPTIONS".to_owned()])
        );
    }
}
