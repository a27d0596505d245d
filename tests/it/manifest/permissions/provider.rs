//! A scripted model: every request gets the next list of tool calls, and at last a text.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// Tool calls of one answer: name and arguments.
pub(crate) type Calls = Vec<(&'static str, Value)>;

pub(crate) struct Provider {
    port: u16,
}

impl Provider {
    /// Listens until the test ends.
    pub(crate) fn start(answers: Vec<Calls>) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming().flatten() {
                // opencode asks one thing at a time; helper requests (a title) come without tools.
                answer(stream, &mut answers);
            }
        });
        Provider { port }
    }

    /// The `provider` part of opencode's configuration.
    pub(crate) fn config(&self) -> Value {
        json!({"fake": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Fake",
            "options": {"baseURL": format!("http://127.0.0.1:{}/v1", self.port), "apiKey": "k"},
            "models": {"x": {"name": "X", "limit": {"context": 200_000, "output": 8000}}},
        }})
    }
}

fn answer(stream: TcpStream, answers: &mut impl Iterator<Item = Calls>) {
    let Some(request) = body(&stream) else { return };
    let next = if request["tools"].is_array() {
        answers.next()
    } else {
        None
    };
    let (delta, reason) = match next {
        Some(calls) => (json!({"tool_calls": listed(&calls)}), "tool_calls"),
        None => (json!({"content": "end"}), "stop"),
    };
    let mut text = String::new();
    for (delta, reason) in [(delta, Value::Null), (json!({}), json!(reason))] {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [choice]});
        text.push_str(&format!("data: {chunk}\n\n"));
    }
    text.push_str("data: [DONE]\n\n");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n";
    let mut stream = stream;
    // Whoever has gone away needs no answer.
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len());
}

fn listed(calls: &Calls) -> Vec<Value> {
    let numbered = calls.iter().enumerate();
    numbered
        .map(|(index, (name, arguments))| {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function})
        })
        .collect()
}

/// The JSON body of a request; none when the connection has none.
fn body(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
