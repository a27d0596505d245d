use super::*;
use serde_json::json;

fn settings(config: Value) -> Result<Settings, String> {
    let request = RenderRequest {
        config,
        ..RenderRequest::default()
    };
    Settings::read(&request).map_err(|error| error.to_string())
}

#[test]
fn each_row_is_read_and_nothing_else_is() {
    let mut values = Values::read(&json!({})).expect("the defaults");
    // Whoever reads a field without a row, or twice, gets an error.
    Settings::of(&mut values, &RenderRequest::default()).expect("only rows are read");
    assert_eq!(values.left(), Vec::<&str>::new(), "rows that nobody reads");
}

#[test]
fn defaults_are_those_of_the_rows() {
    let of = |config: Value| settings(config).map(|settings| settings.silence_timeout_sec).ok();
    assert_eq!(of(json!({"timeoutSec": "8h"})), Some(0), "it has a limit");
    assert_eq!(
        of(json!({"timeoutSec": "8h", "silenceTimeoutSec": "1h"})),
        Some(3_600)
    );
    let unlimited = json!({"scheduleTimeoutSec": 0, "startTimeoutSec": -1, "outageTimeoutSec": "0"});
    let unlimited = settings(unlimited).expect("valid");
    for limit in [
        unlimited.schedule_timeout_sec,
        unlimited.start_timeout_sec,
        unlimited.outage_timeout_sec,
    ] {
        assert_eq!(limit, 2_147_483_647, "0 is never, not at once");
    }
    let settings = settings(json!({})).expect("valid");
    assert_eq!(
        (&settings.namespace, &settings.image, settings.timeout_sec),
        (&None, &None, None)
    );
    assert_eq!((settings.grace_sec, settings.guard_wait_sec), (60, 0));
    let of_start = (settings.schedule_timeout_sec, settings.start_timeout_sec);
    assert_eq!(of_start, (120, 600));
    let of_work = (settings.outage_timeout_sec, settings.silence_timeout_sec);
    assert_eq!(of_work, (600, 14_400));
    assert_eq!(
        (
            settings.ttl_sec,
            settings.max_log_bytes,
            settings.log_retention_sec
        ),
        (Some(300), 2 << 30, 604_800)
    );
    assert!(settings.reattach_orphaned_jobs && settings.skip_permissions && settings.resume_last_session);
    assert!(!settings.retain_jobs && !settings.evictable && settings.warnings.is_empty());
    assert_eq!((settings.data_root, settings.cwd.as_str()), (None, "/paperclip"));
    assert_eq!(settings.agent_db_mode, AgentDbMode::WorkspaceSubpath);
}

#[test]
fn the_database_mode_follows_the_storage_class() {
    let mode = |config: Value| settings(config).map(|settings| settings.agent_db_mode);
    assert_eq!(
        mode(json!({"agentDbStorageClass": "fast"})),
        Ok(AgentDbMode::DedicatedPvc)
    );
    let both = json!({"agentDbStorageClass": "fast", "agentDbMode": "ephemeral"});
    assert_eq!(mode(both), Ok(AgentDbMode::Ephemeral));
    assert!(mode(json!({"agentDbMode": "none"})).is_err());
}

#[test]
fn bad_values_name_their_field_first() {
    let table = [
        (json!({"namespace": "A b"}), "namespace"),
        (json!({"imagePullPolicy": "Sometimes"}), "imagePullPolicy"),
        (json!({"serviceAccountName": "a b"}), "serviceAccountName"),
        (json!({"dataRoot": "relative"}), "dataRoot"),
        (json!({"cwd": "~/work"}), "cwd"),
        (json!({"cwd": 5}), "cwd"),
        (json!({"model": "--attach=http://x"}), "model"),
        (json!({"promptTemplate": 5}), "promptTemplate"),
        (json!({"guardWaitSec": "soon"}), "guardWaitSec"),
        (json!({"maxConcurrentRuns": "some"}), "maxConcurrentRuns"),
        (json!({"maxConcurrentRuns": -1}), "maxConcurrentRuns"),
        (json!({"maxConcurrentRuns": 1.5}), "maxConcurrentRuns"),
        (json!({"evictable": "maybe"}), "evictable"),
        (
            json!({"agentDbStorageCapacity": "much"}),
            "agentDbStorageCapacity",
        ),
        (json!({"labels": {"a b": "x"}}), "labels"),
        (json!({"podAnnotations": "a b=x"}), "podAnnotations"),
        (json!({"nodeSelector": {"a": "b c"}}), "nodeSelector"),
        (json!({"nodeSelector": 42}), "nodeSelector"),
        (json!({"extraArgs": 42}), "extraArgs"),
        (json!({"extraArgs": ["a".repeat(131_072)]}), "extraArgs"),
        (json!({"extraArgs": ["a\0b"]}), "extraArgs"),
        (json!({"maxLogBytes": "500m"}), "maxLogBytes"),
        (
            json!({"resources.requests.memory": "500m", "resources.limits.memory": "500m"}),
            "resources.requests.memory",
        ),
        (
            json!({"tolerations": [{"key": "a", "operatr": "Exists"}]}),
            "tolerations",
        ),
        (
            json!({"tolerations": "- key: a\n  efect: NoExecute\n"}),
            "tolerations",
        ),
        (json!({"env": "bad"}), "env"),
    ];
    for (config, field) in table {
        let message = settings(config).expect_err(field);
        assert!(message.starts_with(&format!("{field} ")), "{message}");
    }
}

#[test]
fn unknown_fields_are_one_sentence() {
    let config = json!({"imagePullSecret": "x", "resources": {"requests": {"gpu": 1}, "limit": {}}, "model": "m",
        "paperclipRuntimeSkills": [], "nothing": null, "command": ""});
    let warnings = settings(config).expect("valid").warnings;
    assert_eq!(warnings.len(), 1);
    let said = "Unknown settings have no effect: imagePullSecret, resources.requests.gpu, resources.limit.";
    assert!(warnings[0].starts_with(said), "{}", warnings[0]);
    let many: serde_json::Map<_, _> = (0..28).map(|at| (format!("x{at}"), json!(1))).collect();
    let warnings = settings(Value::Object(many)).expect("valid").warnings;
    assert!(warnings[0].contains("x15 and 12 more."), "{}", warnings[0]);
}

#[test]
fn the_pages_effort_is_the_variant_where_that_is_not_set() {
    let variant = |config: Value| settings(config).expect("valid").variant;
    assert_eq!(variant(json!({"effort": "high"})), "high");
    assert_eq!(variant(json!({"effort": "high", "variant": "low"})), "low");
}

#[test]
fn retained_jobs_have_no_time_to_live() {
    let ttl = |config: Value| settings(config).expect("valid").ttl_sec;
    assert_eq!(
        ttl(json!({"retainJobs": true, "ttlSecondsAfterFinished": 5})),
        None
    );
    assert_eq!(ttl(json!({"ttlSecondsAfterFinished": -3})), Some(0));
    let request = RenderRequest {
        retain_jobs: Some(true),
        ..RenderRequest::default()
    };
    assert_eq!(Settings::read(&request).expect("valid").ttl_sec, None);
}

#[test]
fn only_an_external_bundle_names_the_agents_home() {
    let root = |mode: &str| {
        let config = json!({"instructionsBundleMode": mode, "instructionsRootPath": "/paperclip/b"});
        settings(config).expect("valid").bundle_root
    };
    assert_eq!(root("external").as_deref(), Some("/paperclip/b"));
    assert_eq!(root("managed"), None);
}
