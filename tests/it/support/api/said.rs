//! Bodies of answers.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame};
use serde_json::json;
use tokio::time::{Sleep, sleep};

/// The body of an answer.
pub(crate) enum Said {
    Text(String),
    /// This, and nothing more for ever.
    Then(String),
    Nothing,
    NothingYet,
    /// So many bookmarks, one a minute, and then the end.
    Bookmarks(u32, Pin<Box<Sleep>>),
}

impl Said {
    pub(crate) fn bookmarks(count: u32) -> Self {
        Self::Bookmarks(count, Box::pin(sleep(Duration::from_secs(60))))
    }
}

impl HttpBody for Said {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = |text: String| Poll::Ready(Some(Ok(Frame::data(text.into()))));
        let (next, now) = match std::mem::replace(&mut *self, Said::Nothing) {
            Said::Text(text) => (Said::Nothing, frame(text)),
            Said::Then(text) => (Said::NothingYet, frame(text)),
            Said::Nothing => (Said::Nothing, Poll::Ready(None)),
            Said::NothingYet => (Said::NothingYet, Poll::Pending),
            Said::Bookmarks(0, _) => (Said::Nothing, Poll::Ready(None)),
            Said::Bookmarks(left, mut next) => match next.as_mut().poll(context) {
                Poll::Pending => (Said::Bookmarks(left, next), Poll::Pending),
                Poll::Ready(()) => {
                    let mark = json!({"type": "BOOKMARK", "object": {"kind": "Job", "apiVersion": "batch/v1",
                        "metadata": {"resourceVersion": "8"}}});
                    (Said::bookmarks(left - 1), frame(mark.to_string() + "\n"))
                }
            },
        };
        *self = next;
        now
    }
}

/// A refusal.
pub(crate) fn status(code: u16) -> Response<Said> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "R", "message": "m"});
    let mut response = Response::new(Said::Text(body.to_string()));
    *response.status_mut() = code.try_into().expect("a status");
    response
}
