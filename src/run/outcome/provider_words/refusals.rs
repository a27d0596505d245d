//! Words for what a provider refuses: a text, a model, an account.

/// A filter, a guardrail or the model itself refuses what was asked.
pub(in super::super) const FILTERED: &[&str] = &[
    "content_filter",
    "content-filter",
    "content filter",
    "content policy",
    "content management policy",
    "responsible ai",
    "prohibited content",
    "inappropriate content",
    "safety system",
    "safety reasons",
    "usage policy",
    "usage policies",
    "moderation",
    "was flagged",
    "request has been flagged",
    "prompt has been flagged",
    "input has been flagged",
    "content has been flagged",
    "usage guidelines",
    "prompt blocked",
    "blocked by policy",
    "prompt was blocked",
    "guardrail",
    "intervened",
    "new_sensitive",
    "content exists risk",
    "considered high risk",
    "sensitive content",
    "sensitivecontent",
    "敏感内容",
];

/// What has the same words and filters nothing: an account's choice of providers, a machine's memory, a right.
pub(in super::super) const NOT_FILTERED: &[&str] = &[
    "guardrail restrictions and data policy",
    "model loading guardrails",
    "bedrock:applyguardrail",
    "guardrail identifier",
    "guardrail/",
    "call the moderation endpoint",
    "guardrail presidio: cannot connect",
];

/// What a model or a message of it lacks, with words for an unknown model.
pub(in super::super) const CAPABILITY: &[&str] = &[
    "endpoints found that",
    "endpoints that support",
    "input is not supported",
    "tool_use",
    "tool_result",
];

/// A key that is refused, with whatever status.
pub(in super::super) const KEY_REFUSED: &[&str] =
    &["api key not valid", "invalid api key", "incorrect api key"];

/// The model is unknown, gone, or not for this account.
pub(in super::super) const NO_MODEL: &[&str] = &[
    "unknown model",
    "invalid model",
    "deployment for this resource does not exist",
    "not a chat model",
    "no endpoints found",
    "no endpoints available",
    "not a valid model",
    "model identifier is invalid",
    "access to the model",
    "access to model",
    "on-demand throughput",
    "no models loaded",
    "no model is available",
    "try pulling it",
    "model unavailable",
    "is not accessible via",
    "does not work with the specified model",
    "publisher model",
    "failed to load model",
    "allowed to access model",
    "can only access models",
    "no such languagemodel",
    "no deployment matched",
    "unable to access non-serverless",
    "llm provider not provided",
    "模型不存在",
];

/// What is wrong with the model that the same sentence names.
pub(in super::super) const MODEL_IS: &[&str] = &[
    "does not exist",
    "not found",
    "not exist",
    "is not supported",
    "not supported for",
    "not supported when",
    "not available",
    "no longer",
    "deprecated",
    "decommissioned",
    "is disabled",
    "is unavailable in",
];

/// The credentials are missing, wrong or run out, whatever the status.
pub(in super::super) const NO_LOGIN: &[&str] = &[
    "api key not valid",
    "api_key_invalid",
    "invalid api key",
    "invalid_api_key",
    "incorrect api key",
    "api key is missing",
    "missing api key",
    "api key is not set",
    "no api key",
    "loadapikey",
    "authentication_error",
    "authenticationerror",
    "authentication expired",
    "authentication has expired",
    "unauthenticated",
    "unauthorized",
    "permission_denied",
    "credential",
    "sso session",
    "security token",
    "expiredtoken",
    "token has expired",
    "token expired",
    "token is expired",
    "tokenrefresh",
    "token refresh failed",
    "refresh token",
    "refresh_token",
    "accessdenied",
    "no auth",
    "auth login",
    "not logged in",
    "log in again",
    "authenticate again",
    "re-authenticate",
    "reauthenticate",
    "apikey is missing",
    "reauth related",
    "oauth access token",
    "refresh access token",
    "signature expired",
    "unable to authenticate",
    "direct access token",
    "client secret",
];

/// Words of a 4xx other than 401 and 403 that are about the account or its key.
pub(in super::super) const REFUSED_LOGIN: &[&str] = &[
    "api key",
    "apikey",
    "authentication",
    "authorization header",
    "credential",
    "unauthenticated",
    "organization has been disabled",
    "account has been",
    "account is not active",
    "account is disabled",
    "account is suspended",
];

/// The place that the request comes from is refused: no key helps.
pub(in super::super) const NOT_FROM_HERE: &[&str] = &[
    "unsupported_country",
    "country, region",
    "location is not supported",
    "firewall",
    "virtual network",
    "private endpoint",
    "public access is disabled",
];
