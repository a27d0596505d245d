//! The files that a connection is made of: kubeconfigs, tokens, certificates. Read together, so that a change of any of
//! them is seen.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::USER_AGENT;
use kube::Config;
use kube::config::{Cluster, KubeConfigOptions, Kubeconfig};

use super::plugin::Login;
use crate::cluster::client::Access;
use crate::cluster::error_chain::chain;

/// How long connecting to the API server may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What was read.
pub(super) struct Sources {
    pub(super) config: Config,
    /// All files that were read.
    files: Vec<PathBuf>,
    content: u64,
}

impl Sources {
    /// Reads all files. Blocks.
    pub(super) fn read(access: &Access) -> Result<Self, String> {
        let (mut config, mut files) = match access.kubeconfigs.as_slice() {
            [] if access.in_cluster => (in_cluster()?, Vec::new()),
            [] => {
                return Err(
                    "No way to a cluster: this is no pod (KUBERNETES_SERVICE_HOST is not set), and no kubeconfig is \
                     given. Run Paperclip in the cluster, or set the agent's `kubeconfig` field or KUBECONFIG"
                        .to_owned(),
                );
            }
            paths => of_kubeconfigs(paths)
                .map_err(|why| unusable(access, &why) + ". It must be readable by the server")?,
        };
        let user = &config.auth_info;
        let named = [&user.token_file, &user.client_certificate, &user.client_key];
        files.extend(named.into_iter().flatten().map(PathBuf::from));
        files.extend(config.root_cert_file.clone());
        // What is read now decides: a file that changes in between is read again at the next look.
        let content = content_of(&files);
        must_be_token(&mut config).map_err(|()| unusable(access, "its `token` holds more than a token"))?;
        use_token_file(&mut config)?;
        Ok(Self {
            config: with_defaults(config),
            files,
            content,
        })
    }

    /// Whether a file holds something else by now, or cannot be read. Blocks.
    pub(super) fn have_changed(&self) -> bool {
        content_of(&self.files) != self.content
    }
}

/// The configuration with a plugin's credential in the plugin's place: kube must not run it a second time.
pub(super) fn logged_in(mut config: Config, login: Login) -> Config {
    let user = &mut config.auth_info;
    user.exec = None;
    user.token = login.token.map(Into::into).or_else(|| user.token.take());
    if let Some((certificate, key)) = login.identity {
        user.client_certificate_data = Some(STANDARD.encode(certificate));
        user.client_key_data = Some(STANDARD.encode(key).into());
        (user.client_certificate, user.client_key) = (None, None);
    }
    config
}

fn with_defaults(mut config: Config) -> Config {
    // kube must not repeat a create: a request that failed with a 504 may have created the object.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_LIMIT);
    let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    config
        .headers
        .push((USER_AGENT, http::HeaderValue::from_static(agent)));
    config
}

/// A file's token is taken here, and not by kube: it may end with a newline, and the file wins over an old `token`.
fn use_token_file(config: &mut Config) -> Result<(), String> {
    let user = &mut config.auth_info;
    let Some(file) = user.token_file.take() else {
        return Ok(());
    };
    let text = read(Path::new(&file)).map_err(|why| format!("Token file not readable: {file}: {why}"));
    let text = match text {
        Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(_) if user.token.is_some() => return Ok(()),
        Err(why) => return Err(why),
    };
    if text.is_empty() {
        return Err(format!("Token file is empty: {file}"));
    }
    user.token = Some(text.into());
    must_be_token(config).map_err(|()| format!("Token file not usable: {file} holds more than a token"))
}

/// Trims the token; an error where it still is none that a request can carry. kube would panic.
fn must_be_token(config: &mut Config) -> Result<(), ()> {
    let Some(token) = token_of(config) else {
        return Ok(());
    };
    let is_token = http::HeaderValue::from_str(&token).is_ok();
    config.auth_info.token = (is_token && !token.is_empty()).then(|| token.into());
    if is_token { Ok(()) } else { Err(()) }
}

/// The text of the token: kube gives it away by serializing only.
fn token_of(config: &Config) -> Option<String> {
    let user = serde_json::to_value(&config.auth_info).ok()?;
    Some(user.get("token")?.as_str()?.trim().to_owned())
}

/// A hash of all contents; a file that cannot be read counts as absent.
fn content_of(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        (file, read(file).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

fn of_kubeconfigs(paths: &[PathBuf]) -> Result<(Config, Vec<PathBuf>), String> {
    let mut kubeconfig = merged(paths)?;
    let mut files = paths.to_vec();
    let cluster = current_cluster(&mut kubeconfig);
    files.extend(
        cluster
            .as_ref()
            .and_then(|cluster| cluster.certificate_authority.clone())
            .map(PathBuf::from),
    );
    // A proxy of the server's environment is for the internet; the cluster's own is for its API server. Where it has
    // none, kube looks into the environment, and fails where that holds no address.
    let mut proxy = None;
    if let Some(cluster) = cluster {
        with_scheme(cluster);
        proxy = cluster.proxy_url.take().filter(|url| !url.trim().is_empty());
        cluster.proxy_url = Some("http://unused.invalid".to_owned());
    }
    // It may hold a password, and is not shown.
    let proxy = proxy.map(|url| {
        url.trim()
            .parse()
            .map_err(|error| format!("its proxy-url is no address: {error}"))
    });
    let proxy = proxy.transpose()?;
    let options = KubeConfigOptions::default();
    let reading = Config::from_custom_kubeconfig(kubeconfig, &options);
    let config = tokio::runtime::Handle::current().block_on(reading);
    let mut config = config.map_err(|error| chain(&error))?;
    config.proxy_url = proxy;
    Ok((config, files))
}

/// An address may lack its scheme, as kubectl takes it: kube would panic.
fn with_scheme(cluster: &mut Cluster) {
    let has_tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    if let Some(server) = cluster.server.as_mut().filter(|server| !server.contains("://")) {
        let scheme = if has_tls { "https" } else { "http" };
        *server = format!("{scheme}://{}", server.trim());
    }
}

/// The cluster of the current context.
fn current_cluster(kubeconfig: &mut Kubeconfig) -> Option<&mut Cluster> {
    let context = kubeconfig.current_context.as_deref();
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|named| Some(named.name.as_str()) == context)?;
    let name = context.context.as_ref()?.cluster.as_str();
    let mut clusters = kubeconfig.clusters.iter_mut();
    clusters.find(|named| named.name == name)?.cluster.as_mut()
}

/// Reads and merges the files. Where there are several, those that do not exist are skipped, as kubectl does.
fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, String> {
    let mut merged = None;
    for path in paths {
        if paths.len() > 1 && matches!(path.try_exists(), Ok(false)) {
            continue;
        }
        must_be_small_file(path)?;
        let next = Kubeconfig::read_from(path).map_err(|error| chain(&error))?;
        merged = Some(match merged {
            None => next,
            Some(earlier) => Kubeconfig::merge(earlier, next).map_err(|error| chain(&error))?,
        });
    }
    merged.ok_or_else(|| "none of these files exists".to_owned())
}

/// What is wrong first: paths are long.
pub(super) fn unusable(access: &Access, why: &str) -> String {
    match access.kubeconfigs.is_empty() {
        true => format!("Service account not usable: {why}"),
        false => format!("Kubeconfig not usable: {why} ({})", access.name()),
    }
}

fn in_cluster() -> Result<Config, String> {
    Config::incluster().map_err(|error| {
        format!(
            "No service account: that of this pod cannot be used: {}. The pod needs automountServiceAccountToken",
            chain(&error)
        )
    })
}

/// A device or a FIFO would be read for ever, into memory.
fn must_be_small_file(path: &Path) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own file; its links are followed, as Kubernetes mounts it by links"
    )]
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(format!(
            "it has {} bytes, and may have {MAX_FILE_BYTES}",
            found.len()
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    must_be_small_file(path)?;
    #[expect(clippy::disallowed_methods, reason = "the operator's own file, as above")]
    std::fs::read(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
         contexts:\n- {name: one, context: {cluster: c, user: u}}\n";
    const SECOND: &str = "apiVersion: v1\nkind: Config\ncurrent-context: two\nclusters:\n\
         - {name: c, cluster: {server: 'https://c', proxy-url: 'http://proxy:3128'}}\n\
         users:\n- {name: u, user: {tokenFile: token}}\n";

    fn write(path: &Path, content: &str) {
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(path, content).expect("written");
    }

    fn access(paths: &[&Path]) -> Access {
        Access {
            kubeconfigs: paths.iter().map(|path| path.to_path_buf()).collect(),
            ..Access::default()
        }
    }

    /// Reads as the product does: on a thread that may block.
    async fn read_on_thread(access: Access) -> Result<Sources, String> {
        tokio::task::spawn_blocking(move || Sources::read(&access))
            .await
            .expect("read")
    }

    #[test]
    fn several_files_are_merged_and_the_first_value_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let [first, second, absent] = ["first", "second", "absent"].map(|name| folder.path().join(name));
        write(&first, FIRST);
        write(&second, SECOND);
        let merged =
            |paths: &[&PathBuf]| merged(&paths.iter().map(|path| (*path).clone()).collect::<Vec<_>>());
        let all = merged(&[&absent, &first, &second]).expect("a kubeconfig");
        assert_eq!(all.current_context.as_deref(), Some("one"));
        assert_eq!((all.contexts.len(), all.clusters.len()), (1, 1));
        assert!(merged(&[&absent]).is_err_and(|error| error.contains("No such file")));
        assert!(merged(&[&absent, &absent]).is_err_and(|error| error.contains("none of these files")));
    }

    #[tokio::test]
    async fn an_address_without_a_scheme_is_taken_as_kubectl_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        for (more, address) in [
            ("", "http://c:6443/"),
            (", insecure-skip-tls-verify: true", "https://c:6443/"),
        ] {
            let cluster = format!("clusters:\n- {{name: c, cluster: {{server: 'c:6443'{more}}}}}\n");
            write(
                &path,
                &format!("{FIRST}{cluster}users:\n- {{name: u, user: {{token: t}}}}\n"),
            );
            let sources = read_on_thread(access(&[&path])).await.expect("usable");
            assert_eq!(sources.config.cluster_url.to_string(), address);
        }
    }

    #[tokio::test]
    async fn a_token_that_no_request_can_carry_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        let with = |token: &str| {
            let users = format!("users:\n- {{name: u, user: {{token: \"{token}\"}}}}\n");
            let clusters = "clusters:\n- {name: c, cluster: {server: 'https://c'}}\n";
            write(&path, &format!("{FIRST}{clusters}{users}"));
        };
        with("open-sesame\\n");
        let sources = read_on_thread(access(&[&path])).await.expect("usable");
        assert_eq!(token_of(&sources.config).as_deref(), Some("open-sesame"));
        with("open\\nsesame");
        let error = read_on_thread(access(&[&path])).await.err().expect("refused");
        assert!(
            error.contains("`token` holds more") && !error.contains("sesame"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_token_file_is_trimmed_and_its_rotation_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let [first, second, token] = ["first", "second", "token"].map(|name| folder.path().join(name));
        write(&first, FIRST);
        write(&second, SECOND);
        let access = access(&[&first, &second]);
        let missing = read_on_thread(access.clone()).await.err().expect("refused");
        assert!(
            missing.starts_with("Token file not readable: ") && missing.contains("No such file"),
            "{missing}"
        );
        for (content, why) in [(" \n", "is empty"), ("a\nb", "more than a token")] {
            write(&token, content);
            let error = read_on_thread(access.clone()).await.err().expect("refused");
            assert!(error.contains(why), "{error}");
        }
        write(&token, "one\r\n");
        let sources = read_on_thread(access.clone()).await.expect("usable");
        assert!(sources.config.auth_info.token.is_some() && sources.config.auth_info.token_file.is_none());
        assert_eq!(
            sources
                .config
                .proxy_url
                .as_ref()
                .map(ToString::to_string)
                .as_deref(),
            Some("http://proxy:3128/")
        );
        assert!(!sources.have_changed());
        write(&token, "two\n");
        assert!(sources.have_changed(), "a rotated token");
        let sources = read_on_thread(access).await.expect("usable");
        write(&second, &SECOND.replace("https://c", "https://d"));
        assert!(sources.have_changed(), "another address");
    }
}
