//! A JavaScript callback that takes two words and is awaited, one call at a time.

use futures::future::BoxFuture;
use napi::Either;
use napi::bindgen_prelude::{FnArgs, Function, Promise};
use napi::threadsafe_function::ThreadsafeFunction;

use crate::run::voice::{Host, Kind};

/// What the callback may give back: a promise, or nothing.
type Answer = Either<Promise<()>, ()>;
/// The callback's type in the exported signatures.
pub type Callback<'a> = Function<'a, FnArgs<(String, String)>, Answer>;
type Tsfn<const WEAK: bool> =
    ThreadsafeFunction<FnArgs<(String, String)>, Answer, FnArgs<(String, String)>, napi::Status, false, WEAK>;

/// The callback, callable from any thread.
pub enum Sink {
    /// Holds the process while it exists.
    Strong(Tsfn<false>),
    /// Lets the process end.
    Weak(Tsfn<true>),
}

impl Sink {
    /// Makes the callback callable from any thread.
    pub fn new(callback: &Callback<'_>, holds: bool) -> napi::Result<Self> {
        let builder = callback.build_threadsafe_function();
        Ok(if holds {
            Self::Strong(
                builder
                    .callee_handled::<false>()
                    .weak::<false>()
                    .build_callback(|ctx| Ok(ctx.value))?,
            )
        } else {
            Self::Weak(
                builder
                    .callee_handled::<false>()
                    .weak::<true>()
                    .build_callback(|ctx| Ok(ctx.value))?,
            )
        })
    }

    /// Calls it and waits for its promise. A throw or a rejection is an `Err`.
    pub async fn call(&self, kind: &str, payload: String) -> Result<(), String> {
        let arguments = FnArgs::from((kind.to_owned(), payload));
        // call_async_catch: with call_async a synchronous throw would end the process.
        let answer = match self {
            Self::Strong(function) => function.call_async_catch(arguments).await,
            Self::Weak(function) => function.call_async_catch(arguments).await,
        };
        match answer.map_err(|error| error.reason.clone())? {
            Either::A(promise) => promise.await.map_err(|error| error.reason.clone()),
            Either::B(()) => Ok(()),
        }
    }
}

impl Host for Sink {
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.call(kind.as_str(), payload))
    }
}
