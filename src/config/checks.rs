//! The shapes that Kubernetes and the log path accept.

/// At most 63 characters of `[A-Za-z0-9._-]` that start and end with a letter or digit; or nothing at all.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name_part(value)
}

/// A label or annotation key: a name, optionally after a DNS prefix and a slash.
pub(crate) fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name_part(name),
        None => is_name_part(key),
    }
}

fn is_name_part(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.len() <= 63
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A namespace: lower-case letters, digits and `-`, at most 63 of them, none of the ends a `-`.
pub(crate) fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_part(name)
}

fn is_dns_part(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Stands for the company's id in a namespace.
const COMPANY: &str = "{{companyId}}";

/// The namespace of this company; one without the company's id in it is the same for all.
pub fn company_namespace(namespace: &str, company: &str) -> String {
    namespace.replace(COMPANY, &company.to_lowercase())
}

/// DNS labels joined by dots, at most 253 characters.
pub(crate) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_part)
}

/// A name of an image as container runtimes take it, `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`: with another one a pod is
/// made, and never starts.
pub(crate) fn is_image(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let is_digest = |digest: &str| {
        digest.split_once(':').is_some_and(|(kind, hex)| {
            let is_kind = |c: char| c.is_ascii_alphanumeric() || "+._-".contains(c);
            !kind.is_empty()
                && kind.chars().all(is_kind)
                && !hex.is_empty()
                && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    // What looks like a host in front of a path is one.
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) || has_capital(host) => {
            (Some(host), path)
        }
        _ => (None, name),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    let is_tag = |tag: &str| {
        let is_of_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.bytes().all(is_of_tag)
    };
    host.is_none_or(is_host)
        && path.split('/').all(is_image_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn has_capital(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, "0"),
    };
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let of_v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_name = |host: &str| {
        host.split('.')
            .all(|part| is_dns_part(&part.to_ascii_lowercase()))
    };
    is_port
        && of_v6.map_or_else(
            || is_name(host),
            |host| host.parse::<std::net::Ipv6Addr>().is_ok(),
        )
}

fn is_image_part(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<u8>| byte.is_some_and(is_plain);
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|byte| is_plain(byte) || b"._-".contains(&byte))
}

/// A name that the API server accepts for an environment entry.
pub(crate) fn is_env_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && name != "."
        && !name.starts_with("..")
}

/// Why no program starts with this argument or variable, with so many bytes before it. The kernel takes 128 KiB for
/// each, its end included, and no NUL.
pub(super) fn why_not_an_argument(before: usize, text: &str) -> Option<String> {
    const LIMIT: usize = 128 * 1024;
    if text.contains('\0') {
        return Some("holds a NUL character, with which no program starts; remove it".to_owned());
    }
    (before + text.len() + 1 > LIMIT).then(|| {
        format!(
            "has {} bytes, at most {} fit; put it into a file",
            text.len(),
            LIMIT.saturating_sub(before + 1)
        )
    })
}

/// The size of a Kubernetes quantity such as `500m`, `2`, `1.5Gi` or `1e3`.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let scale = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10f64.powi(power)
        }
    };
    Some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_a_size() {
        let table = [
            ("500m", 0.5),
            ("2", 2.0),
            (".5", 0.5),
            ("1.5Gi", 1.5 * 1024f64.powi(3)),
            ("1e3", 1000.0),
        ];
        for (text, size) in table {
            assert_eq!(quantity(text), Some(size), "{text}");
        }
        for text in ["", "m", "2 Gi", "1Kib", "x", "1.2.3", "-1", "1e"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_images_are_those_that_a_node_can_pull() {
        let digest = format!("a@sha256:{}", "0af".repeat(21) + "1");
        for image in [
            "i",
            "paperclip/paperclip:latest",
            "registry.example.com/a/b_c:v1.0-x",
            "localhost:5000/x",
            "Host:5000/a__b",
            "[::1]:5000/x",
            "10.0.0.1/x:1",
            "r.io/x:1@sha256:0a",
            &digest,
        ] {
            assert!(is_image(image), "{image}");
        }
        for image in [
            "",
            "a b",
            "UPPER",
            "a/B",
            "a:",
            "a:b c",
            ":1",
            "a//b",
            "/a",
            "a/",
            "a@sha256:x",
            "a@",
            "-a",
            "a:.b",
            "a\n",
            "http://r.io/a",
            "r.io:x/a",
            "r.io:/a",
            "ä",
            "[::x]:1/a",
            "a:1:2",
        ] {
            assert!(!is_image(image), "{image:?}");
        }
    }

    #[test]
    fn label_keys_values_and_names() {
        for key in ["a", "x.y/z", "paperclip.io/extra", "A_b-c.9"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", "-a", "a/b/c", "/a", "X/a", "a b", "a/"] {
            assert!(!is_label_key(key), "{key}");
        }
        assert!(is_label_value("") && is_label_value("x_y") && !is_label_value("x.") && !is_label_value("é"));
        assert!(is_env_name("A_1") && is_env_name("a.b-c") && !is_env_name("1A") && !is_env_name("A B"));
        assert!(!is_env_name("") && !is_env_name("..") && !is_env_name("Ä"));
        assert_eq!(company_namespace("agents-{{companyId}}", "C-1"), "agents-c-1");
        assert!(is_dns_subdomain(&"a".repeat(253)) && !is_dns_subdomain(&"a".repeat(254)));
        assert!(!is_dns_label(&"a".repeat(64)) && is_label_key(&format!("{}/x", "a".repeat(64))));
        assert!(is_dns_subdomain("a.b-c") && !is_dns_subdomain("a..b") && !is_dns_label("A"));
    }
}
