//! By what a credential is known: how keys begin, and names that announce one. Pure.

/// How keys of providers and services begin, and how many more characters make one.
pub(super) const SHAPES: &[(&str, usize)] = &[
    ("sk-", 8),
    ("sk_", 12),
    ("pk_live_", 8),
    ("rk_live_", 8),
    ("sk_live_", 8),
    ("gsk_", 8),
    ("hf_", 12),
    ("r8_", 12),
    ("pplx-", 8),
    ("xai-", 8),
    ("fw_", 12),
    ("csk-", 12),
    ("nvapi-", 8),
    ("tgp_v1_", 8),
    ("vck_", 12),
    ("sess-", 12),
    ("dapi", 24),
    ("AIza", 12),
    ("AQ.", 20),
    ("ya29.", 12),
    ("GOCSPX-", 8),
    ("AKIA", 12),
    ("ASIA", 12),
    ("ABSK", 20),
    ("LTAI", 12),
    ("bedrock-api-key-", 8),
    ("ghp_", 12),
    ("gho_", 12),
    ("ghu_", 12),
    ("ghs_", 12),
    ("ghr_", 12),
    ("github_pat_", 12),
    ("glpat-", 12),
    ("xoxb-", 12),
    ("xoxa-", 12),
    ("xoxe-", 12),
    ("xoxr-", 12),
    ("xoxs-", 12),
    ("xoxp-", 12),
    ("xapp-", 12),
    ("npm_", 20),
    ("pypi-", 20),
    ("hvs.", 12),
    ("whsec_", 12),
    ("SG.", 20),
    ("lin_api_", 12),
    ("dop_v1_", 12),
    ("tskey-", 12),
    ("pcp_", 20),
    ("AGE-SECRET-KEY-1", 20),
    ("dckr_pat_", 12),
    ("sntrys_", 20),
    ("lin_oauth_", 20),
    ("bb_live_", 20),
    ("ALTAK-", 12),
    ("ATATT3", 20),
    ("IQoJb3JpZ2lu", 20),
    ("FwoGZXIvYXdz", 20),
    ("FQoGZXIvYXdz", 20),
    ("AQoDYXdz", 20),
    // What base64 makes of the beginning of some: as such they stand in the Secrets of Kubernetes.
    ("c2stYW50L", 20),
    ("c2stcHJvai", 20),
    ("c2stb3ItdjEt", 20),
    ("Z2hwX", 24),
    ("Z2hzX", 24),
    ("Z2l0aHViX3BhdF", 20),
    ("Z2xwYXQt", 16),
    ("eG94Yi", 24),
    ("Z3NrX", 24),
    ("QUl6YVN5", 20),
];

/// How keys of other services begin. Other names may begin so, too: only letters and digits mixed are keys.
const RANDOM_AFTER: &[&str] = &[
    "tvly-",
    "jina_",
    "ctx7sk-",
    "e2b_",
    "dtn_",
    "sbp_",
    "sb_secret_",
    "pscale_tkn_",
    "pscale_pw_",
    "napi_",
    "vcp_",
    "figd_",
    "sntryu_",
    "phx_",
    "ntn_",
    "pat-na1-",
    "shpat_",
    "sq0csp-",
    "rpa_",
    "glrt-",
    "glptt-",
    "gldt-",
    "NRAK-",
    "glsa_",
    "glc_",
    "AKCp",
    "AKLT",
    "AQVN",
    "rubygems_",
    "dp.st.",
    "ops_",
    "pul-",
    "sgp_",
    "fm2_",
    "nfp_",
    "hvb.",
    "doo_v1_",
    "cpk_",
    "lsv2_",
    "wandb_v1_",
    "cfut_",
    "apify_api_",
    "api_org_",
    "VENICE-INFERENCE-KEY-",
    "VENICE-ADMIN-KEY-",
];
/// Short beginnings that many other names have: what follows is as long as it says, and has capitals as well.
const DENSE_AFTER: [(&str, usize); 4] = [("v1.", 60), ("pa-", 40), ("flp_", 30), ("rt_", 30)];
/// Bytes of letters and digits without a sign between them that such a key has at least.
const RUN_BYTES: usize = 10;

/// Beginnings that no other word has: a key is known by them inside a word, too.
const UNMISTAKABLE: &[&str] = &[
    "sk-ant-api",
    "sk-ant-oat",
    "sk-ant-admin",
    "sk-proj-",
    "sk-or-v1-",
    "sk_live_",
    "gsk_",
    "nvapi-",
    "AIzaSy",
    "ghp_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
];

/// Bytes that such a key has at least.
const KEY_BYTES: usize = 24;

/// Bytes of the shortest key that is known by its shape. Most words of a text are shorter, and need not be looked at.
const SHORTEST: usize = 11;

/// Names whose value is a secret.
const NAMES: [&str; 17] = [
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "accountkey",
    "sharedaccesskey",
    "secret_key",
    "secretkey",
    "private_key",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "subscription-key",
];

/// Whether a name in lower case is that of a secret.
pub(super) fn names_secret(lower: &str) -> bool {
    NAMES.iter().any(|name| lower.ends_with(name))
}

/// Whether a word is a key, wherever it stands.
pub(super) fn has_shape(word: &str) -> bool {
    // The dot that ends a sentence.
    let word = word.trim_end_matches('.');
    if word.len() < SHORTEST {
        return false;
    }
    let is_jwt = word.starts_with("eyJ") && word.len() >= 24 && word.contains('.');
    let long_after = |(start, least): &(&str, usize)| {
        word.strip_prefix(start).is_some_and(|rest| {
            let is_name = start.ends_with('_') && is_snake_case(rest);
            rest.len() >= *least && !is_name && rest.bytes().any(|byte| byte.is_ascii_alphanumeric())
        })
    };
    let random_after = |start: &&str| {
        word.strip_prefix(start)
            .is_some_and(|rest| rest.len() >= 20 && is_random(rest) && longest_run(rest) >= RUN_BYTES)
    };
    let dense_after = |(start, least): &(&str, usize)| {
        word.strip_prefix(start)
            .is_some_and(|rest| rest.len() >= *least && is_dense(rest))
    };
    is_jwt
        || DENSE_AFTER.iter().any(dense_after)
        || is_dotted_pair(word)
        || SHAPES.iter().any(long_after)
        || RANDOM_AFTER.iter().any(random_after)
        || is_dotted_hex(word)
        || is_azure_key(word)
        || holds_key(word)
        || word.len() >= 40 && (word.contains(".atlasv1.") || is_encoded_private_key(word))
}

/// The rest of a name in small letters, such as that of a package or a variable: `hf_hub_download`.
fn is_snake_case(rest: &str) -> bool {
    rest.contains('_') && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A key of Azure's model services, which has its mark in the middle.
fn is_azure_key(word: &str) -> bool {
    word.len() == 84 && word.get(52..).is_some_and(|rest| rest.starts_with("JQQJ99"))
}

/// Letters and digits mixed, and no name of a variable.
pub(super) fn is_random(word: &str) -> bool {
    let any = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let has_both = any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic);
    has_both && (any(u8::is_ascii_lowercase) || !word.contains('_'))
}

/// Large and small letters and digits mixed, and long.
pub(super) fn is_dense(word: &str) -> bool {
    let any = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    word.len() >= 16
        && any(u8::is_ascii_digit)
        && any(u8::is_ascii_lowercase)
        && any(u8::is_ascii_uppercase)
        && longest_run(word) >= RUN_BYTES
}

/// The longest part that is not divided by `-`, `_`, `.` or `+`.
fn longest_run(word: &str) -> usize {
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric());
    parts.map(str::len).max().unwrap_or_default()
}

/// Whether a key stands in the word, glued to what was before it.
fn holds_key(word: &str) -> bool {
    word.len() >= KEY_BYTES
        && UNMISTAKABLE.iter().any(|start| {
            let rest = word.split_once(start).map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.len() + start.len() >= KEY_BYTES && is_random(rest))
        })
}

/// 32 hexadecimal digits, a dot and as many characters again or half of them.
fn is_dotted_hex(word: &str) -> bool {
    word.split_once('.').is_some_and(|(id, secret)| {
        let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        id.len() == 32
            && is_hex
            && secret.len() >= 16
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Eight letters and digits, a dot and 32 more, drawn from large and small ones.
fn is_dotted_pair(word: &str) -> bool {
    word.split_once('.').is_some_and(|(id, secret)| {
        let is_drawn = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        id.len() == 8 && secret.len() == 32 && is_drawn(id) && is_drawn(secret) && is_dense(secret)
    })
}

/// What base64 makes of the first line of a private key, as kubeconfigs hold it.
fn is_encoded_private_key(word: &str) -> bool {
    let says_private = ["UFJJVkFURSBLRV", "BSSVZBVEUgS0", "QUklWQVRFIEtF"];
    word.starts_with("LS0tLS1CRUdJTi") && says_private.iter().any(|says| word.contains(says))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_shorter_than_the_words_that_are_looked_at() {
        let shapes = SHAPES.iter().chain(&DENSE_AFTER);
        assert_eq!(
            shapes.map(|(start, least)| start.len() + least).min(),
            Some(SHORTEST)
        );
    }
}
