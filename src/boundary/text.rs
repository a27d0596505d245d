//! Text on its way to JavaScript: long text goes without a copy.

use napi::bindgen_prelude::Either;
use napi::{Env, JsStringLatin1};

/// What becomes a JavaScript string.
pub type JsText = Either<JsStringLatin1<'static>, String>;

/// Shorter text is copied sooner than shared.
const LEAST: usize = 16 << 10;

/// A text that is complete.
pub struct Text {
    text: String,
    /// One byte is one character: then V8 can read it where it is.
    plain: bool,
}

impl Text {
    /// Any thread can do this.
    #[must_use]
    pub fn new(text: String) -> Self {
        let plain = text.len() >= LEAST && text.is_ascii();
        Self { text, plain }
    }
}

/// Makes strings of one JavaScript environment.
#[derive(Clone, Copy)]
pub struct Texts {
    env: &'static Env,
    shares: bool,
}

impl Texts {
    /// Tries whether this host can share text: what it refuses later is lost.
    #[must_use]
    pub fn of(env: Env) -> Self {
        // Strings name their environment for as long as it lives; one word for each is never given back.
        let env: &'static Env = Box::leak(Box::new(env));
        let shares = JsStringLatin1::from_data(env, vec![b'-'; LEAST]).is_ok();
        Self { env, shares }
    }

    /// The JavaScript string; to be called on its thread. V8 frees what it shares.
    pub fn string(self, text: Text) -> JsText {
        if !(self.shares && text.plain) {
            return Either::B(text.text);
        }
        match JsStringLatin1::from_data(self.env, text.text.into_bytes()) {
            Ok(shared) => Either::A(shared),
            Err(_) => Either::B(String::new()),
        }
    }
}

/// Length in UTF-16 units, as JavaScript counts.
#[must_use]
pub fn units(text: &str) -> usize {
    // Counting is slow, and most logs are ASCII.
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}
