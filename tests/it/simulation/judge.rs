//! What must be true of every simulation, whatever happened in it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::World;
use super::host::Report;
use super::truth::task_of;

/// Notes what is not as it must be.
pub(crate) fn judge(world: &World) {
    let reports = world.reports.lock().unwrap().clone();
    for report in &reports {
        lines(world, report);
        verdict(world, report);
        exit_code(world, report);
    }
    usage(world, &reports);
}

/// The run and the number of a line.
fn place_of(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let id = line["part"]["id"].as_str()?.strip_prefix("prt_")?.to_owned();
    Some((id.split('_').next()?.to_owned(), id))
}

fn lines(world: &World, report: &Report) {
    let id = &report.run.id;
    let mut of_runs: Vec<(String, Vec<&String>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in &report.heard {
        let Some((run, place)) = place_of(line) else {
            world.story.tell(format!("{id} heard a part of a line: {line:?}"));
            continue;
        };
        if !seen.insert(place) {
            world
                .story
                .fault(format!("{id} heard a line twice: {}", line.trim_end()));
        }
        match of_runs.last_mut().filter(|(last, _)| *last == run) {
            Some((_, lines)) => lines.push(line),
            None => of_runs.push((run, vec![line])),
        }
    }
    for (run, heard) in &of_runs {
        let written = world.truth.of(run).lines;
        if !written
            .iter()
            .zip(heard)
            .all(|(written, heard)| written == *heard)
            || heard.len() > written.len()
        {
            world.story.fault(format!(
                "{id} heard the lines of {run} out of order or not as they were written"
            ));
        }
    }
    let is_proven = report.result["resultJson"]["log"]["proof"] == "proven";
    let last = of_runs.last().map_or(id.clone(), |(run, _)| run.clone());
    let missing = world.truth.of(&last).lines.len() - of_runs.last().map_or(0, |(_, lines)| lines.len());
    if is_proven && missing > 0 && !report.heard.is_empty() {
        world.story.fault(format!(
            "{id}: the log of {last} is proven, and {missing} lines were not offered"
        ));
    }
}

fn is_success(result: &Value) -> bool {
    result["exitCode"].as_i64().unwrap_or(0) == 0
        && result["errorMessage"].is_null()
        && result["timedOut"] != true
        && result["signal"].is_null()
}

fn verdict(world: &World, report: &Report) {
    let (id, result) = (&report.run.id, &report.result);
    let of_task = world
        .truth
        .all()
        .into_iter()
        .filter(|(run, _)| task_of(run) == task_of(id));
    let ended_well = |run: &str| {
        let script = world.known_script(run);
        script.is_some_and(|script| {
            script.succeeds() && world.truth.of(run).lines.len() == script.steps.len() * 3
        })
    };
    if is_success(result) && !of_task.clone().any(|(run, _)| ended_well(&run)) {
        world.story.fault(format!(
            "{id} is reported as a success, and nobody did the work: {result}"
        ));
    }
    let code = result["errorCode"].as_str().unwrap_or_default();
    if code == "cancelled" && !report.cancelled {
        world
            .story
            .fault(format!("{id} is reported as cancelled, and nobody asked for it"));
    }
    if (code == "timeout" || result["timedOut"] == true) && report.run.timeout.is_none() {
        world
            .story
            .fault(format!("{id} is reported as timed out, and it has no limit"));
    }
    let heard_well = report
        .heard
        .last()
        .and_then(|line| place_of(line))
        .is_some_and(|(run, _)| ended_well(&run) && report.heard.last() == world.truth.of(&run).lines.last());
    if heard_well
        && !is_success(result)
        && !report.cancelled
        && report.run.timeout.is_none()
        && heard_only_own(report)
    {
        world
            .story
            .fault(format!("{id} heard a clean end, and is no success: {code}"));
    }
    if code == "k8s_internal_error" {
        world.story.fault(format!("{id}: {result}"));
    }
}

/// A run that delivered another one's lines may have its end as well.
fn heard_only_own(report: &Report) -> bool {
    let mut lines = report.heard.iter().filter_map(|line| place_of(line));
    lines.all(|(run, _)| run == report.run.id)
}

/// An exit code is the agent's own, or that of a kill.
fn exit_code(world: &World, report: &Report) {
    let own = world.truth.of(&report.run.id);
    let reported = report.result["resultJson"]["opencodeExitCode"].as_i64();
    if let (Some(reported), Some(status)) = (reported, own.status)
        && heard_only_own(report)
        && reported != i64::from(status)
        // A container that is killed before its script has written the end record has no code but that of the kill.
        && !own.is_killed
        && status != 137
        // A pod that a person forced away was never seen; the one after it says that the agent has run.
        && reported != 64
    {
        world.story.fault(format!(
            "{}: exit code {reported} is reported, it was {status}",
            report.run.id
        ));
    }
}

/// Each step is in exactly one result.
fn usage(world: &World, reports: &[Report]) {
    let reported: u64 = reports
        .iter()
        .map(|report| report.result["usage"]["inputTokens"].as_u64().unwrap_or(0))
        .sum();
    let agents = world.truth.all();
    let used: u64 = agents.iter().map(|(_, agent)| agent.steps).sum();
    let unseen: u64 = agents.iter().map(|(_, agent)| agent.unseen).sum();
    if reported == used {
        return;
    }
    let of = |weights: u64| {
        let runs = agents.iter().filter(|(_, agent)| agent.steps & weights != 0);
        runs.map(|(run, _)| run.clone()).collect::<Vec<_>>()
    };
    if reported > used || reported & !used != 0 {
        world.story.fault(format!(
            "usage: {reported:#x} was reported and {used:#x} was used; near {:?}",
            of(reported ^ used)
        ));
        return;
    }
    for run in of(used & !reported & !unseen) {
        if !may_stay_unreported(world, &run) && !was_given_up(world, reports, &run) {
            world.story.fault(format!(
                "usage: of {run}, {:#x} was never reported",
                world.truth.of(&run).steps & !reported
            ));
        }
    }
}

/// At most once: what a server had harvested, and not yet handed to its host when it died, is never reported.
fn may_stay_unreported(world: &World, run: &str) -> bool {
    let nonce = format!("{run}.pod.nonce");
    if world.volume.files().iter().any(|file| file.ends_with(&nonce)) {
        // Its files say that nobody has harvested it, and a run of its task has worked since.
        return false;
    }
    let lost = world.lost.lock().unwrap();
    let over = world.truth.of(run).over_at;
    lost.iter()
        .any(|(lost, at)| task_of(lost) == task_of(run) && over.is_some_and(|over| *at >= over))
}

/// A log that could not be read to its end in time gives what was read, and a cancel waits for little of it. Its files
/// stay, and the host was told so.
fn was_given_up(world: &World, reports: &[Report], run: &str) -> bool {
    if world.unread.lock().unwrap().contains(run) {
        return true;
    }
    let of_run = reports
        .iter()
        .filter(|report| task_of(&report.run.id) == task_of(run));
    of_run.into_iter().any(|report| {
        let is_unread = report.result["resultJson"]["log"] == json!({"bytes": 0, "proof": "unproven"});
        let is_incomplete = report.result["resultJson"]["logState"] == "incomplete";
        report.cancelled || is_incomplete || is_unread
    })
}
