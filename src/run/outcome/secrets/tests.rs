//! What is hidden, and what stays.

use super::super::secret_shapes::SHAPES;
use super::*;
use proptest::prelude::*;

#[test]
fn credentials_are_redacted() {
    for (raw, plain) in [
        (
            "Authorization: Bearer abcdefghijk",
            "Authorization: Bearer [redacted]",
        ),
        ("key sk-proj-abcdefgh1234.", "key [redacted]"),
        ("token=abcdefghijkl x", "token=[redacted] x"),
        ("ghp_0123456789abcdef failed", "[redacted] failed"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[redacted]"),
        (
            "Incorrect API key provided: fake-key.",
            "Incorrect API key provided: [redacted]",
        ),
        (
            "Invalid token passed: abcd efgh",
            "Invalid token passed: [redacted] efgh",
        ),
        (
            "Invalid API key: 3f9a1c77d2e84b6d9a0c44",
            "Invalid API key: [redacted]",
        ),
        (
            "API key 3f9a1c77d2e84b6d is invalid",
            "API key [redacted] is invalid",
        ),
        (
            "the key '3f9a1c77d2e84b6d' is not valid",
            "the key '[redacted]' is not valid",
        ),
        (
            "gsk_abcdefgh12 hf_abcdefghijkl r8_abcdefghijkl",
            "[redacted] [redacted] [redacted]",
        ),
        ("pplx-abcdefgh xai-abcdefgh", "[redacted] [redacted]"),
        (
            "https://user:pa55@host/x?key=abcd1234&x=1",
            "https://[redacted]@host/x?key=[redacted]&x=1",
        ),
        (
            "secret_access_key = wJalrXUtn/K7MDENG/bPx",
            "secret_access_key = [redacted]/[redacted]/[redacted]",
        ),
        (
            r#"{"apiKey":"abcdefgh12","token":12345678}"#,
            r#"{"apiKey":"[redacted]","token":12345678}"#,
        ),
        ("0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", "[redacted]"),
        (
            r#"{"a":"refused:\nsk-abcdefgh1234\\tgsk_abcdefgh12\u000ahf_abcdefghijkl"}"#,
            r#"{"a":"refused:\n[redacted]\\t[redacted]\u000a[redacted]"}"#,
        ),
        (
            "keysk-ant-api03-Zm9vYmFyYmF6cXV4Zm9v is wrong",
            "[redacted] is wrong",
        ),
        (
            "Authorization%3A%20Bearer%20a1b2c3d4e5f6 Bearer%20a1b2c3d4e5f6",
            "Authorization%3A%20Bearer%[redacted] Bearer%[redacted]",
        ),
        (
            "password == 'abcdefgh' || token === a1b2c3d4e5",
            "password == '[redacted]' || token === [redacted]",
        ),
        ("api-key%3A%20a1b2c3d4e5f6&x", "api-key%3A%[redacted]&x"),
        ("c2stYW50LWFwaTAzLVptOXZZbUZ5WW1Gel==", "[redacted]=="),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x",
            "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY----- x",
        ),
    ] {
        assert_eq!(without_secrets(raw), plain, "{raw}");
    }
}

#[test]
fn other_words_stay() {
    for text in [
        "no API key provided",
        "the key used by default is fine",
        "context: 128000 tokens",
        "Missing API key: set OPENAI_API_KEY or log in",
        "API key is missing. Pass it using the 'apiKey' parameter or the ANTHROPIC_API_KEY environment variable.",
        "key: configuration of the provider",
        "the task-runner asks sk- and pplx- for nothing",
        "a desk-ant-colony-with-many-words, task-ant-design-v5-upgrade-2024 and a task-project-of-somebody",
        r"C:\new\notes.txt and \nothing",
        "const apiKey = process.env.OPENAI_API_KEY; token: ${{ secrets.GITHUB_TOKEN }}",
        "if (password === confirmPassword) return;",
        "Bearer authentication is required",
        "ssh://git@github.com/acme/repo.git",
        "hf_hub_download npm_package_dependencies_lodash fw_some_firmware_name",
        r#"{"tokens":{"total":110,"input":100},"sessionID":"ses_ddc4eef31ffeD37SF7jiz1rzcI"}"#,
    ] {
        assert_eq!(without_secrets(text), text);
    }
}

#[test]
fn a_text_without_secrets_stays_as_it_is() {
    for text in [
        "token=abcdefghijkl",
        "Bearer abcdefghijk",
        "secret_key = aaaaaaaa/bbbbbbbb",
        "https://u:p@h/x",
    ] {
        let once = without_secrets(text);
        assert!(
            once.contains(REDACTED) && without_secrets(&once) == once,
            "{once}"
        );
    }
    assert_eq!(without_secrets("see https://user:pa55"), "see https://[redacted]");
    assert_eq!(
        without_secrets("see http://localhost:8080"),
        "see http://localhost:8080"
    );
}

#[test]
fn a_long_text_is_read_once() {
    for piece in [
        "key: a1b2c3d4 ",
        "https://u:p@h ",
        "PRIVATE KEY-----",
        "://",
        "token=",
        "a",
    ] {
        assert!(!without_secrets(&piece.repeat(1 << 16)).is_empty(), "{piece}");
    }
}

proptest! {
    /// Whatever stands around it, a key does not stay.
    #[test]
    fn no_key_stays(
        shape in 0..SHAPES.len(), body in "[A-Za-z0-9]{32}",
        before in "[a-z ]{0,20}[ :='\"(\\[{,]", after in "[ '\",)\\]}.:;\n][a-z ]{0,20}",
    ) {
        let key = format!("{}{body}", SHAPES[shape].0);
        let said = without_secrets(&format!("{before}{key}{after}"));
        prop_assert!(!said.contains(&body), "{}", said);
        let named = without_secrets(&format!("x-api-key: {body}{after}"));
        prop_assert!(!named.contains(&body), "{}", named);
        let in_url = without_secrets(&format!("{before}https://user:{body}@host/path{after}"));
        prop_assert!(!in_url.contains(&body), "{}", in_url);
    }
}

/// Letters and digits as a service draws them.
const DRAWN: &str = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9v";

#[test]
fn credentials_are_known_by_their_places() {
    for frame in [
        "Ocp-Apim-Subscription-Key: {}",
        "Authorization: ApiKey {}",
        "Authorization: Api-Key {}",
        "Authorization: Negotiate {}",
        "Authorization: Token {}",
        "\"bearer\": \"{}\"",
        "Cookie: session={}; theme=dark",
        "cookie: theme=dark; connect.sid=s%3A{}",
        "curl -u admin:{} https://x.example",
        "curl --user 'admin:{}' https://x.example",
        "foo --token {} --x",
        "foo --api-key={}",
        "foo --password {}",
        "[\"x-api-key\",\"{}\"]",
        "('x-api-key', '{}')",
        "https://h.example/x?sig=abc%2B{}%3D&se=1",
        "https://h.example/cb?code={}&state=xyz",
        "body=api_key%3D{}%26x",
        "https%3A%2F%2Fuser%3A{}%40h.example%2Fx",
        "//registry.example/:_auth={}",
        "{\"auths\":{\"r.example\":{\"auth\":\"{}==\"}}}",
        "<password>{}</password>",
        "aws_session_token=FwoGZXIvYXdzE//////////{}",
        "https://hooks.slack.com/services/T0ABCDEFG/B0ABCDEFG/{}",
        "https://discord.com/api/webhooks/123456789012345678/{}",
        "https://api.telegram.org/bot123456789:AAE{}abcd/sendMessage",
        "bot 123456789:AAE{}abcd",
        "machine h.example login bob password {}",
        "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo{}",
        "x.atlasv1.{}{}",
        "tvly-dev-{}",
        "e2b_{}",
        "sb_secret_{}",
        "bce-v3/ALTAK-{}/x",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----",
        "{}\n{}\n-----END RSA PRIVATE KEY-----\n",
        "\"{}\\n{}\\n-----END PRIVATE KEY-----\\n\"",
        "-----BEGIN PRIVATE KEY-----\n{}",
    ] {
        let said = without_secrets(&frame.replace("{}", DRAWN));
        assert!(
            !said.contains(DRAWN) && said.contains(REDACTED),
            "{frame}: {said}"
        );
        assert_eq!(without_secrets(&said), said, "{frame}");
    }
    for (raw, plain) in [
        (r#"{"password":"p@ss#w0rd!x"}"#, r#"{"password":"[redacted]"}"#),
        (
            r#"{"db_password":"hunter2","x":1}"#,
            r#"{"db_password":"[redacted]","x":1}"#,
        ),
        (
            r#"{\"password\":\"p@ss#w0rd\"}"#,
            r#"{\"password\":\"[redacted]\"}"#,
        ),
        (
            "Server=h;User Id=sa;Password=Str0ng!Passw0rd;",
            "Server=h;User Id=sa;Password=[redacted];",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIE\"}\n{\"type\":\"text\"}\n-----END",
            "-----BEGIN PRIVATE KEY-----[redacted]\"}\n{\"type\":\"text\"}\n-----END",
        ),
    ] {
        assert_eq!(without_secrets(raw), plain);
    }
}

#[test]
fn ordinary_words_stay_at_these_places() {
    for text in [
        "authorization: the provider refused it",
        "Set `API_KEY=` in .env; the token limit: 128000; password: see the vault",
        "password: ${PW1} and passwords: 12, passed: 120 tests in 3s",
        "the field \"password\": \"string\" is required",
        "sudo -u postgres psql; docker run -u 1000:1000 image; git push -u origin main",
        "exit code=137, code: ERR_MODULE_NOT_FOUND, code: 'E2BIG'",
        "auth: oauth2-proxy, auth=none, no auth",
        "--token-file /var/run/token --max-tokens 32000",
        "ops_team_meeting-2024 and glc_settings, pul-requests, cpk_1, e2b_sandbox_manager_of_2025",
        "a -----BEGIN CERTIFICATE----- block, ----- and -------------- lines",
        "grep -r 'BEGIN RSA PRIVATE KEY' . found nothing",
        "at 12345678:30 in build 123456789:AArch64",
        "cookies: 3 of them; cookie consent banner version-2-of-2024",
        "https://example.net/api/webhooks/12 and a%20b%3Dc",
        "git commit 3f9a1c77d2e84b6d9a0c44f1e5b2a6d8b7c6a5d4",
    ] {
        assert_eq!(without_secrets(text), text);
    }
}

#[test]
fn a_text_of_many_names_and_frames_is_read_in_one_pass() {
    // To read all that is behind each of them takes minutes, and whoever waits for it sees it.
    let names = "--password=".repeat(100_000);
    assert_eq!(without_secrets(&names).matches("[redacted]").count(), 99_999);
    let keys = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".repeat(20_000);
    assert_eq!(without_secrets(&keys).matches("[redacted]").count(), 20_000);
}
