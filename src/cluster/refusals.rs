//! Who refuses a request, told from the status and the API server's words: what is wrong in words that fit a list, and
//! what a person can do. Pure.

use std::borrow::Cow;

pub(super) const NOT_GRANTED: &str = "Not granted to the server";
pub(super) const CREDENTIALS_REFUSED: &str = "Credentials refused";
pub(super) const TOO_LARGE: &str = "Request too large";
/// Somebody else changes the object, or a quota, in the same moment; or one of its name is still being removed; or the
/// quota is so new that nobody knows what is used of it.
pub(super) const CONTENDED: [&str; 3] = [
    "Changed by others meanwhile",
    "Still being deleted",
    "Quota not counted yet",
];
/// Behind these words stands the name of the ValidatingAdmissionPolicy that refuses.
const POLICY: &str = "ValidatingAdmissionPolicy '";
/// How much of a policy's name is shown in front.
const POLICY_CHARS: usize = 19;

/// A kind of refusal.
struct Row {
    /// With which HTTP status; `None` for any.
    status: Option<u16>,
    /// One of these is in the API server's words; none for any words.
    words: &'static [&'static str],
    /// What is wrong.
    what: &'static str,
    /// What a person can do.
    to_do: &'static str,
    command: Command,
}

/// What an operator can paste to mend it, or to see what is to be mended.
#[derive(Clone, Copy)]
enum Command {
    /// Nothing of the cluster's own is to be mended.
    None,
    /// Lead, and what follows `kubectl -n NAMESPACE`; `{namespace}` stands for that one.
    Plain(&'static str, &'static str),
    /// The same, where `{name}` is the name that stands behind the first text.
    Named(&'static str, &'static str, &'static str),
    /// Explains the field that the API server names.
    Explain,
}

const fn row(
    status: Option<u16>,
    words: &'static [&'static str],
    what: &'static str,
    to_do: &'static str,
    command: Command,
) -> Row {
    Row {
        status,
        words,
        what,
        to_do,
        command,
    }
}

const INVALID: &str = "Refused as invalid";
const CORRECT: &str = ". Correct the adapter configuration of the agent";
const WEBHOOKS: Command = Command::Plain(
    "These webhooks are there",
    "get validatingwebhookconfigurations,mutatingwebhookconfigurations",
);
const POLICY_ADVICE: &str =
    ". A policy of the cluster refuses it: change the agent's configuration, or ask whoever runs the policy";
const POLICY_COMMAND: Command = Command::Named(
    "See the policy",
    POLICY,
    "get validatingadmissionpolicy {name} -o yaml",
);

/// Who refuses by which words. The first row that fits decides.
#[rustfmt::skip]
const REFUSALS: [Row; 28] = [
    row(None, &["does not support dry run"], "Webhook takes no dry run",
        ". A webhook of the cluster is not declared free of side effects: nothing can be tried, and runs may work",
        WEBHOOKS),
    row(None, &["admission webhook"], "Refused by a webhook",
        ". A webhook of the cluster refuses it: change the agent's configuration, or ask whoever runs the webhook",
        WEBHOOKS),
    row(None, &["failed calling webhook"], "Webhook cannot be asked",
        ". A webhook of the cluster does not answer, and nothing is taken without it: ask whoever runs it", WEBHOOKS),
    row(Some(403), &["status unknown for quota"], CONTENDED[2],
        ". The namespace's quota is new, and the cluster has not counted what is used of it: try again later",
        Command::Plain("See what it has counted", "describe quota")),
    row(Some(403), &["failed quota"], "Quota wants a limit",
        ". The namespace's quota counts a resource that the pod does not state: set it on the agent's page, for the init \
         container as well, or give the namespace defaults by a LimitRange",
        Command::Named("See what it counts", "failed quota: ", "describe quota {name}")),
    row(Some(403), &["insufficient quota to match"], "No quota for this priority",
        ". Change *Priority class* on the agent's page, or give the namespace a quota with this scope",
        Command::Plain("These are there", "describe quota")),
    row(Some(403), &["quota"], "Quota exceeded",
        ". Free some of the namespace's quota, raise it, or lower the agent's resources",
        Command::Named("See what is used of it", " quota: ", "describe quota {name}")),
    // `violates PodSecurity "restricted"` it refuses, `would violate …` it warns.
    row(Some(403), &["PodSecurity \"restricted"], "Refused by Pod Security",
        ". Allow such pods in the namespace (pod-security.kubernetes.io/enforce)",
        Command::Plain("Change what it names in the agent's settings, or allow such pods in the namespace",
            "label --overwrite namespace {namespace} pod-security.kubernetes.io/enforce=baseline")),
    row(Some(403), &["PodSecurity \""], "Refused by Pod Security",
        ". Allow such pods in the namespace (pod-security.kubernetes.io/enforce)",
        Command::Plain("Change what it names in the agent's settings, or allow such pods in the namespace",
            "label --overwrite namespace {namespace} pod-security.kubernetes.io/enforce=privileged")),
    row(Some(403), &["PodSecurityPolicy: unable to admit pod", "against any pod security policy"],
        "Refused by Pod Security",
        ". No PodSecurityPolicy that the account of the agents' pods may use takes them: grant it the use of one",
        Command::Plain("These are there", "get podsecuritypolicy")),
    row(Some(403), &["against any security context constraint"], "Refused by Pod Security",
        ". No constraint that the agents' account may use takes their pods: leave *Run as user* empty, or grant one",
        Command::Plain("These are there", "get securitycontextconstraints")),
    row(Some(403), &["being terminated"], "Namespace is being deleted",
        ". Wait until it is gone and create it again, or correct `namespace` in the agent's configuration",
        Command::Plain("See whether it is gone", "get namespace {namespace}")),
    row(Some(403), &[" usage per ", "limit to request ratio per "], "Refused by a LimitRange",
        ". Set the agent's resources within the limits of the namespace's LimitRange",
        Command::Plain("See its limits", "describe limitrange")),
    row(Some(403), &["looking up service account"], "Service account not found",
        ". Create it, or correct `serviceAccountName` in the agent's configuration",
        Command::Named("This creates it", "serviceaccount \"", "create serviceaccount {name}")),
    row(Some(403), &["does not reference that "], "Account allows not that Secret",
        ". The account of the agents' pods allows only what it lists: add it there, or correct `serviceAccountName`",
        Command::Named("Add it there", "because service account ", "edit serviceaccount {name}")),
    row(Some(403), &["no PriorityClass with name"], "Priority class not found",
        ". Create it, or correct `priorityClassName` in the agent's configuration",
        Command::Plain("These are there", "get priorityclass")),
    row(Some(403), &["RuntimeClass \""], "Runtime class not found",
        ". Create it, or correct `runtimeClassName` in the agent's configuration",
        Command::Plain("These are there", "get runtimeclass")),
    row(Some(403), &[" cannot "], NOT_GRANTED, ". Grant this verb in the Role of the server's service account",
        Command::None),
    row(Some(403), &[], "Refused by the cluster",
        ". A policy of the cluster refuses it: change the agent's configuration, or ask whoever runs the cluster",
        Command::Plain("What the cluster says of the namespace may name it", "describe namespace {namespace}")),
    row(Some(401), &[], CREDENTIALS_REFUSED,
        ". The server's credentials are missing or expired: look at its service account or kubeconfig", Command::None),
    row(Some(404), &["namespaces"], "Namespace not found",
        ". Create the namespace, or correct `namespace` in the agent's configuration",
        Command::Plain("This creates it", "create namespace {namespace}")),
    row(Some(404), &[], "Not found", "", Command::None),
    row(Some(409), &["has been modified"], CONTENDED[0],
        ". Others change the same object, or the namespace's quota, all the time: try again later", Command::None),
    row(Some(409), &["is being deleted"], CONTENDED[1],
        ". Something holds an object of that name, such as a finalizer: look at what is to remove it", Command::None),
    row(Some(409), &[], "Exists already", ". An object of that name exists already: delete it if no run needs it",
        Command::None),
    row(Some(429), &[], "API server too busy", ". The API server is too busy: try again later", Command::None),
    row(Some(400), &[], INVALID, CORRECT, Command::Explain),
    row(Some(422), &[], INVALID, CORRECT, Command::Explain),
];

/// What is wrong, in at most 30 characters, and what a person can do. A policy's own words win over the status: it may
/// answer with any.
pub(super) fn refusal(code: u16, message: &str) -> (Cow<'static, str>, &'static str) {
    if let Some(policy) = name_after(message, POLICY) {
        let named: String = policy.chars().take(POLICY_CHARS).collect();
        return (Cow::Owned(format!("Refused by {named}")), POLICY_ADVICE);
    }
    if code == 413 || message.contains("request is too large") {
        return (
            Cow::Borrowed(TOO_LARGE),
            ". The API server takes no Job of this size: shorten the prompt, or the agent's `env`",
        );
    }
    match row_of(code, message) {
        Some(row) => (Cow::Borrowed(row.what), row.to_do),
        None if code >= 500 => (
            Cow::Borrowed("API server in trouble"),
            ". The API server or a webhook of the cluster is in trouble: look at its logs",
        ),
        None => (Cow::Borrowed("Request refused"), ""),
    }
}

/// A command to paste that mends what refuses an object in this namespace, or shows what is to be mended, behind words
/// that say which; nothing where no command does.
pub(super) fn command(code: u16, message: &str, namespace: &str) -> Option<String> {
    let command = match name_after(message, POLICY) {
        Some(_) => POLICY_COMMAND,
        None => row_of(code, message)?.command,
    };
    let (lead, arguments) = match command {
        Command::None => return None,
        Command::Plain(lead, arguments) => (lead, arguments.replace("{namespace}", namespace)),
        Command::Named(lead, before, arguments) => {
            (lead, arguments.replace("{name}", name_after(message, before)?))
        }
        Command::Explain => ("What the field may be", format!("explain {}", field(message)?)),
    };
    Some(format!("{lead}: kubectl -n {namespace} {arguments}"))
}

fn row_of(code: u16, message: &str) -> Option<&'static Row> {
    let says = |row: &Row| row.words.is_empty() || row.words.iter().any(|words| message.contains(words));
    let is_of = |row: &&Row| row.status.is_none_or(|status| status == code) && says(row);
    REFUSALS.iter().find(is_of)
}

/// The name of an object behind this text: the message is of others, and the name goes into a command.
fn name_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, named) = message.split_once(before)?;
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let name = named.split(|c| !is_of_name(c)).next()?.trim_matches(['-', '.']);
    (!name.is_empty()).then_some(name)
}

/// The field of a pod that the API server names, as `kubectl explain` takes it: `job.spec.template.spec.tolerations`.
/// Of one that is unknown it is what it stands in.
fn field(message: &str) -> Option<String> {
    let (kind, root) = [("job", "spec.template.spec."), ("pod", "spec.")]
        .into_iter()
        .find(|(_, root)| message.contains(root))?;
    let (before, rest) = message.split_once(root)?;
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || ".[]".contains(c);
    let path = rest.split(|c| !is_of_path(c)).next()?.trim_end_matches('.');
    let mut names: Vec<&str> = path
        .split('.')
        .map(|part| part.split('[').next().unwrap_or_default())
        .collect();
    if before.trim_end_matches('"').ends_with("unknown field ") {
        names.pop();
    }
    let names = std::iter::once(root.trim_end_matches('.'))
        .chain(names)
        .filter(|name| !name.is_empty());
    Some(format!("{kind}.{}", names.collect::<Vec<_>>().join(".")))
}

#[cfg(test)]
mod tests;
