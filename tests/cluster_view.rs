//! The shared view against API servers that misbehave, on a stopped clock: what is asked, how often, and what is known.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "a test fails loudly"
)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use kube::Client;
use kube::client::Body;
use opencode_k8s::cluster::verbs::Namespace;
use opencode_k8s::cluster::{Access, Cluster, View};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What the API server does with a watch.
#[derive(Clone, Copy)]
enum Watch {
    /// Answers with this status.
    Refuses(u16),
    /// Ends it at once, without an event.
    Closes,
    /// Accepts it and says nothing, for ever.
    IsSilent,
    /// Never answers.
    Hangs,
}

/// The body of an answer.
enum Said {
    Text(String),
    Nothing,
    NothingYet,
}

impl HttpBody for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut *self, Said::Nothing) {
            Said::Text(text) => Poll::Ready(Some(Ok(Frame::data(text.into())))),
            Said::Nothing => Poll::Ready(None),
            Said::NothingYet => {
                *self = Said::NothingYet;
                Poll::Pending
            }
        }
    }
}

/// An API server, and when it was asked for Jobs, by verb.
#[derive(Clone)]
struct Server {
    watch: Watch,
    list: u16,
    asked: Arc<Mutex<Vec<(&'static str, Duration)>>>,
    since: Instant,
}

impl Server {
    fn new(watch: Watch, list: u16) -> Self {
        Self {
            watch,
            list,
            asked: Arc::default(),
            since: Instant::now(),
        }
    }

    /// Opens a view of this server. Each has an address of its own, since views are shared by it.
    fn view(&self, name: &str) -> Arc<View> {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        let access = Access {
            kubeconfigs: vec![name.into()],
            in_cluster: false,
        };
        let cluster = Cluster {
            client: Client::new(service, "paperclip"),
            default_namespace: "paperclip".to_owned(),
            access,
        };
        View::shared(&cluster, &Namespace::new(&cluster, "paperclip"), "a=b")
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Said>, Infallible> {
        let uri = request.uri().to_string();
        let is_watch = uri.contains("watch=true");
        if uri.contains("/jobs") {
            let verb = if is_watch { "watch" } else { "list" };
            self.asked
                .lock()
                .expect("asked")
                .push((verb, self.since.elapsed()));
        }
        if !is_watch {
            return Ok(self.listed());
        }
        Ok(match self.watch {
            Watch::Refuses(code) => status(code),
            Watch::Closes => Response::new(Said::Nothing),
            Watch::IsSilent => Response::new(Said::NothingYet),
            Watch::Hangs => std::future::pending().await,
        })
    }

    fn listed(&self) -> Response<Said> {
        if self.list != 200 {
            return status(self.list);
        }
        let list =
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": []});
        Response::new(Said::Text(list.to_string()))
    }

    fn times(&self, verb: &str) -> Vec<u64> {
        let asked = self.asked.lock().expect("asked");
        let of_verb = asked.iter().filter(|(asked, _)| *asked == verb);
        of_verb.map(|(_, at)| at.as_secs()).collect()
    }
}

fn status(code: u16) -> Response<Said> {
    let body: Value = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "R",
        "message": "m"});
    let mut response = Response::new(Said::Text(body.to_string()));
    *response.status_mut() = code.try_into().expect("a status");
    response
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_closed_at_once_are_not_asked_for_thousands_of_times() {
    let server = Server::new(Watch::Closes, 200);
    let _view = server.view("closes");
    sleep(Duration::from_secs(60)).await;
    let watches = server.times("watch").len();
    assert!((30..=61).contains(&watches), "{watches}");
    assert!(server.times("list").len() >= 30, "each time with a fresh list");
}

#[tokio::test(start_paused = true)]
async fn a_role_without_watch_is_polled_and_tried_again_later() {
    let server = Server::new(Watch::Refuses(403), 200);
    let view = server.view("forbidden");
    let pulse = view.pulse_of("job");
    sleep(Duration::from_secs(301)).await;
    let (lists, watches) = (server.times("list").len(), server.times("watch"));
    assert!((140..=155).contains(&lists), "every 2 s: {lists}");
    assert!(pulse.borrow().polling && pulse.borrow().trouble.is_none());
    assert_eq!(watches.first(), Some(&0));
    assert!(
        watches.len() <= 2 && watches.iter().skip(1).all(|at| *at >= 300),
        "{watches:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_as_http_status_leads_to_a_fresh_list() {
    let server = Server::new(Watch::Refuses(410), 200);
    let _view = server.view("gone");
    sleep(Duration::from_secs(10)).await;
    let (lists, watches) = (server.times("list").len(), server.times("watch").len());
    assert!(lists >= 9 && watches >= 9, "{lists} {watches}");
    assert!(lists <= 11 && watches <= 11, "{lists} {watches}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_without_a_word_is_given_up() {
    let server = Server::new(Watch::IsSilent, 200);
    let view = server.view("silent");
    let pulse = view.pulse_of("job");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(server.times("watch"), [0, 295, 590]);
    assert_eq!(
        server.times("list").len(),
        1,
        "nothing was lost: it goes on from there"
    );
    assert!(pulse.borrow().trouble.is_none(), "silence is no outage");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_never_answered_is_bounded() {
    let server = Server::new(Watch::Hangs, 200);
    let view = server.view("hangs");
    sleep(Duration::from_secs(60)).await;
    let watches = server.times("watch");
    assert_eq!(watches, [0, 16, 32, 48]);
    drop(view);
}

#[tokio::test(start_paused = true)]
async fn lists_that_fail_are_asked_for_ever_more_slowly_and_are_an_outage_since_the_first() {
    let server = Server::new(Watch::IsSilent, 500);
    let view = server.view("fails");
    let pulse = view.pulse_of("job");
    sleep(Duration::from_secs(120)).await;
    let lists = server.times("list").len();
    assert!((10..=20).contains(&lists), "{lists}");
    let trouble = pulse.borrow().trouble.clone();
    let (_, since) = trouble.expect("trouble");
    assert!(since.elapsed() >= Duration::from_secs(119));
}

#[tokio::test(start_paused = true)]
async fn a_view_is_shared_while_it_is_used_and_asks_nothing_afterwards() {
    let server = Server::new(Watch::Refuses(403), 200);
    let (one, other) = (server.view("shared"), server.view("shared"));
    assert!(Arc::ptr_eq(&one, &other));
    sleep(Duration::from_secs(3)).await;
    drop((one, other));
    let asked = server.times("list").len();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(server.times("list").len(), asked);
}
