//! Secrets of more than one word, and those of smaller services.

use super::*;

/// Letters and digits as a service draws them.
const DRAWN: &str = "Q7xZ2mK9pL4vT8wR1nB6cY3dF5gH0jSaUeWqMzXk";
const HEX: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const AWS: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz19LEKEY0";

/// What providers and tools write around a key.
const FRAMES: [&str; 12] = [
    "Incorrect API key provided: {}. You can find it there.",
    "Incorrect token provided: {}",
    "Authentication failed for {}",
    "Authorization: Bearer {}",
    r#"{"x-api-key":"{}"}"#,
    r#"{\"x-api-key\":\"{}\"}"#,
    "export PROVIDER_API_KEY={}",
    "API key '{}' is invalid",
    "API key {} is invalid",
    "token \"{}\" has expired",
    r#"{"a":"{\"b\":\"token \\\"{}\\\" has expired\"}"}"#,
    "client_id=x&refresh_token={}&grant_type=refresh_token",
];

/// Half of a value tells as much as all of it does.
fn tells(said: &str, secret: &str) -> bool {
    let bytes = secret.as_bytes();
    bytes
        .chunks(12)
        .filter(|piece| piece.len() == 12)
        .any(|piece| said.contains(std::str::from_utf8(piece).expect("ASCII")))
}

#[test]
fn no_token_with_signs_inside_stays() {
    let pem = format!("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj{DRAWN}");
    let tokens = [
        (format!("1//0g{DRAWN}"), DRAWN.to_owned()),
        (format!(r"1\/\/0g{DRAWN}"), DRAWN.to_owned()),
        (format!("1%2F%2F0g{DRAWN}"), DRAWN.to_owned()),
        (format!("ya29.a0AfH6SM{DRAWN}"), DRAWN.to_owned()),
        (
            format!(
                "tid={};exp=1700000000;sku=copilot_pro;st=dotcom;chat=1;8kp=1:{HEX}",
                &HEX[..32]
            ),
            HEX.to_owned(),
        ),
        (
            format!("IQoJb3JpZ2luX2VjE{DRAWN}/{DRAWN}+{DRAWN}=="),
            DRAWN.to_owned(),
        ),
        (format!("IQoJb3JpZ2luX2VjE{DRAWN}\\/{DRAWN}=="), DRAWN.to_owned()),
        (
            format!("-----BEGIN PRIVATE KEY-----\\n{pem}\\n-----END PRIVATE KEY-----"),
            pem.clone(),
        ),
        (
            format!("-----BEGIN RSA PRIVATE KEY-----\n{pem}\n-----END RSA PRIVATE KEY-----"),
            pem,
        ),
    ];
    for frame in FRAMES {
        for (token, secret) in &tokens {
            let said = without_secrets(&frame.replace("{}", token));
            assert!(
                said.contains(REDACTED) && !tells(&said, secret),
                "{frame}: {said}"
            );
            assert_eq!(without_secrets(&said), said, "{frame}");
        }
    }
}

#[test]
fn a_key_with_slashes_goes_up_to_its_quote() {
    for frame in FRAMES.iter().filter(|frame| !frame.contains("failed for")) {
        let said = without_secrets(&frame.replace("{}", AWS));
        assert!(said.contains(REDACTED) && !tells(&said, AWS), "{frame}: {said}");
    }
    assert_eq!(
        without_secrets(&format!("API key '{AWS}' is invalid")),
        "API key '[redacted]' is invalid"
    );
    assert_eq!(
        without_secrets(&format!("the secret {AWS} is wrong")),
        "the secret [redacted] is wrong"
    );
    // The word for a key may stand in one.
    let named = format!("{}KEY{}", &AWS[..34], &AWS[34..]);
    assert_eq!(
        without_secrets(&format!("API_KEY={named} x")),
        "API_KEY=[redacted] x"
    );
}

#[test]
fn keys_of_smaller_services_are_known_where_nothing_announces_them() {
    for (key, secret) in [
        (format!("VENICE-INFERENCE-KEY-{DRAWN}"), DRAWN),
        (format!("api_org_{}", &DRAWN[..34]), &DRAWN[..34]),
        (format!("flp_{DRAWN}"), DRAWN),
        (format!("rt_{DRAWN}"), DRAWN),
        (format!("pa-{DRAWN}"), DRAWN),
        (format!("v1.{DRAWN}{DRAWN}"), DRAWN),
        (format!("abcdEFGH.{}", &DRAWN[..32]), &DRAWN[..32]),
        (format!("{}.{}", &HEX[..32], &DRAWN[..24]), &DRAWN[..24]),
    ] {
        for frame in [
            "Authentication failed for {}",
            "Evicted: failed for {}.",
            "X={} y",
        ] {
            let said = without_secrets(&frame.replace("{}", &key));
            assert!(!tells(&said, secret), "{frame}: {said}");
        }
    }
}

#[test]
fn a_value_goes_on_behind_a_colon_or_a_bar() {
    for frame in [
        "Authorization: Bearer 12|{}",
        "Authorization: user:{}",
        "x-api-key: id:{}",
        "ELASTIC_API_KEY=VuaCfGcBCdbkQm:{}",
        r#"{\"api_key\":\"id:v1:{}\"}"#,
        "Incorrect API key provided: a:{}",
    ] {
        let said = without_secrets(&frame.replace("{}", DRAWN));
        assert!(!tells(&said, DRAWN), "{frame}: {said}");
        assert_eq!(without_secrets(&said), said, "{frame}");
    }
    for text in [
        "token: string|undefined, secret: a:between-words, token: 10:30:45",
        "Authorization: Bearer|Basic and key: npm:linux-x64",
    ] {
        assert_eq!(without_secrets(text), text);
    }
}

#[test]
fn a_printed_login_has_no_tokens() {
    let login = r#"{"openai":{"type":"oauth","access":"a b","refresh": "0123-lowercase-hex","expires":1},
        "x":{"refresh":"abcdefgh|proj","access":"abcdefgh/ij", "type": "oauth"},
        "y":{"type":"api","access":"read-and-write","refresh":"every-minute"}}"#;
    let plain = r#"{"openai":{"type":"oauth","access":"a b","refresh": "[redacted]","expires":1},
        "x":{"refresh":"[redacted]","access":"[redacted]", "type": "oauth"},
        "y":{"type":"api","access":"read-and-write","refresh":"every-minute"}}"#;
    let nested = |text: &str| text.replace('"', "\\\"");
    assert_eq!(without_secrets(login), plain);
    assert_eq!(without_secrets(&nested(login)), nested(plain));
    assert_eq!(without_secrets(plain), plain);
}

#[test]
fn a_key_with_colours_inside_does_not_stay() {
    for escape in ["\u{1b}[0m", "\\u001b[0m", "\\\\u001B[38;5;9m"] {
        let said = without_secrets(&format!("key {escape}sk-ant-api03-{escape}{DRAWN} x"));
        assert_eq!(said, "key [redacted] x");
        let plain = format!("{escape}no secret{escape} is here");
        assert_eq!(without_secrets(&plain), plain);
        // A key that has none inside takes no colours with it.
        let beside = format!("{escape}key{escape} sk-ant-api03-{DRAWN} {escape}");
        let said = without_secrets(&beside);
        assert_eq!(said, format!("{escape}key{escape} [redacted] {escape}"));
    }
}

#[test]
fn what_looks_like_such_a_token_stays() {
    for text in [
        "see https://h.example/1//0/index and 1//0 or 21//0g",
        "tid=12 of pid=3; exp=4, tid=0a1b2c3d;pid=1",
        "the key 'providers/AcmeAI/models/Devstral-Small-2505/options' is unknown",
        "key \"src/run/outcome/secrets/tests/values/of/many/words.rs\" and token /var/run/secrets/Kube1/token",
        "pa-vm-series-2024-firewall, v1.28.3-gke.1067004, v1.20240101120000, app-main.d41d8cd98f00b204e9800998ecf8427e",
        "index123.d41d8cd98f00b204e9800998ecf8427e rt_sigprocmask_of_linux2 flp_1",
        r#"{"type":"oauth","scope":"access: read"} {"access":"read-and-write2","refresh":"2024-01-01T00:00:00Z"}"#,
        "C:\\Users\\u001b[x and u001b[0m",
    ] {
        assert_eq!(without_secrets(text), text);
    }
}

#[test]
fn many_marks_are_read_in_one_pass() {
    for piece in [
        "tid=",
        "tid=a;",
        "1//0",
        "1//0g",
        "8kp=1:",
        "oauth",
        "\"type\":\"oauth\"",
        "access",
        "refresh\"",
        "\\",
        "key ",
        "key=/",
        "token'",
        "u001b[",
        "\\u001b[",
        "\u{1b}[1;",
        "IQoJb3JpZ2lu",
        "{\"type\":\"oauth\",\"access\":\"",
        "/\\",
        "key=a",
        "access:",
        "{\"type\":\"oauth\"access",
        "{\"type\":\"oauth\",\"access\":access",
    ] {
        assert!(!without_secrets(&piece.repeat(1 << 16)).is_empty(), "{piece}");
    }
}
