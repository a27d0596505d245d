//! The error codes of a run. They leave the process: written out, never derived. A code is one row; the README's table
//! is made of them.

/// What is said about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The host's `errorCode`.
    pub word: &'static str,
    /// What happened.
    pub happened: &'static str,
    /// What a person does about it; empty for nothing.
    pub to_do: &'static str,
    /// The host's family, where one is honest.
    pub family: Option<&'static str>,
    /// The same run could go better if it is repeated. A judgement that knows better says so itself.
    pub retryable: bool,
}

/// The row of a code; none for a word that is no code of a run.
#[must_use]
pub fn row(word: &str) -> Option<&'static CodeRow> {
    CODES.iter().find(|row| row.word == word)
}

macro_rules! codes {
    ($(
        $name:ident $word:literal:
            $happened:literal;
            $to_do:literal $(=> $family:literal)? $([$retryable:ident])?;
    )*) => {
        $(
            #[doc = concat!("`", $word, "`: ", $happened, ".")]
            pub const $name: &str = $word;
        )*
        /// All codes, in the order of the README.
        pub const CODES: &[CodeRow] = &[$(CodeRow {
            word: $word,
            happened: $happened,
            to_do: $to_do,
            family: codes!(@family $($family)?),
            retryable: codes!(@retryable $($retryable)?),
        },)*];
    };
    (@family) => { None };
    (@family $family:literal) => { Some($family) };
    (@retryable) => { false };
    (@retryable retryable) => { true };
}

codes! {
    INVALID_REQUEST "k8s_invalid_request":
        "the host's request lacks something";
        "the message names it; usually host and adapter do not fit together";
    INVALID_ID "k8s_invalid_id":
        "an id of the host cannot be part of a path";
        "the message names it";
    CONFIG_INVALID "k8s_config_invalid":
        "a field of the agent's settings has a bad value";
        "correct the field that the message names";
    PROMPT_TOO_LARGE "k8s_prompt_too_large":
        "the prompt is larger than a Kubernetes Secret";
        "shorten instructions, skills or the task";
    INTERNAL_ERROR "k8s_internal_error":
        "a fault of the adapter itself";
        "report the message";
    NATIVE_UNAVAILABLE "k8s_native_unavailable":
        "the package of this platform is missing, or the server still runs the former one";
        "install it; restart the server";
    SELF_POD_FAILED "k8s_self_pod_failed":
        "no way to the API server, or the server's own pod cannot be read";
        "set `POD_NAME` and `PAPERCLIP_NAMESPACE`; check account and kubeconfig";
    SHARED_VOLUME_MISSING "k8s_shared_volume_missing":
        "no usable claim at `/paperclip`, or server and pod see different volumes";
        "mount the claim; set `dataRoot`; look at uid and group";
    GUARD_UNREACHABLE "k8s_concurrency_guard_unreachable":
        "it is not known whether another run of the agent is on";
        "look at the API server; nothing was started";
    GUARD_BLOCKED "k8s_concurrent_run_blocked":
        "another run of the agent is still on after `guardWaitSec`";
        "wait, cancel it, or raise the field";
    JOB_CREATE_FAILED "k8s_job_create_failed":
        "Job, Secret or claim was refused";
        "the API's own reason is in the message: quota, admission, rights";
    POD_SCHEDULE_FAILED "k8s_pod_schedule_failed":
        "the pod got no node, or a container could not start";
        "resources, taints, image name, pull secret, claims: the message has the reason";
    OUTAGE "k8s_api_unreachable":
        "the API server was away for `outageTimeoutSec`";
        "the Job is kept; the task's next run takes it over";
    LEASE_LOST "k8s_lease_lost":
        "Paperclip gave the run up without a cancel: its server shuts down, or another one took the run for lost";
        "the Job is kept; resolve the task's recovery action, and its next run takes the Job over";
    LOG_INCOMPLETE "k8s_log_incomplete":
        "the agent ended, and not all of its output could be read";
        "look at the volume; the message says how much is missing" [retryable];
    LOG_TOO_LARGE "k8s_log_too_large":
        "the agent printed more than `maxLogBytes`";
        "raise the field, or make the agent print less";
    CANCELLED "cancelled":
        "cancelled by a person";
        "";
    TIMEOUT "timeout":
        "over `timeoutSec`";
        "raise *Time limit of a run*";
    SILENT "opencode_silent":
        "no output for `silenceTimeoutSec`: opencode was ended";
        "look why the model's provider did not answer, or raise *Silence of a working agent*";
    SESSION_UNAVAILABLE "session_unavailable":
        "opencode does not know the session any more";
        "nothing: the next run starts a new one" [retryable];
    CONTEXT_OVERFLOW "context_overflow":
        "the conversation does not fit into the model";
        "nothing: the next run starts a new session" [retryable];
    PERMISSION_REJECTED "permission_rejected":
        "a tool needed a permission that nobody gave";
        "`dangerouslySkipPermissions`, or a rule in opencode's configuration";
    MODEL_NOT_FOUND "model_not_found":
        "opencode or the provider does not know the model";
        "correct `model`; `opencode models` lists them";
    PROVIDER_AUTH "provider_auth":
        "the provider refused the credentials";
        "check the key in `env`";
    PROVIDER_QUOTA "provider_quota":
        "the provider's quota or credit is used up";
        "top up, then start the task again" => "provider_quota";
    PROVIDER_RATE_LIMITED "provider_rate_limited":
        "the rate limit outlasted opencode's own retries";
        "start the task again; fewer agents at a time" => "transient_upstream" [retryable];
    PROVIDER_UNAVAILABLE "provider_unavailable":
        "the provider failed or could not be reached";
        "network policies, proxies, the provider's status" => "transient_upstream" [retryable];
    PROVIDER_REJECTED_REQUEST "provider_rejected_request":
        "the provider refused the request for another reason";
        "its words are in the message";
    CONTENT_FILTERED "content_filtered":
        "the provider's filter blocked the answer";
        "change the task's words" => "model_refusal";
    LLM_API_ERROR "llm_api_error":
        "the model answered with nothing that can be used";
        "try again; another model" [retryable];
    STREAM_EOF "stream_eof_transient":
        "the provider's stream broke off";
        "try again" => "transient_upstream" [retryable];
    RESPONSE_TYPE_CRASH "opencode_response_type_crash":
        "opencode stumbled over a malformed answer";
        "try again; update opencode" => "transient_upstream" [retryable];
    DISK_FULL "disk_full":
        "the shared volume, its quota or the pod's disk is full";
        "make room";
    START_FAILED "opencode_start_failed":
        "opencode ended before it did anything";
        "`extraArgs`, opencode's configuration, its database";
    KILLED "opencode_killed":
        "opencode was ended from outside: memory, eviction, signal";
        "raise `resources.limits.memory`; see `evictable`" [retryable];
    OPENCODE_ERROR "opencode_error":
        "opencode failed otherwise";
        "its last words are in the message";
    UNKNOWN_OUTCOME "unknown_outcome":
        "nobody knows how the run ended, and unknown is never success";
        "look at the pod's node" [retryable];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_word_and_has_one_row() {
        let mut words: Vec<_> = CODES.iter().map(|row| row.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), CODES.len());
        let is_word = |word: &str| {
            word.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(words.iter().all(|word| is_word(word)));
        assert_eq!(
            row(PROVIDER_QUOTA).and_then(|row| row.family),
            Some("provider_quota")
        );
        assert_eq!(row("GenericFailure"), None);
    }
}
