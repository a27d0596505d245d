//! Makes JavaScript strings of text, each in the cheapest way that V8 has for it.

use napi::bindgen_prelude::{Either, Either3, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, JsString, JsStringLatin1, JsStringUtf16};

use crate::tail::line_collector::Part;
use crate::tail::text_buffers;

/// A JavaScript string that is a copy of the text.
pub type CopiedString = Either<JsString<'static>, String>;
/// A JavaScript string that shares the memory of the text, where the host can do that.
pub type SharedString = Either3<JsStringLatin1<'static>, JsStringUtf16<'static>, String>;

/// Shorter text is cheaper to copy than to share.
const MIN_SHARED_UNITS: usize = 16 << 10;

/// A text for JavaScript.
pub struct OutgoingText {
    text: String,
    is_ascii: bool,
}

impl OutgoingText {
    /// On any thread.
    #[must_use]
    pub fn new(text: String, is_ascii: bool) -> Self {
        Self { text, is_ascii }
    }
}

/// Makes strings of one JavaScript environment, on its thread.
#[derive(Clone, Copy)]
pub struct StringFactory {
    env: &'static Env,
    shares: bool,
}

impl StringFactory {
    /// Tries now whether this host can share text: a text that it refused later would be lost.
    #[must_use]
    pub fn of(env: Env) -> Self {
        // Strings refer to their environment as long as it lives; one pointer per environment is never freed.
        let env: &'static Env = Box::leak(Box::new(env));
        let shares = JsStringLatin1::from_data(env, vec![b'-'; MIN_SHARED_UNITS]).is_ok();
        Self { env, shares }
    }

    /// A string for a short life: V8 frees shared text late.
    pub fn short_lived(self, text: OutgoingText) -> CopiedString {
        if text.is_ascii
            && let Ok(string) = self.env.create_string_latin1(text.text.as_bytes())
        {
            text_buffers::give_back(text.text);
            return Either::A(string);
        }
        Either::B(text.text)
    }

    /// A string for a long life.
    ///
    /// # Errors
    /// When V8 has no room for it.
    pub fn long_lived(self, part: Part) -> napi::Result<SharedString> {
        match part {
            Part::Ascii(bytes) if self.shares && bytes.len() >= MIN_SHARED_UNITS => {
                JsStringLatin1::from_data(self.env, bytes).map(Either3::A)
            }
            Part::Utf16(units) if self.shares && units.len() >= MIN_SHARED_UNITS => {
                JsStringUtf16::from_data(self.env, units).map(Either3::B)
            }
            Part::Ascii(bytes) => Ok(Either3::C(String::from_utf8_lossy(&bytes).into_owned())),
            Part::Utf16(units) => Ok(Either3::C(String::from_utf16_lossy(&units))),
        }
    }
}

/// A function that gives a text to a callback in JavaScript, from any thread. It does not keep the process alive. A
/// text that JavaScript does not take is lost: then its environment is ending.
///
/// # Errors
/// When the environment is ending already.
pub fn sink_of(
    strings: StringFactory,
    sink: Function<'_, CopiedString, ()>,
) -> napi::Result<impl Fn(OutgoingText) + Send + Sync + 'static> {
    let sink = sink
        .build_threadsafe_function::<OutgoingText>()
        .callee_handled::<false>()
        .weak::<true>()
        .build_callback(move |context| Ok(strings.short_lived(context.value)))?;
    Ok(move |text| {
        let _ = sink.call(text, ThreadsafeFunctionCallMode::NonBlocking);
    })
}

/// Text of JavaScript. Half characters become U+FFFD. V8's own conversion takes three times as long. It goes by pieces:
/// memory for the longest text that there could be would cost more than the conversion.
#[must_use]
pub fn utf8_of(text: &[u16]) -> String {
    const PIECE_BYTES: usize = 16 << 10;
    let mut utf8 = String::with_capacity(text.len() + text.len() / 8);
    let mut piece = "\0".repeat(PIECE_BYTES);
    let mut rest = text;
    while !rest.is_empty() {
        let (read, written) = encoding_rs::mem::convert_utf16_to_str_partial(rest, &mut piece);
        utf8.push_str(piece.get(..written).unwrap_or_default());
        rest = rest.get(read..).unwrap_or_default();
    }
    utf8
}

/// Whether a text of JavaScript has no half characters, of which [`utf8_of`] has made `utf8`. V8's own look takes longer
/// than all of the conversion, and so does one here: it is only needed where something was replaced, or might have been.
#[must_use]
pub fn is_well_formed(text: &[u16], utf8: &str) -> bool {
    memchr::memmem::find(utf8.as_bytes(), "\u{fffd}".as_bytes()).is_none()
        || encoding_rs::mem::utf16_valid_up_to(text) == text.len()
}

/// Length in UTF-16 units, as JavaScript counts. Sets `is_ascii` to false when the text is not all ASCII.
#[must_use]
pub fn units(text: &str, is_ascii: &mut bool) -> usize {
    // Counting is slow, and most logs are ASCII.
    if text.is_ascii() {
        text.len()
    } else {
        *is_ascii = false;
        text.encode_utf16().count()
    }
}
