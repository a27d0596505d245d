//! Why a container waits, in the words of the kubelet and of what pulls and makes containers for it: whether that
//! passes by itself. Pure.

/// Reasons that say all.
const PERMANENT: [&str; 3] = [
    "InvalidImageName",
    "ErrImageNeverPull",
    "SignatureValidationFailed",
];

/// In a message about an image: it is not there, or not for us, whoever asks again. Containerd, CRI-O and Docker.
const IMAGE: [&str; 16] = [
    "not found",
    "manifest unknown",
    "name unknown",
    "does not exist",
    "no image found in",
    "no matching manifest",
    "401 unauthorized",
    "403 forbidden",
    "unauthorized: ",
    "authentication required",
    "authorization failed",
    "no basic auth credentials",
    "denied: ",
    "access denied",
    "is denied",
    "invalid reference format",
];

/// In a message about a container's configuration. The Job's own Secret, which is made after the Job, is none of
/// these: it is a volume, and a pod whose volumes are not there waits with `ContainerCreating`.
const CONFIGURATION: [&str; 4] = [
    "not found",
    "couldn't find key",
    "has runasnonroot",
    "breaks non-root policy",
];

/// In a message about a container that could not be made.
const CREATION: [&str; 2] = ["no command specified", "executable file not found"];

/// What passes, whatever else the message says: limits, time that ran out, a pull secret that somebody renews, and what
/// a node has lost of an image while it collects garbage.
const PASSING: [&str; 12] = [
    "too many requests",
    "toomanyrequests",
    "timeout",
    "timed out",
    "deadline exceeded",
    "unavailable",
    "token has expired",
    "content digest",
    "parent snapshot",
    "snapshotter",
    "extraction snapshot",
    "lease \"",
];

/// Whether a container that waits for this reason needs somebody's help. What nobody knows passes: its limit is the
/// start's.
#[must_use]
pub(super) fn is_permanent(reason: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let permanent: &[&str] = match reason {
        _ if PERMANENT.contains(&reason) => return true,
        "ErrImagePull" | "ImagePullBackOff" => &IMAGE,
        "CreateContainerConfigError" => &CONFIGURATION,
        "CreateContainerError" | "RunContainerError" => &CREATION,
        _ => return false,
    };
    says(permanent) && !says(&PASSING)
}

/// Whether the reason only says that the container's turn has not come.
#[must_use]
pub(super) fn is_turn_to_come(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing" | "")
}

/// Whether the reason says no more than that, or only that the image is tried again later.
#[must_use]
pub(super) fn is_silent(reason: &str, message: &str) -> bool {
    // An older kubelet does not repeat why.
    is_turn_to_come(reason) || (reason == "ImagePullBackOff" && !message.contains("\": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the kubelet, containerd, CRI-O and Docker say it.
    const WORDS: [(bool, &str, &str); 42] = [
        // Permanent.
        (
            true,
            "InvalidImageName",
            "Failed to apply default image tag \"Agent:1\": couldn't parse image name \"Agent:1\": invalid reference format: repository name must be lowercase",
        ),
        (
            true,
            "ErrImageNeverPull",
            "Container image \"agent:1\" is not present with pull policy of Never",
        ),
        (
            true,
            "SignatureValidationFailed",
            "image pull failed for agent:1 because the signature validation failed",
        ),
        (
            true,
            "ErrImagePull",
            "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/agent:1\": failed to resolve reference \"docker.io/library/agent:1\": docker.io/library/agent:1: not found",
        ),
        (
            true,
            "ErrImagePull",
            "failed to pull and unpack image \"docker.io/library/agent:1\": failed to resolve reference \"docker.io/library/agent:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
        ),
        (
            true,
            "ErrImagePull",
            "failed to resolve reference \"r.example/agent:1\": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://r.example/token: 401 Unauthorized",
        ),
        (
            true,
            "ErrImagePull",
            "failed to resolve reference \"r.example/agent:1\": failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 403 Forbidden",
        ),
        (
            true,
            "ErrImagePull",
            "rpc error: code = Unknown desc = reading manifest 1 in docker.io/library/agent: manifest unknown",
        ),
        (
            true,
            "ErrImagePull",
            "initializing source docker://agent:1: reading manifest 1 in docker.io/library/agent: requested access to the resource is denied",
        ),
        (
            true,
            "ErrImagePull",
            "choosing image instance: no image found in image index for architecture \"arm64\", variant \"v8\", OS \"linux\"",
        ),
        (
            true,
            "ErrImagePull",
            "failed to pull and unpack image \"r.example/agent:1\": no match for platform in manifest: not found",
        ),
        (
            true,
            "ErrImagePull",
            "Error response from daemon: manifest for agent:1 not found: manifest unknown: manifest unknown",
        ),
        (
            true,
            "ErrImagePull",
            "Error response from daemon: unauthorized: authentication required",
        ),
        (
            true,
            "ErrImagePull",
            "Error response from daemon: Head \"https://r.example/v2/agent/manifests/1\": no basic auth credentials",
        ),
        (
            true,
            "ErrImagePull",
            "error pulling image configuration: denied: unauthenticated: User cannot be authenticated with the token provided.",
        ),
        (
            true,
            "ImagePullBackOff",
            "Back-off pulling image \"agent:1\": ErrImagePull: failed to resolve reference \"docker.io/library/agent:1\": docker.io/library/agent:1: not found",
        ),
        (true, "CreateContainerConfigError", "secret \"keys\" not found"),
        (
            true,
            "CreateContainerConfigError",
            "configmap \"settings\" not found",
        ),
        (
            true,
            "CreateContainerConfigError",
            "couldn't find key token in Secret paperclip/keys",
        ),
        (
            true,
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"p\", container: opencode)",
        ),
        (
            true,
            "CreateContainerConfigError",
            "container's runAsUser breaks non-root policy (pod: \"p\", container: opencode)",
        ),
        (
            true,
            "CreateContainerError",
            "Error response from daemon: No command specified",
        ),
        // Passing.
        (false, "ErrImagePull", "pull QPS exceeded"),
        (
            false,
            "ErrImagePull",
            "failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/agent/manifests/sha256:8d0b: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.",
        ),
        (
            false,
            "ErrImagePull",
            "denied: too many requests, try again later",
        ),
        (
            false,
            "ErrImagePull",
            "failed to do request: Head \"https://r.example/v2/agent/manifests/1\": dial tcp 192.0.2.1:443: i/o timeout",
        ),
        (
            false,
            "ErrImagePull",
            "failed to do request: Head \"https://r.example/v2/agent/manifests/1\": dial tcp: lookup r.example on 10.0.0.10:53: no such host",
        ),
        (
            false,
            "ErrImagePull",
            "failed to do request: Head \"https://r.example/v2/agent/manifests/1\": net/http: TLS handshake timeout",
        ),
        (
            false,
            "ErrImagePull",
            "dial tcp 192.0.2.1:443: connect: connection refused",
        ),
        (
            false,
            "ErrImagePull",
            "failed to authorize: failed to fetch anonymous token: Get \"https://auth.docker.io/token\": EOF",
        ),
        (
            false,
            "ErrImagePull",
            "unexpected status from HEAD request to https://r.example/v2/agent/manifests/1: 503 Service Unavailable",
        ),
        (
            false,
            "ErrImagePull",
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        ),
        (
            false,
            "ErrImagePull",
            "failed to extract layer sha256:8d0b: failed to get reader from content store: content digest sha256:8d0b: not found",
        ),
        (
            false,
            "ErrImagePull",
            "failed to extract layer sha256:8d0b: failed to prepare extraction snapshot \"extract-1 sha256:8d0b\": parent snapshot sha256:8d0b does not exist: not found",
        ),
        (
            false,
            "ErrImagePull",
            "failed to pull and unpack image \"r.example/agent:1\": lease \"123-abc\": not found",
        ),
        (
            false,
            "ErrImagePull",
            "failed to resolve reference \"r.example/agent:1\": unexpected status from HEAD request: 403 Forbidden: denied: Your authorization token has expired. Reauthenticate and try again.",
        ),
        (false, "ImagePullBackOff", "Back-off pulling image \"agent:1\""),
        (
            false,
            "RegistryUnavailable",
            "image pull failed for agent:1 because the registry is unavailable.",
        ),
        (
            false,
            "CreateContainerConfigError",
            "failed to sync secret cache: timed out waiting for the condition",
        ),
        (false, "CreateContainerError", "context deadline exceeded"),
        (
            false,
            "CreateContainerError",
            "failed to reserve container name \"opencode_p_ns_0\": name \"opencode_p_ns_0\" is reserved for \"d6fc\"",
        ),
        (false, "ContainerCreating", ""),
    ];

    #[test]
    fn only_what_needs_help_is_permanent() {
        for (permanent, reason, message) in WORDS {
            assert_eq!(is_permanent(reason, message), permanent, "{reason}: {message}");
        }
    }

    #[test]
    fn a_bare_back_off_says_nothing_new() {
        let silent = |message: &str| is_silent("ImagePullBackOff", message);
        assert!(silent("Back-off pulling image \"agent:1\""));
        assert!(!silent(
            "Back-off pulling image \"agent:1\": ErrImagePull: pull QPS exceeded"
        ));
        assert!(!is_silent("ErrImagePull", "pull QPS exceeded"));
    }
}
