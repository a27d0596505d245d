use super::*;
use serde_json::json;

fn read(config: Value) -> Result<PodShape, String> {
    let mut values = Values::read(&config).map_err(|error| error.to_string())?;
    PodShape::read(&mut values, &config).map_err(|error| error.to_string())
}

#[test]
fn every_shape_of_an_object_says_the_same() {
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}});
    let yaml = "nodeAffinity:\n  requiredDuringSchedulingIgnoredDuringExecution:\n    nodeSelectorTerms:\n\
        \x20   - matchExpressions: [{key: disk, operator: In, values: [ssd]}]\n";
    let meant = read(json!({"affinity": affinity})).expect("valid").affinity;
    assert!(meant.is_some());
    for text in [affinity.to_string(), yaml.to_owned()] {
        assert_eq!(read(json!({"affinity": text})).expect("valid").affinity, meant);
    }
    assert_eq!(
        read(json!({"affinity": " "})),
        Ok(read(json!({})).expect("valid"))
    );
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let spread = read(json!({"topologySpreadConstraints": spread})).expect("valid");
    assert_eq!(spread.topology_spread_constraints.len(), 1);
}

#[test]
fn what_the_api_does_not_know_is_refused_by_name() {
    for (config, says) in [
        (
            json!({"affinity": {"nodeAfinity": {}, "podAffinity": {"x": 1}}}),
            "affinity has podAffinity.x",
        ),
        (
            json!({"affinity": {"nodeAfinity": {"a": 1}}}),
            "affinity has nodeAfinity, which the API",
        ),
        (json!({"affinity": "[1]"}), "affinity must be an object"),
        (json!({"affinity": "a: [b"}), "affinity must be JSON or YAML"),
        (json!({"podSpecPatch": "x"}), "podSpecPatch must be an object"),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": "x"}]}),
            "topologySpreadConstraints is not as",
        ),
        (json!({"imagePullSecrets": "A_b"}), "imagePullSecrets has"),
        (json!({"queueName": "a b"}), "queueName must be a name"),
        (
            json!({"queueName": format!("{0}.{0}", "a".repeat(40))}),
            "queueName is longer than 63",
        ),
        (
            json!({"topologySpreadConstraints": "- {topologyKey: zone, whenUnsatisfiable: DoNotSchedule}"}),
            "topologySpreadConstraints has an entry whose maxSkew",
        ),
        (
            json!({"resources": {"limits": {"nvidia.com/gpu": 0.5}}}),
            "resources.limits.nvidia.com/gpu must be a whole number",
        ),
        (
            json!({"resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"nvidia.com/gpu": 2}}}),
            "resources.limits.nvidia.com/gpu has two sizes",
        ),
        (
            json!({"resources": {"other": {"gpu": 1}}}),
            "resources.other.gpu is no extended resource",
        ),
        (
            json!({"resources.other": "nvidia.com/gpu=x"}),
            "resources.other.nvidia.com/gpu must be a quantity",
        ),
        (
            json!({"resources.limits.ephemeral-storage": "1Gi", "resources.requests.ephemeral-storage": "2Gi"}),
            "resources.requests.ephemeral-storage is 2Gi, more than its limit",
        ),
    ] {
        let refused = read(config.clone()).expect_err("refused");
        assert!(refused.starts_with(says), "{config}: {refused}");
    }
}

#[test]
fn resources_beside_cpu_and_memory_are_requested_and_limited() {
    let resources = read(json!({"resources.other": "nvidia.com/gpu: 1\nhugepages-2Mi=4Mi",
        "resources": {"limits": {"ephemeral-storage": "4Gi"}}}));
    let resources = resources.expect("valid").resources;
    let names = |sizes: &Sizes| sizes.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&resources.requests), ["hugepages-2Mi", "nvidia.com/gpu"]);
    assert_eq!(
        names(&resources.limits),
        ["ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu"]
    );
    for config in [
        json!({"resources": {"limits": {"nvidia.com/gpu": 1}}}),
        json!({"resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": 1}}}),
        json!({"resources.limits.nvidia.com/gpu": "1", "resources.limits.amd.com/gpu": null}),
    ] {
        let resources = read(config).expect("valid").resources;
        assert_eq!(
            (names(&resources.requests), names(&resources.limits)),
            (
                vec!["nvidia.com/gpu".to_owned()],
                vec!["nvidia.com/gpu".to_owned()]
            )
        );
    }
}
