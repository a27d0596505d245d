//! The `code` of an error that JavaScript sees.

use std::borrow::Cow;

use napi::Status;

/// A code that JavaScript may match on.
#[derive(Debug, Clone)]
pub struct Code(Cow<'static, str>);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Status> for Code {
    fn from(status: Status) -> Self {
        Self(Cow::Owned(status.as_ref().to_owned()))
    }
}

/// An error with this code and message.
pub fn error(code: &'static str, message: impl ToString) -> napi::Error<Code> {
    napi::Error::new(Code(Cow::Borrowed(code)), message.to_string())
}

/// Bad input: the same code as napi's own conversions give.
pub fn invalid(message: impl ToString) -> napi::Error<Code> {
    error("InvalidArg", message)
}
