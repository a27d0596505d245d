//! Whether agents' pods can reach the server at the address that they get. Pure.

use super::commands::Commands;
use super::{Check, Level};

const CODE: &str = "k8s_api_url_unreachable_from_pods";
/// The HTTP status with which Paperclip answers calls to a host name that is not its own, and many proxies what they do
/// not let through.
const FORBIDDEN: u16 = 403;

/// `url`: what PAPERCLIP_API_URL will be in a pod; `status`: with what it answered the server, where that is known.
pub(super) fn check(url: Option<&str>, status: Option<u16>, commands: &Commands) -> Check {
    let useless = |message: String| {
        let hint = format!(
            "Give the server the address of its Service, which restarts it: {}",
            commands.set_env("PAPERCLIP_API_URL", &commands.service_url())
        );
        Check::new(Level::Error, CODE, message, Some(&hint))
    };
    let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else {
        return useless("PAPERCLIP_API_URL is not set: agents do not know where Paperclip is.".to_owned());
    };
    let shown = without_user(url);
    match host_of(url) {
        None => useless(format!(
            "PAPERCLIP_API_URL is {shown:?}, which is no http:// or https:// address."
        )),
        Some(host) if is_local(&host) => useless(format!(
            "PAPERCLIP_API_URL is {shown}: a pod that calls it reaches itself, not this server."
        )),
        Some(host) if status == Some(FORBIDDEN) => refused(&shown, &host, commands),
        Some(host) => Check::new(
            Level::Info,
            "k8s_api_url",
            format!("Agents call Paperclip at {host}."),
            None,
        ),
    }
}

/// A Paperclip with logins answers only to host names that it knows. A proxy before it answers alike.
fn refused(shown: &str, host: &str, commands: &Commands) -> Check {
    let message = format!(
        "Calls to {shown} are refused (403): Paperclip does not know the host name {host}, or a proxy refuses it."
    );
    let hint = format!(
        "Tell Paperclip the name, which restarts the server (names that it has already stay in the list, with commas): {}",
        commands.set_env("PAPERCLIP_ALLOWED_HOSTNAMES", host)
    );
    Check::new(Level::Error, "k8s_api_url_refused", message, Some(&hint))
}

/// The address without user name and password.
fn without_user(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit('@').next().unwrap_or_default();
    let path = rest.strip_prefix(authority).unwrap_or_default();
    format!("{scheme}{place}{path}")
}

/// The host of an http address, in lower case and without brackets.
fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit('@').next()?;
    let host = match place.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => place.split(':').next()?,
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// An address of the machine itself, in any of its spellings.
fn is_local(host: &str) -> bool {
    use std::net::{IpAddr, Ipv6Addr};
    let of_v6 = |address: Ipv6Addr| match address.to_ipv4_mapped() {
        Some(v4) => v4.is_loopback() || v4.is_unspecified(),
        None => address.is_loopback() || address.is_unspecified(),
    };
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => of_v6(address),
        // Resolvers also take short forms, such as 127.1.
        Err(_) => {
            host == "localhost" || host.ends_with(".localhost") || host == "0" || host.starts_with("127.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: Option<&str>) -> Check {
        check(url, None, &Commands::new(Some("prod"), Some("paperclip-0"), None))
    }

    #[test]
    fn a_host_name_that_paperclip_does_not_know_is_refused_there() {
        let commands = Commands::new(Some("prod"), Some("paperclip-0"), None);
        let with = |status| check(Some("http://user:word@Paperclip:3100"), status, &commands);
        let refused = with(Some(403));
        assert_eq!(
            (refused.level, refused.code.as_str()),
            (Level::Error, "k8s_api_url_refused")
        );
        assert!(
            refused
                .message
                .starts_with("Calls to http://Paperclip:3100 are refused (403)")
        );
        let hint = refused.hint.expect("a hint");
        assert!(
            hint.ends_with(
                "kubectl -n prod set env statefulset/paperclip PAPERCLIP_ALLOWED_HOSTNAMES=paperclip"
            ),
            "{hint}"
        );
        for status in [None, Some(200), Some(502)] {
            assert_eq!(with(status).level, Level::Info, "{status:?}");
        }
    }

    #[test]
    fn an_address_of_the_server_itself_is_useless_in_a_pod() {
        for url in [
            "http://localhost:3100",
            "http://LOCALHOST.:3100/api",
            "https://user:word@127.0.0.1/x",
            "http://127.1",
            "http://[::1]:3100",
            "http://[::ffff:127.0.0.1]:3100",
            "http://[::]:3100",
            "http://0.0.0.0:3100",
            "http://paperclip.localhost",
        ] {
            let check = checked(Some(url));
            assert_eq!((check.level, check.code.as_str()), (Level::Error, CODE), "{url}");
            let shown = url.replace("user:word@", "");
            assert!(check.message.contains(&shown) && check.hint.is_some(), "{url}");
            assert!(!check.message.contains("word"), "{}", check.message);
        }
        for url in [
            None,
            Some(""),
            Some("  "),
            Some("paperclip:3100"),
            Some("ftp://x"),
            Some("ftp://user:word@x"),
            Some("user:word@paperclip:3100"),
            Some("http://"),
        ] {
            let check = checked(url);
            assert_eq!(check.level, Level::Error, "{url:?}");
            assert!(!check.message.contains("word"), "{}", check.message);
        }
        for url in [
            "http://paperclip.paperclip.svc:3100",
            "https://user@paperclip.example.com/base",
            "http://10.1.2.3:3100",
            "http://[fd00::1]:3100",
        ] {
            let check = checked(Some(url));
            assert_eq!(
                (check.level, check.code.as_str()),
                (Level::Info, "k8s_api_url"),
                "{url}"
            );
        }
        assert!(
            !checked(Some("https://user:word@h.example"))
                .message
                .contains("word")
        );
    }
}
