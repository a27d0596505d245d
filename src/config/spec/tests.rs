use super::*;
use serde_json::json;

fn spec(fields: Value) -> Result<RunSpec, ConfigError> {
    let mut request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"},
        "selfPod": {"namespace": "n", "image": "i", "nodeSelector": {"pool": "own"}, "tolerations": [{"operator": "Exists"}]}});
    for (key, value) in fields.as_object().expect("an object") {
        request[key] = value.clone();
    }
    RunSpec::from_request(RenderRequest::from_json(&request.to_string()).expect("valid JSON"))
}

#[test]
fn the_servers_pod_decides_what_is_not_set() {
    let inherited = spec(json!({})).expect("valid");
    assert_eq!((inherited.namespace(), inherited.image()), ("n", "i"));
    assert_eq!(
        (inherited.node_selector().len(), inherited.tolerations().len()),
        (1, 1)
    );
    let config = json!({"namespace": "m", "image": "j", "nodeSelector": "", "tolerations": []});
    let set = spec(json!({"config": config})).expect("valid");
    assert_eq!((set.namespace(), set.image()), ("m", "j"));
    assert_eq!((set.node_selector().len(), set.tolerations().len()), (0, 0));
}

#[test]
fn the_working_directory_prefers_the_workspace() {
    let dir = |config: Value, workspace: Value| {
        let fields = json!({"config": config, "context": {"paperclipWorkspace": workspace}});
        spec(fields)
            .map(|spec| spec.run.working_dir)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        dir(json!({"cwd": "/c"}), json!({"cwd": "/w"})),
        Ok("/w".to_owned())
    );
    assert_eq!(dir(json!({"cwd": "/c"}), json!({"cwd": ""})), Ok("/c".to_owned()));
    assert_eq!(dir(json!({}), json!("bad")), Ok(POD_ROOT.to_owned()));
    assert!(
        dir(json!({}), json!({"cwd": "relative"}))
            .is_err_and(|said| said.starts_with("cwd of the workspace"))
    );
}

#[test]
fn database_paths_stay_on_the_shared_volume() {
    let db = |path: &str| spec(json!({"agentDbPath": path})).map(|spec| spec.run.agent_db);
    assert_eq!(db("/paperclip/x/db"), Ok(AgentDb::File("/paperclip/x/db".into())));
    for bad in [
        "/paperclip",
        "/paperclip/",
        "/paperclips/x",
        "/etc/db",
        "x",
        "/paperclip/../db",
        "/paperclip//db",
        "/paperclip/x/",
    ] {
        assert!(db(bad).is_err(), "{bad}");
    }
    let both = spec(json!({"agentDbPath": "/paperclip/db", "agentDbClaimName": "claim"}));
    assert!(
        both.expect_err("refused")
            .to_string()
            .contains("exclude each other")
    );
    let path_and_null =
        spec(json!({"agentDbPath": "/paperclip/db", "agentDbClaimName": null})).expect("valid");
    assert_eq!(path_and_null.run.agent_db, AgentDb::File("/paperclip/db".into()));
}

#[test]
fn a_computed_sub_path_is_refused() {
    let refused = spec(json!({"selfPod": {"dataSubPathExpr": "$(X)"}}));
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .starts_with("subPathExpr ")
    );
}
