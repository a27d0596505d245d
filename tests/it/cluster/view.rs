//! The shared view against API servers that misbehave, on a stopped clock: what is asked, how often, and what is known.

use std::sync::Arc;
use std::time::Duration;

use crate::support::api::{ApiServer, Watch};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn watches_that_are_closed_at_once_are_not_asked_for_thousands_of_times() {
    let server = ApiServer::new(Watch::Closes, 200);
    let _view = server.view().1;
    sleep(Duration::from_secs(60)).await;
    let watches = server.times("watch").len();
    assert!((30..=61).contains(&watches), "{watches}");
    assert!(server.times("list").len() >= 30, "each time with a fresh list");
}

#[tokio::test(start_paused = true)]
async fn a_role_without_watch_is_polled_and_tried_again_later() {
    let server = ApiServer::new(Watch::Refuses(403), 200);
    let view = server.view().1;
    let status = view.subscribe("job");
    sleep(Duration::from_secs(301)).await;
    let (lists, watches) = (server.times("list").len(), server.times("watch"));
    assert!((140..=155).contains(&lists), "every 2 s: {lists}");
    assert!(status.borrow().polling && status.borrow().unreachable_since.is_none());
    assert_eq!(watches.first(), Some(&0));
    assert!(
        watches.len() <= 2 && watches.iter().skip(1).all(|at| *at >= 300),
        "{watches:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_as_http_status_leads_to_a_fresh_list() {
    let server = ApiServer::new(Watch::Refuses(410), 200);
    let _view = server.view().1;
    sleep(Duration::from_secs(10)).await;
    let (lists, watches) = (server.times("list").len(), server.times("watch").len());
    assert!(lists >= 9 && watches >= 9, "{lists} {watches}");
    assert!(lists <= 11 && watches <= 11, "{lists} {watches}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_bookmarks_gives_way_to_a_list_every_two_minutes() {
    let server = ApiServer::new(Watch::IsSilent, 200);
    let view = server.view().1;
    let status = view.subscribe("job");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(server.times("watch"), [0, 121, 242, 363, 484]);
    assert_eq!(server.times("list").len(), 5, "what the watch kept back is seen");
    assert!(
        status.borrow().unreachable_since.is_none(),
        "silence is no outage"
    );
}

/// Bookmarks say that the connection is good, and nothing about events: an API server's cache may have lost some.
#[tokio::test(start_paused = true)]
async fn a_watch_that_loses_events_gives_way_to_a_list_every_ten_minutes() {
    let server = ApiServer::new(Watch::LosesEvents, 200);
    let _view = server.view().1;
    sleep(Duration::from_secs(1_260)).await;
    assert_eq!(server.times("watch"), [0, 300, 601, 901, 1_202]);
    assert_eq!(server.times("list"), [0, 601, 1_202]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_never_answered_is_bounded() {
    let server = ApiServer::new(Watch::Hangs, 200);
    let view = server.view().1;
    sleep(Duration::from_secs(60)).await;
    let watches = server.times("watch");
    assert_eq!(watches, [0, 16, 32, 48]);
    drop(view);
}

#[tokio::test(start_paused = true)]
async fn lists_that_fail_are_asked_for_ever_more_slowly_and_are_an_outage_since_the_first() {
    let server = ApiServer::new(Watch::IsSilent, 500);
    let view = server.view().1;
    let status = view.subscribe("job");
    sleep(Duration::from_secs(120)).await;
    let lists = server.times("list").len();
    assert!((10..=20).contains(&lists), "{lists}");
    let trouble = status.borrow().unreachable_since.clone();
    let (_, since) = trouble.expect("trouble");
    assert!(since.elapsed() >= Duration::from_secs(119));
}

#[tokio::test(start_paused = true)]
async fn a_view_is_shared_while_it_is_used_and_asks_nothing_afterwards() {
    let server = ApiServer::new(Watch::Refuses(403), 200);
    let (one, other) = (server.view().1, server.view().1);
    assert!(Arc::ptr_eq(&one, &other));
    sleep(Duration::from_secs(3)).await;
    drop((one, other));
    let asked = server.times("list").len();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(server.times("list").len(), asked);
}
