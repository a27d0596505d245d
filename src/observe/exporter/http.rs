//! Answers `GET` and `HEAD` of `/metrics`. A request is one small head, a connection one request; the rest is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Render;

/// Connections at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 4;
/// Bytes of a request's head.
const MAX_HEAD: usize = 4_096;
/// How long a client may take for its request, and for the answer.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);
/// The wait after a connection could not be taken: the process has no file left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// What stands between the head of a message and its body.
const HEAD_END: &str = "\r\n\r\n";

/// Answers for ever.
pub(super) async fn serve(listener: TcpListener, render: Render) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let render = render.clone();
        tokio::spawn(async move {
            answer(stream, &render).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, render: &Render) {
    let Ok(Some(head)) = timeout(CLIENT_LIMIT, read_head(&mut stream)).await else {
        return;
    };
    let answer = answer_to(&head, render);
    let written = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // Whoever does not take its answer does without.
    let _ = timeout(CLIENT_LIMIT, written).await;
}

/// The head of a request, or as much as may be read of one; `None` when the client went.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(MAX_HEAD);
    while head.len() < MAX_HEAD && !is_whole(&head) {
        let mut buffer = [0; 1_024];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(buffer.get(..read)?);
    }
    Some(head)
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(HEAD_END.len())
        .any(|part| part == HEAD_END.as_bytes())
}

fn answer_to(head: &[u8], render: &Render) -> String {
    if !is_whole(head) {
        return refusal("431 Request Header Fields Too Large", "");
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words.as_slice() else {
        return refusal("400 Bad Request", "");
    };
    let mut answer = match (*method, target.split('?').next()) {
        ("GET" | "HEAD", Some("/metrics")) => with_body(
            "200 OK",
            "text/plain; version=0.0.4; charset=utf-8",
            "",
            &render(),
        ),
        (_, Some("/metrics")) => refusal("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
        _ => refusal("404 Not Found", ""),
    };
    // A client that asked for the head takes whatever follows it for the next answer.
    if *method == "HEAD" {
        answer.truncate(answer.find(HEAD_END).map_or(0, |at| at + HEAD_END.len()));
    }
    answer
}

fn refusal(status: &str, more: &str) -> String {
    with_body(status, "text/plain; charset=utf-8", more, &format!("{status}\n"))
}

fn with_body(status: &str, kind: &str, more: &str, body: &str) -> String {
    let bytes = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\n{more}Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Render {
        Arc::new(|| "a 1\n".to_owned())
    }

    #[test]
    fn only_get_metrics_is_answered() {
        let status = |head: &str| {
            let answer = answer_to(head.as_bytes(), &text());
            answer.split(' ').nth(1).map(str::to_owned).unwrap_or_default()
        };
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "200");
        assert_eq!(status("GET /metrics?a=b HTTP/1.0\r\n\r\n"), "200");
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("GET /metrics/x HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status("GET /metrics HTTP/2\r\n\r\n"), "400");
        assert_eq!(status("GET  /metrics HTTP/1.1\r\n\r\n"), "400");
        assert_eq!(status("\0\r\n\r\n"), "400");
        assert_eq!(status(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(5_000))), "431");
        let answer = answer_to(b"GET /metrics HTTP/1.1\r\n\r\n", &text());
        assert!(
            answer.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\na 1\n"),
            "{answer}"
        );
    }

    #[test]
    fn head_is_answered_as_get_is_and_without_the_body() {
        let of = |head: &str| answer_to(head.as_bytes(), &text());
        for target in ["/metrics", "/"] {
            let whole = of(&format!("GET {target} HTTP/1.1\r\n\r\n"));
            let (head, _) = whole.split_once("\r\n\r\n").expect("a head");
            assert_eq!(
                of(&format!("HEAD {target} HTTP/1.1\r\n\r\n")),
                format!("{head}\r\n\r\n")
            );
        }
    }

    #[tokio::test]
    async fn clients_that_say_nothing_do_not_keep_others_from_an_answer_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let serving = tokio::spawn(serve(listener, text()));
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            silent.push(TcpStream::connect(address).await.expect("connected"));
        }
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\n")
            .await
            .expect("written");
        stream.write_all(b"Host: x\r\n\r\n").await.expect("written");
        // They are given up by a limit of real time: sooner, when they go.
        drop(silent);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na 1\n"),
            "{answer}"
        );
        serving.abort();
    }
}
