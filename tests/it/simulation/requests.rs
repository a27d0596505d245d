//! Requests of servers to the API server, and what can become of them: refused, lost before or after they were carried
//! out, late, never answered; watches that break, fall silent or are out of date.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body::{Body as HttpBody, Frame};
use kube::Client;
use kube::client::Body;
use opencode_k8s::cluster::{Access, Cluster};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::World;
use super::api::{Refusal, selected};
use super::dice::Dice;

/// The body of an answer.
pub(crate) enum Answer {
    Whole(Option<Bytes>),
    Stream(mpsc::UnboundedReceiver<Bytes>),
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }
}

fn answer(code: u16, body: &Value) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(body.to_string().into())));
    *response.status_mut() = code.try_into().unwrap();
    response
}

fn refused(code: u16) -> Response<Answer> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        _ => "Other",
    };
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "simulated"}),
    )
}

/// Verb and resource, as a Role names them.
fn kind_of(method: &Method, uri: &Uri) -> String {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces").unwrap_or(0);
    let resource = parts.get(at + 2).copied().unwrap_or("namespaces");
    let is_watch = uri.query().is_some_and(|query| query.contains("watch=true"));
    let verb = match (method.as_str(), parts.get(at + 3)) {
        ("GET", None) if resource == "namespaces" => "get",
        ("GET", None) if is_watch => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        _ => "delete",
    };
    format!("{verb} {resource}")
}

/// A client of one server. When that is dead, nothing of it is answered any more.
pub(crate) fn cluster(world: &Arc<World>, server: &str, alive: Arc<AtomicBool>) -> Cluster {
    let (world, server) = (world.clone(), server.to_owned());
    let dice = Arc::new(std::sync::Mutex::new(Dice::of(
        world.plan.seed,
        &format!("requests of {server}"),
    )));
    let service = tower::service_fn(move |request: Request<Body>| {
        let line = Line {
            world: world.clone(),
            server: server.clone(),
            alive: alive.clone(),
            dice: dice.clone(),
        };
        async move { line.carry(request).await }
    });
    Cluster {
        client: Arc::new(Client::new(service, "paperclip")),
        default_namespace: "paperclip".to_owned(),
        access: Access::default(),
    }
}

struct Line {
    world: Arc<World>,
    server: String,
    alive: Arc<AtomicBool>,
    dice: Arc<std::sync::Mutex<Dice>>,
}

impl Line {
    fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock().unwrap())
    }

    async fn dies_here(&self) {
        if !self.alive.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    async fn carry(self, request: Request<Body>) -> io::Result<Response<Answer>> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(io::Error::other)?;
        self.dies_here().await;
        let faults = self.world.api_faults();
        let what = format!("{} {} {}", self.server, head.method, head.uri);
        sleep(self.draw(|dice| dice.millis(1, 40))).await;
        if self.world.hangs(&kind_of(&head.method, &head.uri)) {
            return std::future::pending().await;
        }
        if self.world.api_is_away() {
            if self.draw(|dice| dice.once_in(3)) {
                self.world.story.tell(format!("api hangs: {what}"));
                sleep(Duration::from_secs(60)).await;
            }
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.draw(|dice| dice.permille(faults.refuses)) {
            let code = self.draw(|dice| *dice.pick(&[500, 503, 429, 504]));
            self.world.story.tell(format!("api refuses {code}: {what}"));
            return Ok(refused(code));
        }
        if self.draw(|dice| dice.permille(faults.late)) {
            sleep(self.draw(|dice| dice.millis(100, 8_000))).await;
        }
        let is_read = head.method == Method::GET;
        if self.draw(|dice| dice.permille(faults.hangs)) {
            let before = self.draw(|dice| dice.once_in(2));
            if !before && !is_read {
                let _ = self.handle(&head.method, &head.uri, &body).await;
            }
            self.world.story.tell(format!(
                "api hangs ({}): {what}",
                if before { "before" } else { "after" }
            ));
            sleep(Duration::from_secs(120)).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        let answered = self.handle(&head.method, &head.uri, &body).await;
        if !is_read {
            self.world
                .story
                .tell(format!("api {}: {what}", answered.status().as_u16()));
        }
        if self.draw(|dice| dice.permille(faults.loses)) {
            self.world.story.tell(format!("api loses the answer: {what}"));
            let is_reset = self.draw(|dice| dice.once_in(2));
            return if is_reset {
                Err(io::ErrorKind::ConnectionReset.into())
            } else {
                Ok(refused(504))
            };
        }
        if self.draw(|dice| dice.permille(faults.late)) {
            sleep(self.draw(|dice| dice.millis(100, 8_000))).await;
        }
        self.dies_here().await;
        Ok(answered)
    }

    async fn handle(&self, method: &Method, uri: &Uri, body: &[u8]) -> Response<Answer> {
        let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let at = parts.iter().position(|part| *part == "namespaces").unwrap_or(0);
        let (resource, name) = (parts.get(at + 2).copied(), parts.get(at + 3).copied());
        let resource = match resource {
            None => {
                return answer(
                    200,
                    &json!({"metadata": {"name": "paperclip", "uid": "cluster-1"}}),
                );
            }
            Some("jobs") => "jobs",
            Some("pods") => "pods",
            Some("secrets") => "secrets",
            Some(_) => return refused(404),
        };
        let query = |wanted: &str| {
            let query = uri.query().unwrap_or_default();
            let pair = query
                .split('&')
                .find_map(|pair| pair.strip_prefix(&format!("{wanted}=")));
            pair.unwrap_or_default()
                .replace("%3D", "=")
                .replace("%2C", ",")
                .replace("%2F", "/")
        };
        let api = &self.world.api;
        match (method.as_str(), name) {
            ("GET", Some(_)) if resource == "jobs" && self.world.plan.get_job_is_forbidden => refused(403),
            ("GET", Some(name)) => api
                .get(resource, name)
                .map_or_else(|| refused(404), |it| answer(200, &it)),
            ("GET", None) if query("watch") == "true" => {
                let version = query("resourceVersion").parse().unwrap_or(0);
                self.watch(resource, query("labelSelector"), version)
            }
            ("GET", None) => {
                let (version, mut items) = api.list(resource);
                items.retain(|item| selected(item, &query("labelSelector")));
                let version = json!({"resourceVersion": version.to_string()});
                answer(
                    200,
                    &json!({"kind": "List", "apiVersion": "v1", "metadata": version, "items": items}),
                )
            }
            ("POST", None) => match api.create(resource, serde_json::from_slice(body).unwrap()) {
                Ok(made) => answer(201, &made),
                Err(_) => refused(409),
            },
            ("DELETE", Some(name)) => {
                let options: Value = serde_json::from_slice(body).unwrap_or_default();
                let uid = options["preconditions"]["uid"].as_str();
                if resource == "jobs" && self.world.plan.has_finalizers && !self.world.is_healed() {
                    return self.delete_later(name, uid);
                }
                match api.remove(resource, name, uid) {
                    Ok(gone) => answer(200, &gone),
                    Err(Refusal::OtherUid) => refused(409),
                    Err(_) => refused(404),
                }
            }
            _ => refused(405),
        }
    }

    /// A Job that something holds is there for a while, marked.
    fn delete_later(&self, name: &str, uid: Option<&str>) -> Response<Answer> {
        let Some(job) = self.world.api.get("jobs", name) else {
            return refused(404);
        };
        let own = job["metadata"]["uid"].as_str().unwrap().to_owned();
        if uid.is_some_and(|uid| uid != own) {
            return refused(409);
        }
        let (world, name, stamp) = (self.world.clone(), name.to_owned(), self.world.api.stamp());
        let held = self.draw(|dice| dice.millis(100, 60_000));
        if job["metadata"]["deletionTimestamp"].is_null() {
            world.api.update("jobs", &name, &own, |job| {
                job["metadata"]["deletionTimestamp"] = json!(stamp)
            });
            tokio::spawn(async move {
                sleep(held).await;
                let _ = world.api.remove("jobs", &name, Some(&own));
            });
        }
        answer(200, &job)
    }

    fn watch(&self, resource: &'static str, selector: String, version: u64) -> Response<Answer> {
        let faults = self.world.api_faults();
        if self.world.plan.watch_is_forbidden {
            return refused(403);
        }
        if version < self.world.api.version().saturating_sub(faults.remembers) {
            return refused(410);
        }
        let (sender, pieces) = mpsc::unbounded_channel();
        let (world, alive) = (self.world.clone(), self.alive.clone());
        let mut dice = self.draw(|dice| Dice::of(dice.next(), "watch"));
        let breaks = dice.permille(faults.breaks_watches).then(|| dice.seconds(0, 120));
        let silent = dice
            .permille(faults.silences_watches)
            .then(|| dice.seconds(0, 120));
        let lag = if dice.permille(faults.lags_watches) {
            dice.millis(100, 20_000)
        } else {
            Duration::from_millis(2)
        };
        tokio::spawn(async move {
            let begun = Instant::now();
            let end = begun + breaks.unwrap_or(Duration::from_secs(290));
            let (mut version, mut changed) = (version, world.api.changed());
            while Instant::now() < end && alive.load(Ordering::SeqCst) {
                if world.api_is_away() {
                    return;
                }
                let changes = world.api.changes_after(resource, version);
                if !changes.is_empty() {
                    sleep(lag).await;
                }
                for change in changes {
                    version = change.version;
                    let line = json!({"type": change.kind, "object": change.object}).to_string() + "\n";
                    let is_silent = silent.is_some_and(|after| begun.elapsed() >= after);
                    if selected(&change.object, &selector) && !is_silent && sender.send(line.into()).is_err()
                    {
                        return;
                    }
                }
                tokio::select! {
                    _ = changed.changed() => {}
                    () = sender.closed() => return,
                    () = sleep(Duration::from_secs(5)) => {}
                    () = sleep_until(end) => {}
                }
            }
        });
        Response::new(Answer::Stream(pieces))
    }
}
