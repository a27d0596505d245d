//! The names, labels and buckets of all metrics.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

const PREFIX: &str = "paperclip_opencode_k8s_";
/// Seconds: a start takes some, a queue or a large image minutes.
const START_BUCKETS: [f64; 11] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds: nodes date the end of a container in whole ones.
const SEEN_BUCKETS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];

/// All metrics.
pub(super) struct Families {
    pub(super) runs: IntGaugeVec,
    pub(super) oldest_run: IntGaugeVec,
    pub(super) runs_ended: IntCounterVec,
    pub(super) logs_ended: IntCounterVec,
    pub(super) schedule: Histogram,
    pub(super) pull: Histogram,
    pub(super) start: Histogram,
    pub(super) end_seen: Histogram,
    pub(super) tails: IntGauge,
    pub(super) max_lag: IntGauge,
    pub(super) lag: IntGauge,
    pub(super) requests: IntCounterVec,
    pub(super) watch_restarts: IntCounterVec,
    pub(super) hung_volumes: IntGauge,
    pub(super) volume_timeouts: IntCounter,
    pub(super) sweeps: IntCounterVec,
    pub(super) swept_jobs: IntCounter,
    pub(super) swept_runs: IntCounter,
    pub(super) credentials: IntCounterVec,
    pub(super) dropped_lines: IntCounter,
}

impl Families {
    pub(super) fn new(to: &Registry) -> Result<Self> {
        let info = gauges(to, "info", "1, with the version of the adapter.", &["version"])?;
        set(&info, [env!("CARGO_PKG_VERSION")], 1_u64);
        Ok(Self {
            runs: gauges(
                to,
                "runs",
                "Runs of this server that have not ended, by phase.",
                &["phase"],
            )?,
            oldest_run: gauges(
                to,
                "oldest_run_seconds",
                "How long the run has been in this phase that has been in it longest.",
                &["phase"],
            )?,
            runs_ended: counters(
                to,
                "runs_ended_total",
                "Runs that have ended, by the code of their result.",
                &["code"],
            )?,
            logs_ended: counters(
                to,
                "logs_ended_total",
                "Logs of runs that have ended, by what is known of their completeness.",
                &["proof"],
            )?,
            schedule: histogram(
                to,
                "schedule_seconds",
                "From the request for a Job, or from the end of its queue, until its pod has a node.",
                &START_BUCKETS,
            )?,
            pull: histogram(
                to,
                "pull_seconds",
                "How long the node mounted volumes and pulled images before the agent started.",
                &START_BUCKETS,
            )?,
            start: histogram(
                to,
                "start_seconds",
                "From a node for the pod until the agent runs.",
                &START_BUCKETS,
            )?,
            end_seen: histogram(
                to,
                "end_seen_seconds",
                "From the end of the agent's container, by the node's clock, until this server saw it.",
                &SEEN_BUCKETS,
            )?,
            tails: gauge(to, "tails", "Log files that are followed.")?,
            max_lag: gauge(
                to,
                "tail_lag_max_bytes",
                "Bytes of a log that are there and not delivered, of the log that lags most.",
            )?,
            lag: gauge(
                to,
                "tail_lag_bytes",
                "Bytes of all logs that are there and not delivered.",
            )?,
            requests: counters(
                to,
                "api_requests_total",
                "Requests to the API server, by verb, resource and HTTP status, or the reason for none.",
                &["verb", "resource", "code"],
            )?,
            watch_restarts: counters(
                to,
                "watch_restarts_total",
                "Watches that ended and are begun again, by resource and reason.",
                &["resource", "reason"],
            )?,
            hung_volumes: gauge(to, "hung_volumes", "Mounts on which a call of a tail hangs now.")?,
            volume_timeouts: counter(
                to,
                "volume_timeouts_total",
                "Calls to the shared volume that took too long.",
            )?,
            sweeps: counters(
                to,
                "sweeps_total",
                "Sweeps of a namespace, by result.",
                &["result"],
            )?,
            swept_jobs: counter(to, "swept_jobs_total", "Finished Jobs that sweeps have deleted.")?,
            swept_runs: counter(to, "swept_runs_total", "Runs whose files sweeps have removed.")?,
            credentials: counters(
                to,
                "credential_renewals_total",
                "Renewals of the API server's credentials, by result.",
                &["result"],
            )?,
            dropped_lines: counter(
                to,
                "dropped_log_lines_total",
                "Lines of the adapter's own log that nobody read in time.",
            )?,
        })
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}{name}"), help)
}

fn registered<C: Collector + Clone + 'static>(to: &Registry, collector: C) -> Result<C> {
    to.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn gauge(to: &Registry, name: &str, help: &str) -> Result<IntGauge> {
    registered(to, IntGauge::with_opts(options(name, help))?)
}

fn gauges(to: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    registered(to, IntGaugeVec::new(options(name, help), labels)?)
}

fn counter(to: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    registered(to, IntCounter::with_opts(options(name, help))?)
}

fn counters(to: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    registered(to, IntCounterVec::new(options(name, help), labels)?)
}

fn histogram(to: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
    let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
    registered(to, Histogram::with_opts(options)?)
}

/// The metrics hold whole numbers with a sign.
pub(super) fn whole(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// One more.
pub(super) fn count<const N: usize>(family: &IntCounterVec, labels: [&str; N]) {
    if let Ok(counter) = family.get_metric_with_label_values(&labels) {
        counter.inc();
    }
}

/// There, and none yet.
pub(super) fn zero<const N: usize>(family: &IntCounterVec, labels: [&str; N]) {
    let _ = family.get_metric_with_label_values(&labels);
}

pub(super) fn set<const N: usize>(family: &IntGaugeVec, labels: [&str; N], value: impl TryInto<i64>) {
    if let Ok(gauge) = family.get_metric_with_label_values(&labels) {
        gauge.set(whole(value));
    }
}
