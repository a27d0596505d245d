//! An API server inside a test: it answers from memory what it is told to know. Nothing waits here, so a stopped clock
//! stays the test's.
#![allow(dead_code, clippy::allow_attributes, reason = "no test uses all of it")]

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use kube::Client;
use kube::client::Body;
use opencode_k8s::cluster::verbs::Namespace;
use opencode_k8s::cluster::{Access, Cluster, View};
use serde_json::{Value, json};

#[derive(Default)]
struct Known {
    objects: Mutex<HashMap<&'static str, Vec<Value>>>,
    events: Mutex<HashMap<String, String>>,
    refused: Mutex<Option<&'static str>>,
    refuses_get: AtomicBool,
    away: AtomicBool,
}

/// What the API server knows now. Watches are not granted, so that everybody asks again after 2 s; but where it has
/// something to say by a watch, it does so once.
#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Known>);

impl ApiServer {
    pub(crate) fn with(jobs: &[Value], pods: &[Value]) -> Self {
        let server = Self::default();
        server.jobs(jobs);
        server.pods(pods);
        server
    }

    pub(crate) fn jobs(&self, jobs: &[Value]) {
        self.0
            .objects
            .lock()
            .expect("objects")
            .insert("jobs", jobs.to_vec());
    }

    pub(crate) fn pods(&self, pods: &[Value]) {
        self.0
            .objects
            .lock()
            .expect("objects")
            .insert("pods", pods.to_vec());
    }

    /// Every request fails until it is back.
    pub(crate) fn is_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
    }

    /// Every request for this resource is answered with 403 from now on.
    pub(crate) fn refuses(&self, resource: &'static str) {
        *self.0.refused.lock().expect("refused") = Some(resource);
    }

    /// No single object may be asked for from now on.
    pub(crate) fn refuses_get(&self) {
        self.0.refuses_get.store(true, Ordering::SeqCst);
    }

    /// The next watch of this resource gets these events in one piece, and then nothing.
    pub(crate) fn says_by_watch(&self, resource: &str, events: &[(&str, &Value)]) {
        let lines = events
            .iter()
            .map(|(kind, object)| json!({"type": kind, "object": object}).to_string() + "\n");
        self.0
            .events
            .lock()
            .expect("events")
            .insert(resource.to_owned(), lines.collect());
    }

    /// A view of this server. Each has an address of its own, since views are shared by it.
    pub(crate) fn view(&self) -> (Namespace, Arc<View>) {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.answer(&request) }
        });
        let cluster = Cluster {
            client: Client::new(service, "paperclip"),
            default_namespace: "paperclip".to_owned(),
            access: Access {
                kubeconfigs: vec![SERVERS.fetch_add(1, Ordering::SeqCst).to_string().into()],
                in_cluster: false,
            },
        };
        let namespace = Namespace::new(&cluster, "paperclip");
        let view = View::shared(&cluster, &namespace, "a=b");
        (namespace, view)
    }

    fn answer(&self, request: &Request<Body>) -> io::Result<Response<Said>> {
        if self.0.away.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let resource = if request.uri().path().contains("/jobs") {
            "jobs"
        } else {
            "pods"
        };
        if *self.0.refused.lock().expect("refused") == Some(resource) {
            return Ok(status(403));
        }
        if request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"))
        {
            let events = self.0.events.lock().expect("events").remove(resource);
            return Ok(events.map_or_else(|| status(403), |events| Response::new(Said::Then(events))));
        }
        if request.method() == http::Method::POST {
            let made = json!({"metadata": {"name": "job", "uid": "uid"}});
            return Ok(Response::new(Said::Text(made.to_string())));
        }
        let items = self
            .0
            .objects
            .lock()
            .expect("objects")
            .get(resource)
            .cloned()
            .unwrap_or_default();
        if let Some(name) = request.uri().path().split(&format!("/{resource}/")).nth(1) {
            if self.0.refuses_get.load(Ordering::SeqCst) {
                return Ok(status(403));
            }
            let found = items.into_iter().find(|item| item["metadata"]["name"] == name);
            return Ok(found.map_or_else(|| status(404), |item| Response::new(Said::Text(item.to_string()))));
        }
        let list =
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items});
        Ok(Response::new(Said::Text(list.to_string())))
    }
}

fn status(code: u16) -> Response<Said> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "R", "message": "m"});
    let mut response = Response::new(Said::Text(body.to_string()));
    *response.status_mut() = code.try_into().expect("a status");
    response
}

/// The body of an answer.
enum Said {
    Text(String),
    /// This, and nothing more for ever.
    Then(String),
    Nothing,
    NothingYet,
}

impl HttpBody for Said {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (next, now) = match std::mem::replace(&mut *self, Said::Nothing) {
            Said::Text(text) => (Said::Nothing, Poll::Ready(Some(Ok(Frame::data(text.into()))))),
            Said::Then(text) => (Said::NothingYet, Poll::Ready(Some(Ok(Frame::data(text.into()))))),
            Said::Nothing => (Said::Nothing, Poll::Ready(None)),
            Said::NothingYet => (Said::NothingYet, Poll::Pending),
        };
        *self = next;
        now
    }
}
