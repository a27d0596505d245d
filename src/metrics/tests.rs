use super::*;

fn metrics() -> &'static Metrics {
    Box::leak(Box::new(Metrics::new().expect("good names")))
}

#[tokio::test(start_paused = true)]
async fn the_text_is_the_golden_one() {
    let metrics = metrics();
    let (first, second) = (RunProgress::begin(metrics), RunProgress::begin(metrics));
    second.enter(RunPhase::Creating);
    tokio::time::advance(Duration::from_secs(3)).await;
    second.enter(RunPhase::Pulling);
    families::count(&metrics.families.requests, ["create", "jobs", "201"]);
    metrics.run_ended("ok", "proven");
    metrics.run_ended("ok", "counted");
    metrics.run_ended("timeout", "incomplete");
    metrics.run_ended("cancelled", "unproven");
    metrics.run_ended("timeout", "a word from elsewhere");
    metrics.end_seen(Duration::from_millis(700));
    metrics.watch_ended("jobs", "in_time");
    metrics.volume_timed_out();
    metrics.swept(true, 2, 3);
    metrics.credentials_renewed(false);
    metrics.log_lines_dropped(4);
    let looked = Looked {
        tails: 2,
        max_lag: 10,
        lag: 15,
        hung_volumes: 1,
    };
    let text = metrics.text(looked, Instant::now());
    let golden = include_str!("../../fixtures/metrics.txt");
    assert_eq!(text, golden.replace("VERSION", env!("CARGO_PKG_VERSION")));
    drop((first, second));
    let text = metrics.text(Looked::default(), Instant::now());
    assert!(
        text.contains("runs{phase=\"pulling\"} 0"),
        "a run that has ended is in no phase: {text}"
    );
}
