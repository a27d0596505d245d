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
