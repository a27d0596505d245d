//! The error codes a finished run can have. They leave the process: written out, never derived.

/// The issue was cancelled.
pub const CANCELLED: &str = "cancelled";
/// The deadline passed.
pub const TIMEOUT: &str = "timeout";
/// opencode does not know the session it was to resume; the next run starts a new one.
pub const SESSION_UNAVAILABLE: &str = "session_unavailable";
/// The model answered with nothing.
pub const LLM_API_ERROR: &str = "llm_api_error";
/// Output is missing: not all bytes of the log could be read, or opencode stopped inside a line.
pub const LOG_INCOMPLETE: &str = "k8s_log_incomplete";
/// The log went over `maxLogBytes` and the pod ended opencode.
pub const LOG_TOO_LARGE: &str = "k8s_log_too_large";
/// The conversation no longer fits the model's context and compaction did not help.
pub const CONTEXT_OVERFLOW: &str = "context_overflow";
/// A tool asked for a permission and nobody was there to give it; opencode ends such a run without an answer.
pub const PERMISSION_REJECTED: &str = "permission_rejected";
/// The provider refused the credentials (401, 403, `ProviderAuthError`).
pub const PROVIDER_AUTH: &str = "provider_auth";
/// The provider says the quota or the credit is used up.
pub const PROVIDER_QUOTA: &str = "provider_quota";
/// The provider's rate limit outlasted opencode's retries (429).
pub const PROVIDER_RATE_LIMITED: &str = "provider_rate_limited";
/// The provider failed or could not be reached, after opencode's retries (5xx, connection errors).
pub const PROVIDER_UNAVAILABLE: &str = "provider_unavailable";
/// The provider refused the request for another reason (400, 404, 422, …).
pub const PROVIDER_REJECTED_REQUEST: &str = "provider_rejected_request";
/// The provider's stream broke inside a chunk.
pub const STREAM_EOF: &str = "stream_eof_transient";
/// opencode crashed on a malformed item of the provider's stream.
pub const RESPONSE_TYPE_CRASH: &str = "opencode_response_type_crash";
/// opencode or the provider does not know the model.
pub const MODEL_NOT_FOUND: &str = "model_not_found";
/// The provider's content filter blocked the answer.
pub const CONTENT_FILTERED: &str = "content_filtered";
/// opencode ended before it did anything: bad option, bad configuration, database, empty prompt.
pub const START_FAILED: &str = "opencode_start_failed";
/// A disk or a quota is full: of the shared volume, or of the pod.
pub const DISK_FULL: &str = "disk_full";
/// opencode was ended from outside (signal, out of memory, eviction) before the agent was done.
pub const KILLED: &str = "opencode_killed";
/// Any other failure of opencode.
pub const OPENCODE_ERROR: &str = "opencode_error";
/// Nothing proves how the run ended; unknown is never success.
pub const UNKNOWN_OUTCOME: &str = "unknown_outcome";
