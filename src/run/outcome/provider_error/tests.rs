//! What providers say, kind by kind.

use super::*;

fn error(status: Option<u16>, message: &str) -> RunError {
    RunError {
        name: "APIError".to_owned(),
        message: message.to_owned(),
        status,
        ..RunError::default()
    }
}

#[track_caller]
fn check(kind_wanted: Kind, cases: &[(u16, &str)]) {
    for (status, message) in cases {
        let status = Some(*status).filter(|status| *status > 0);
        assert_eq!(
            kind(&error(status, message)),
            Some(kind_wanted),
            "{status:?} {message}"
        );
    }
}

#[test]
fn quotas() {
    check(
        Kind::Quota,
        &[
            (402, "This request needs a higher balance"),
            (400, "Your credit balance is too low"),
            (401, "No payment method. Add one at https://example.net/billing"),
            (401, "Insufficient balance. Manage your billing"),
            (403, "Key limit exceeded (total limit)"),
            (403, "Your new team does not have any credits or licenses yet"),
            (
                429,
                "You exceeded your current quota, please check your plan and billing details",
            ),
            (
                429,
                "Your team has used all available credits or reached its monthly spending limit",
            ),
            (
                429,
                "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more",
            ),
            (
                429,
                "Insufficient balance or no resource package. Please recharge.",
            ),
            (429, "Too Many Requests: quota exceeded"),
            (
                429,
                r#"{"type":"usage_limit_reached","message":"The usage limit has been reached"}"#,
            ),
            (400, "Budget has been exceeded! Current cost: 2, Max budget: 1"),
            (
                400,
                "Access denied, please make sure your account is in good standing: Arrearage",
            ),
            (403, "This API method requires billing to be enabled"),
        ],
    );
}

#[test]
fn rate_limits() {
    check(
        Kind::RateLimited,
        &[
            (429, "slow down"),
            (
                429,
                "Rate limit reached on requests per min (RPM). Add a payment method at https://example.net/billing",
            ),
            (
                429,
                "Quota exceeded for metric free_tier_requests, limit: 15, per minute. Please retry in 31.2s.",
            ),
            (
                429,
                "Resource has been exhausted (e.g. check quota). Please try again in a moment, RESOURCE_EXHAUSTED",
            ),
            (
                429,
                "Rate limit reached on tokens per day (TPD): please try again in 7m12s. Upgrade at https://example.net/billing",
            ),
            (
                429,
                "No deployments available for selected model. Try again in 60 seconds",
            ),
            (403, "You have exceeded a secondary rate limit"),
            (
                400,
                "ThrottlingException: Too many tokens, please wait before trying again.",
            ),
            (0, "Rate limit exceeded"),
        ],
    );
}

#[test]
fn refused_histories() {
    check(
        Kind::History,
        &[
            (
                400,
                "messages.12: `tool_use` ids were found without `tool_result` blocks",
            ),
            (
                400,
                "messages.1.content.0: Invalid `signature` in `thinking` block",
            ),
            (
                400,
                "all messages must have non-empty content except for the last one",
            ),
            (400, "This model does not support assistant message prefill."),
            (
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages",
            ),
            (400, "No tool output found for function call call_1."),
            (
                400,
                "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
            ),
            (
                404,
                "Item with id 'rs_1' not found. Items are not persisted when `store` is false",
            ),
            (400, "The encrypted content abc could not be verified"),
            (
                400,
                "Please ensure that function call turn comes immediately after a user turn",
            ),
            (
                400,
                "Function call is missing a thought_signature in functionCall parts",
            ),
            (
                400,
                "thinking is enabled but reasoning_content is missing at index 5",
            ),
            (
                400,
                "The text field in the ContentBlock object at messages.1.content.0 is blank.",
            ),
            (422, "Invalid value: input[3].content"),
            (
                400,
                "messages.40.content.1.image.source.base64: image exceeds 5 MB maximum",
            ),
            (400, "Could not process image"),
        ],
    );
}

#[test]
fn models() {
    check(
        Kind::NoModel,
        &[
            (
                404,
                "The model `x` does not exist or you do not have access to it.",
            ),
            (403, "Project p does not have access to model x"),
            (400, "The requested model is not supported."),
            (400, "The provided model identifier is invalid."),
            (400, "x is not a valid model ID"),
            (404, "No endpoints found for x."),
            (404, "The API deployment for this resource does not exist."),
            (404, "model 'x' not found, try pulling it first"),
            (400, "Invalid model name passed in model=x. Call `/v1/models`"),
            (410, "The model x has been decommissioned"),
            (401, "ModelError: Model x not supported"),
        ],
    );
}

#[test]
fn credentials() {
    check(
        Kind::Auth,
        &[
            (401, "Unauthorized"),
            (403, "The security token included in the request is expired"),
            (
                400,
                "API key not valid. Please pass a valid API key. API_KEY_INVALID",
            ),
            (
                0,
                "OpenAI API key is missing. Pass it using the 'apiKey' parameter",
            ),
            (0, "Could not load credentials from any providers"),
            (0, "Token refresh failed: 400"),
        ],
    );
}

#[test]
fn overflows_and_filters() {
    check(
        Kind::Overflow,
        &[
            (413, "Request too large"),
            (
                400,
                "input length and `max_tokens` exceed context limit: 1 + 2 > 3",
            ),
            (
                400,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ),
            (400, "prompt token count of 129923 exceeds the limit of 128000"),
            (400, "the request exceeds the available context size"),
            (400, "This model's maximum prompt length is 131072"),
            (0, "Input is too long for requested model."),
        ],
    );
    check(
        Kind::Filtered,
        &[
            (400, "triggering the content management policy"),
            (403, "x requires moderation. Your input was flagged"),
            (400, "Content Exists Risk"),
            (
                400,
                "The request was rejected because it was considered high risk",
            ),
            (400, "Input data may contain inappropriate content."),
        ],
    );
}

#[test]
fn providers_that_are_away() {
    check(
        Kind::Away,
        &[
            (500, "oops"),
            (529, "Overloaded"),
            (429, "engine_overloaded_error"),
            (408, "Timeout"),
            (0, "Unable to connect. Is the computer able to access the url?"),
            (0, "read ECONNRESET"),
            (200, "ECONNRESET: The socket connection was closed unexpectedly"),
        ],
    );
    check(
        Kind::Misconfigured,
        &[
            (0, "self signed certificate in certificate chain"),
            (0, "unknown certificate verification error"),
            (407, "Proxy Authentication Required"),
            (403, "<!DOCTYPE html><title>Blocked</title>"),
        ],
    );
}

#[test]
fn other_refusals_keep_the_session() {
    check(
        Kind::Rejected,
        &[
            (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model.",
            ),
            (400, "tools.0.custom.input_schema: JSON schema is invalid"),
            (400, "\"auto\" tool choice requires --enable-auto-tool-choice"),
            (400, "Invalid schema for function 'x'"),
            (400, "`temperature` may only be set to 1"),
            (403, "Country, region, or territory not supported"),
            (422, "no"),
        ],
    );
}

#[test]
fn what_is_no_providers_failure() {
    for message in [
        "ENOENT: no such file",
        "MCP error -32000: Connection closed",
        "SQLite: unable to open a connection",
        "Tool call failed",
        "The plugin could not connect: timeout",
    ] {
        let error = RunError {
            name: "UnknownError".to_owned(),
            ..error(None, message)
        };
        assert_eq!(kind(&error), None, "{message}");
    }
}
