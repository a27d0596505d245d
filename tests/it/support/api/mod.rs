//! An API server inside a test: it answers with the objects that the test gives it, and records when it was asked for
//! Jobs. Nothing waits here, so a stopped clock stays the test's.

mod said;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use opencode_k8s::cluster::verbs::Namespace;
use opencode_k8s::cluster::view::Views;
use opencode_k8s::cluster::{Access, Cluster, View};
use said::{Said, status};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What it does with a watch.
#[derive(Clone, Copy)]
pub(crate) enum Watch {
    /// Answers with this status.
    Refuses(u16),
    /// Ends it at once, without an event.
    Closes,
    /// Accepts it and says nothing, for ever.
    IsSilent,
    /// Accepts it, sends bookmarks and no event, and ends it in time.
    LosesEvents,
    /// Never answers.
    Hangs,
}

struct Known {
    views: Views,
    watch: Watch,
    /// The status of its lists.
    list: u16,
    objects: Mutex<HashMap<&'static str, Vec<Value>>>,
    /// What no list by labels shows.
    hidden: Mutex<HashMap<&'static str, Vec<Value>>>,
    events: Mutex<HashMap<String, String>>,
    refused: Mutex<Option<&'static str>>,
    refuses_get: AtomicBool,
    away: AtomicBool,
    asked: Mutex<Vec<(&'static str, Duration)>>,
    since: Instant,
}

/// The API server.
#[derive(Clone)]
pub(crate) struct ApiServer(Arc<Known>);

impl ApiServer {
    pub(crate) fn new(watch: Watch, list: u16) -> Self {
        Self(Arc::new(Known {
            views: Views::default(),
            watch,
            list,
            objects: Mutex::default(),
            hidden: Mutex::default(),
            events: Mutex::default(),
            refused: Mutex::default(),
            refuses_get: AtomicBool::new(false),
            away: AtomicBool::new(false),
            asked: Mutex::default(),
            since: Instant::now(),
        }))
    }

    /// One that grants no watch, so that everybody asks again after 2 s and sees what was changed since.
    pub(crate) fn with(jobs: &[Value], pods: &[Value]) -> Self {
        let server = Self::new(Watch::Refuses(403), 200);
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

    /// There are these as well, whose labels somebody has taken away.
    pub(crate) fn without_labels(&self, resource: &'static str, items: &[Value]) {
        let mut hidden = self.0.hidden.lock().expect("hidden");
        hidden.insert(resource, items.to_vec());
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
        let line =
            |(kind, object): &(&str, &Value)| json!({"type": kind, "object": object}).to_string() + "\n";
        let lines = events.iter().map(line).collect();
        self.0
            .events
            .lock()
            .expect("events")
            .insert(resource.to_owned(), lines);
    }

    /// The view of this server.
    pub(crate) fn view(&self) -> (Namespace, Arc<View>) {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, _) = request.into_parts();
                server.answer(&head.method, &head.uri).await
            }
        });
        let cluster = Cluster {
            client: Arc::new(Client::new(service, "paperclip")),
            default_namespace: "paperclip".to_owned(),
            access: Access::default(),
        };
        let namespace = Namespace::new(&cluster, "paperclip");
        let view = self.0.views.of(&cluster, &namespace, "a=b");
        (namespace, view)
    }

    /// At which seconds it was asked for Jobs.
    pub(crate) fn times(&self, verb: &str) -> Vec<u64> {
        let asked = self.0.asked.lock().expect("asked");
        let of_verb = asked.iter().filter(|(asked, _)| *asked == verb);
        of_verb.map(|(_, at)| at.as_secs()).collect()
    }

    async fn answer(&self, method: &http::Method, uri: &http::Uri) -> io::Result<Response<Said>> {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let resource = if path.contains("/jobs") { "jobs" } else { "pods" };
        let is_watch = query.contains("watch=true");
        if resource == "jobs" {
            let verb = if is_watch { "watch" } else { "list" };
            self.0
                .asked
                .lock()
                .expect("asked")
                .push((verb, self.0.since.elapsed()));
        }
        if self.0.away.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if *self.0.refused.lock().expect("refused") == Some(resource) {
            return Ok(status(403));
        }
        if method == http::Method::POST {
            let made = json!({"metadata": {"name": "job", "uid": "uid"}});
            return Ok(Response::new(Said::Text(made.to_string())));
        }
        if is_watch {
            return Ok(self.watched(resource).await);
        }
        Ok(match path.split(&format!("/{resource}/")).nth(1) {
            Some(_) if self.0.refuses_get.load(Ordering::SeqCst) => status(403),
            Some(name) => self.found(resource, name),
            None => self.listed(resource, query.contains("fieldSelector=")),
        })
    }

    async fn watched(&self, resource: &str) -> Response<Said> {
        if let Some(events) = self.0.events.lock().expect("events").remove(resource) {
            return Response::new(Said::Then(events));
        }
        match self.0.watch {
            Watch::Refuses(code) => status(code),
            Watch::Closes => Response::new(Said::Nothing),
            Watch::IsSilent => Response::new(Said::NothingYet),
            Watch::LosesEvents => Response::new(Said::bookmarks(5)),
            Watch::Hangs => std::future::pending().await,
        }
    }

    fn found(&self, resource: &str, name: &str) -> Response<Said> {
        let items = self.items(resource, true);
        let found = items.into_iter().find(|item| item["metadata"]["name"] == name);
        found.map_or_else(|| status(404), |item| Response::new(Said::Text(item.to_string())))
    }

    fn listed(&self, resource: &str, by_name: bool) -> Response<Said> {
        if self.0.list != 200 {
            return status(self.0.list);
        }
        let items = self.items(resource, by_name);
        let list =
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items});
        Response::new(Said::Text(list.to_string()))
    }

    fn items(&self, resource: &str, by_name: bool) -> Vec<Value> {
        let objects = self.0.objects.lock().expect("objects");
        let mut items = objects.get(resource).cloned().unwrap_or_default();
        if by_name {
            let hidden = self.0.hidden.lock().expect("hidden");
            items.extend(hidden.get(resource).into_iter().flatten().cloned());
        }
        items
    }
}
