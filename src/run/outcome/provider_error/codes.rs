//! The codes by which providers name a failure beyond doubt, whatever words and status stand beside them. Lower case.
//! Those that leave something open, such as `invalid_request_error` or `rate_limit_error`, are in none of the lists.

use super::Kind;

/// The kinds in the order in which they are looked for: a gateway may add a code of its own.
pub(super) const CODES: &[(Kind, &[&str])] = &[
    (
        Kind::Overflow,
        &[
            "context_length_exceeded",
            "context_window_exceeded",
            "contextwindowexceedederror",
            "exceed_context_size_error",
            "model_context_window_exceeded",
            "model_max_prompt_tokens_exceeded",
            "request_too_large",
            "string_above_max_length",
        ],
    ),
    (
        Kind::Filtered,
        &[
            "content_filter",
            "content_policy_violation",
            "contentpolicyviolationerror",
            "cyber_policy_violation",
            "data_inspection_failed",
            "datainspectionfailed",
            "policy_violation",
            "prohibited_content",
            "responsibleaipolicyviolation",
            "safety_check_failed",
        ],
    ),
    (
        Kind::Quota,
        &[
            "arrearage",
            "billing_disabled",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "budget_exceeded",
            "budgetexceedederror",
            "creditserror",
            "exceeded_current_quota_error",
            "exceededbudget",
            "exceededtokenbudget",
            "freeusagelimiterror",
            "insufficient_balance",
            "insufficient_credits",
            "insufficient_funds",
            "insufficient_quota",
            "invalid_payment_instrument",
            "monthlylimiterror",
            "payment_required",
            "servicequotaexceededexception",
            "usage_limit_exceeded",
            "usage_limit_reached",
            "usage_not_included",
            "usagelimiterror",
        ],
    ),
    (Kind::BadCall, &["output_parse_failed", "tool_use_failed"]),
    (
        Kind::History,
        &[
            "invalid_encrypted_content",
            "invalid_request_message_order",
            "previous_response_not_found",
        ],
    ),
    (
        Kind::NoModel,
        &[
            "deploymentnotfound",
            "invalid_model",
            "key_model_access_denied",
            "model_decommissioned",
            "model_not_available",
            "model_not_found",
            "model_not_supported",
            "modelerror",
            "modelnotfound",
            "resource_not_found_error",
            "unavailable_model",
            "unknown_model",
            "unsupported_api_for_model",
            "unsupported_model",
        ],
    ),
    (
        Kind::Auth,
        &[
            "access_terminated_error",
            "account_deactivated",
            "api_key_invalid",
            "expiredtoken",
            "expiredtokenexception",
            "invalid_api_key",
            "invalid_client",
            "invalid_grant",
            "invalidsignatureexception",
            "unrecognizedclientexception",
        ],
    ),
];

/// Codes of a provider that is away. They decide where no status does: a server may call any failure of its own one.
pub(super) const AWAY: &[&str] = &[
    "api_error",
    "deadline_exceeded",
    "internal",
    "internal_server_error",
    "internalserverexception",
    "modelstreamerrorexception",
    "modeltimeoutexception",
    "overloaded_error",
    "server_error",
    "service_unavailable",
    "serviceunavailableexception",
    "timeout_error",
    "unavailable",
];

/// Parameters of a request that opencode makes anew from its settings, whatever the conversation holds.
pub(super) const SETTINGS: &[&str] = &[
    "frequency_penalty",
    "function_call",
    "functions",
    "include",
    "instructions",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user",
    "verbosity",
];

/// A parameter is refused as such.
pub(super) const OF_PARAMETER: &[&str] = &[
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
    "unsupportedparamserror",
];

/// Parameters that hold the conversation, message by message.
pub(super) const CONVERSATION: &[&str] = &["messages", "input", "contents"];

/// Codes of a request that the server itself found wrong.
pub(super) const OF_REQUEST: &[&str] = &["badrequesterror", "bad_request", "invalid_request_error"];

/// What clients call the failures of a server behind them.
pub(super) const OF_CLIENT: &[&str] = &[
    "apiconnectionerror",
    "apierror",
    "internalservererror",
    "jsondecodeerror",
    "serviceunavailableerror",
];
