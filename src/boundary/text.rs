//! Text on its way to JavaScript, made there in the cheapest way that V8 has for it.

use napi::bindgen_prelude::{Either, Either3, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, JsString, JsStringLatin1, JsStringUtf16};

use crate::tail::collected::Part;

/// What becomes a JavaScript string by a copy.
pub type JsText = Either<JsString<'static>, String>;
/// What becomes a JavaScript string, without a copy where the host can.
pub type JsPart = Either3<JsStringLatin1<'static>, JsStringUtf16<'static>, String>;

/// Shorter text is copied sooner than shared.
const LEAST: usize = 16 << 10;

/// A text that is complete.
pub struct Text {
    text: String,
    /// It is all ASCII.
    plain: bool,
}

impl Text {
    /// Any thread can do this.
    #[must_use]
    pub fn new(text: String, plain: bool) -> Self {
        Self { text, plain }
    }
}

/// Makes strings of one JavaScript environment, on its thread.
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

    /// A text that is soon forgotten: V8 frees shared text late.
    pub fn short_lived(self, text: Text) -> JsText {
        if text.plain
            && let Ok(string) = self.env.create_string_latin1(text.text.as_bytes())
        {
            return Either::A(string);
        }
        Either::B(text.text)
    }

    /// A text that is kept: V8 frees it when nobody refers to it any more.
    ///
    /// # Errors
    /// When V8 has no room for it.
    pub fn long_lived(self, part: Part) -> napi::Result<JsPart> {
        match part {
            Part::Plain(bytes) if self.shares && bytes.len() >= LEAST => {
                JsStringLatin1::from_data(self.env, bytes).map(Either3::A)
            }
            Part::Wide(units) if self.shares && units.len() >= LEAST => {
                JsStringUtf16::from_data(self.env, units).map(Either3::B)
            }
            Part::Plain(bytes) => Ok(Either3::C(String::from_utf8_lossy(&bytes).into_owned())),
            Part::Wide(units) => Ok(Either3::C(String::from_utf16_lossy(&units))),
        }
    }
}

/// A callback of JavaScript's that any thread can give a text. It does not hold the process; what it refuses is lost, and
/// means that its environment is ending.
///
/// # Errors
/// When the environment is ending already.
pub fn sink_of(
    texts: Texts,
    sink: Function<'_, JsText, ()>,
) -> napi::Result<impl Fn(Text) + Send + Sync + 'static> {
    let sink = sink
        .build_threadsafe_function::<Text>()
        .callee_handled::<false>()
        .weak::<true>()
        .build_callback(move |context| Ok(texts.short_lived(context.value)))?;
    Ok(move |text| {
        let _ = sink.call(text, ThreadsafeFunctionCallMode::NonBlocking);
    })
}

/// Length in UTF-16 units, as JavaScript counts. `plain` stays true while all text is ASCII.
#[must_use]
pub fn units(text: &str, plain: &mut bool) -> usize {
    // Counting is slow, and most logs are ASCII.
    if text.is_ascii() {
        text.len()
    } else {
        *plain = false;
        text.encode_utf16().count()
    }
}
