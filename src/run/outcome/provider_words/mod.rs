//! The words by which providers name a failure: codes first, then what they say. Lower case, without links.

mod history;
mod limits;
mod network;
mod refusals;

pub(super) use history::{
    BAD_CALL, HISTORY, HISTORY_ALONE, HISTORY_OF_CONNECTION, HISTORY_OF_SDK, ITEM_IS_GONE, NOT_HISTORY,
    NOT_THE_INPUT, OUTPUT_TOO_LONG, OVERFLOW, SYSTEM_PROMPT, TEMPLATE, TOO_LONG,
};
pub(super) use limits::{IS_GONE, MONEY, NOT_SPENT, QUOTA, SPENT, TOO_FAST};
pub(super) use network::{
    AWAY, AWAY_OF_REQUEST, AWAY_OF_SERVER, BROKEN_STREAM, ELSEWHERE, MISCONFIGURED, NAMED_LIKE_ONE,
};
pub(super) use refusals::{
    CAPABILITY, FILTERED, KEY_REFUSED, MODEL_IS, NO_LOGIN, NO_MODEL, NOT_FILTERED, NOT_FROM_HERE,
    REFUSED_LOGIN,
};
