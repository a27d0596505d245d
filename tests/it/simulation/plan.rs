//! What is to happen in one simulation, drawn from its seed.

use std::time::Duration;

use super::dice::Dice;
use super::kubelet::Node;
use super::volume::VolumeFaults;

/// In how many of a thousand requests something happens.
#[derive(Clone, Copy, Default)]
pub(crate) struct ApiFaults {
    pub(crate) refuses: u64,
    pub(crate) loses: u64,
    pub(crate) late: u64,
    pub(crate) hangs: u64,
    pub(crate) breaks_watches: u64,
    pub(crate) silences_watches: u64,
    pub(crate) lags_watches: u64,
    /// How many versions a watch can go back.
    pub(crate) remembers: u64,
}

/// How a host takes its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HostKind {
    Prompt,
    Slow,
    Dead,
    Failing,
}

/// One run that the host starts.
#[derive(Clone, Debug)]
pub(crate) struct PlannedRun {
    pub(crate) id: String,
    pub(crate) at: Duration,
    pub(crate) server: usize,
    pub(crate) host: HostKind,
    pub(crate) cancel_after: Option<Duration>,
    /// When the host gives the run up without a cancel.
    pub(crate) leave_after: Option<Duration>,
    pub(crate) prompt: String,
    pub(crate) timeout: Option<u64>,
}

/// What a person does to the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ByHand {
    DeleteJob,
    DeletePod,
    ForcePod,
}

pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Nothing goes wrong by chance, and each agent works so long.
    pub(crate) calm: Option<Duration>,
    /// The order of statuses of current Kubernetes, else that of 1.20.
    pub(crate) modern: bool,
    /// A pod that is deleted gets a successor.
    pub(crate) replaces_pods: bool,
    /// Something holds a Job that is deleted for a while.
    pub(crate) has_finalizers: bool,
    pub(crate) watch_is_forbidden: bool,
    /// The Role does not grant `get` on Jobs.
    pub(crate) get_job_is_forbidden: bool,
    pub(crate) retain: bool,
    /// `reattachOrphanedJobs`.
    pub(crate) reattach: bool,
    /// `guardWaitSec`.
    pub(crate) guard_wait: u64,
    pub(crate) ttl: u64,
    pub(crate) log_lag: Duration,
    pub(crate) api: ApiFaults,
    pub(crate) outages: Vec<(Duration, Duration)>,
    pub(crate) volume: Vec<(Duration, Duration, VolumeFaults)>,
    pub(crate) nodes: Vec<(Duration, Duration, Node)>,
    pub(crate) runs: Vec<PlannedRun>,
    /// When which server dies, and how long it takes to come back.
    pub(crate) crashes: Vec<(Duration, usize, Duration)>,
    pub(crate) by_hand: Vec<(Duration, ByHand)>,
}

/// From then on nothing is wrong any more.
pub(crate) const HEALED: Duration = Duration::from_secs(2_200);

fn window(dice: &mut Dice, longest: u64) -> (Duration, Duration) {
    let from = dice.millis(0, 400_000);
    (from, from + dice.millis(500, longest * 1_000))
}

impl Plan {
    /// A world without chance, where each agent works so long.
    pub(crate) fn calm(agents_work: Duration) -> Self {
        Self {
            seed: 0,
            calm: Some(agents_work),
            modern: true,
            replaces_pods: false,
            has_finalizers: false,
            watch_is_forbidden: false,
            get_job_is_forbidden: false,
            retain: false,
            reattach: true,
            guard_wait: 0,
            ttl: 300,
            log_lag: Duration::ZERO,
            api: ApiFaults::default(),
            outages: Vec::new(),
            volume: Vec::new(),
            nodes: Vec::new(),
            runs: Vec::new(),
            crashes: Vec::new(),
            by_hand: Vec::new(),
        }
    }

    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "plan");
        let dice = &mut dice;
        let mut settings = Dice::of(seed, "settings");
        let mut runs = runs(dice);
        let crashes: Vec<_> = (0..dice.below(4))
            .map(|_| {
                (
                    dice.millis(0, 240_000),
                    dice.below(2) as usize,
                    dice.seconds(1, 200),
                )
            })
            .collect();
        let retain = dice.once_in(10);
        let timeout = dice.once_in(5).then(|| 20 + dice.below(200));
        runs.iter_mut().for_each(|run| run.timeout = timeout);
        // Of their own: the other seeds keep their stories.
        let mut leaves = Dice::of(seed, "leaves");
        for run in runs.iter_mut().filter(|run| run.cancel_after.is_none()) {
            run.leave_after = leaves.once_in(6).then(|| leaves.millis(0, 200_000));
        }
        let mut outages: Vec<_> = (0..few(dice, 4)).map(|_| window(dice, 120)).collect();
        outages.extend(long_outage(dice));
        Self {
            seed,
            calm: None,
            modern: dice.once_in(2),
            replaces_pods: dice.once_in(2),
            has_finalizers: dice.once_in(6),
            watch_is_forbidden: dice.once_in(12),
            get_job_is_forbidden: settings.once_in(16),
            retain,
            reattach: !settings.once_in(10),
            guard_wait: if settings.once_in(10) {
                10 + settings.below(60)
            } else {
                0
            },
            ttl: *dice.pick(&[0, 1, 20, 300, 300, 300]),
            log_lag: if dice.once_in(4) {
                dice.millis(100, 12_000)
            } else {
                Duration::ZERO
            },
            api: api(dice),
            outages,
            volume: (0..few(dice, 4)).map(|_| volume(dice)).collect(),
            nodes: (0..few(dice, 8)).map(|_| node(dice)).collect(),
            runs,
            crashes,
            by_hand: (0..few(dice, 2))
                .map(|_| {
                    (
                        dice.millis(500, 200_000),
                        *dice.pick(&[ByHand::DeleteJob, ByHand::DeletePod, ByHand::ForcePod]),
                    )
                })
                .collect(),
        }
    }
}

/// Mostly none: in one of `n` cases one or two.
fn few(dice: &mut Dice, n: u64) -> u64 {
    if dice.once_in(n) { 1 + dice.below(2) } else { 0 }
}

fn long_outage(dice: &mut Dice) -> Option<(Duration, Duration)> {
    let from = dice.millis(0, 200_000);
    dice.once_in(16).then(|| (from, from + dice.seconds(500, 1_200)))
}

fn volume(dice: &mut Dice) -> (Duration, Duration, VolumeFaults) {
    let (from, until) = window(dice, 90);
    let faults = match dice.below(3) {
        0 => VolumeFaults {
            hangs: true,
            ..VolumeFaults::default()
        },
        1 => VolumeFaults {
            fails: true,
            ..VolumeFaults::default()
        },
        _ => VolumeFaults {
            slow: dice.millis(10, 7_000),
            ..VolumeFaults::default()
        },
    };
    (from, until, faults)
}

fn node(dice: &mut Dice) -> (Duration, Duration, Node) {
    let from = dice.millis(0, 200_000);
    let node = *dice.pick(&[Node::Silent, Node::Dead]);
    (from, from + dice.seconds(10, 900), node)
}

fn api(dice: &mut Dice) -> ApiFaults {
    let calm = ApiFaults {
        remembers: 10_000,
        ..ApiFaults::default()
    };
    match dice.below(4) {
        0 => calm,
        1 => ApiFaults {
            refuses: 10,
            loses: 10,
            late: 50,
            breaks_watches: 300,
            ..calm
        },
        2 => ApiFaults {
            loses: 60,
            hangs: 15,
            late: 100,
            silences_watches: 300,
            ..calm
        },
        _ => ApiFaults {
            refuses: 100,
            loses: 30,
            late: 200,
            hangs: 10,
            breaks_watches: 500,
            silences_watches: 100,
            lags_watches: 300,
            remembers: 20,
        },
    }
}

fn runs(dice: &mut Dice) -> Vec<PlannedRun> {
    let (agents, tasks) = (1 + dice.below(2), 1 + dice.below(2));
    let (same_prompt, overlap) = (dice.once_in(2), dice.once_in(2));
    let mut at = Duration::ZERO;
    (0..1 + dice.below(6))
        .map(|number| {
            at += if overlap {
                dice.millis(0, 5_000)
            } else {
                dice.millis(0, 300_000)
            };
            let task = format!("a{}-t{}", dice.below(agents), dice.below(tasks));
            PlannedRun {
                prompt: if same_prompt {
                    format!("Work on {task}.")
                } else {
                    format!("Work on {task}, comment {number}.")
                },
                id: format!("{task}-{number}"),
                at,
                server: dice.below(2) as usize,
                host: *dice.pick(&[
                    HostKind::Prompt,
                    HostKind::Prompt,
                    HostKind::Slow,
                    HostKind::Dead,
                    HostKind::Failing,
                ]),
                cancel_after: dice.once_in(4).then(|| dice.millis(0, 200_000)),
                leave_after: None,
                timeout: None,
            }
        })
        .collect()
}
