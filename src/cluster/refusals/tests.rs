use super::*;

#[test]
fn every_refusal_says_what_to_do() {
    let cases = [
        (
            403,
            "pods \"x\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1",
            "quota, raise it",
        ),
        (
            403,
            "jobs.batch \"x\" is forbidden: status unknown for quota: q, resources: count/jobs.batch",
            "try again later",
        ),
        (
            403,
            "pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: opencode",
            "set it on the agent's page",
        ),
        (
            403,
            "pods \"x\" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [high]}]",
            "*Priority class*",
        ),
        (
            403,
            "pods \"x\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            "LimitRange",
        ),
        (
            403,
            "pods \"x\" is forbidden: violates PodSecurity \"restricted\"",
            "Allow such pods",
        ),
        (
            403,
            "User \"u\" cannot create resource \"jobs\"",
            "Grant this verb",
        ),
        (
            400,
            "admission webhook \"w\" denied the request: no",
            "whoever runs the webhook",
        ),
        (
            422,
            "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'no-agents-on-sundays-please' with binding 'b' denied \
             request: failed expression: false",
            "whoever runs the policy",
        ),
        (
            403,
            "unable to create new content in namespace n because it is being terminated",
            "Wait until",
        ),
        (
            403,
            "pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
            "LimitRange",
        ),
        (
            413,
            "Request entity too large: limit is 3145728",
            "shorten the prompt",
        ),
        (500, "etcdserver: request is too large", "shorten the prompt"),
        (401, "Unauthorized", "credentials"),
        (404, "namespaces \"n\" not found", "Create the namespace"),
        (409, "jobs.batch \"x\" already exists", "delete it"),
        (
            409,
            "resourcequotas \"q\": the object has been modified; please apply your changes",
            "try again later",
        ),
        (
            409,
            "object is being deleted: jobs.batch \"x\" already exists",
            "finalizer",
        ),
        (
            422,
            "Job.batch \"x\" is invalid: spec",
            "Correct the adapter configuration",
        ),
        (503, "apiserver is shutting down", "look at its logs"),
        (
            500,
            "Internal error occurred: failed calling webhook \"x.example.com\": Post \"https://127.0.0.1:1/x?timeout=2s\": \
             dial tcp 127.0.0.1:1: connect: connection refused",
            "whoever runs it",
        ),
    ];
    for (code, message, expected) in cases {
        let (what, advice) = refusal(code, message);
        assert!(advice.contains(expected), "{code} {message}: {advice}");
        assert!(what.chars().count() <= 30, "{what}");
        let names_role = advice.contains("Role");
        assert_eq!(
            names_role,
            message.contains("cannot"),
            "only a verb is granted by a Role: {message}"
        );
    }
}

/// What real API servers say, and what is to be pasted then: a status and words, below it the command.
const WORDS: &str = include_str!("../../../fixtures/refusals.txt");

#[test]
fn the_api_servers_own_words_lead_to_the_command_that_mends_it() {
    let lines: Vec<&str> = WORDS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let mut told = 0;
    for case in lines.chunks(2) {
        let [said, wanted] = case else {
            panic!("no command below {case:?}")
        };
        let (code, message) = said.split_once(' ').expect("a status");
        let code = code.parse().expect("a number");
        let (what, _) = refusal(code, message);
        assert!(what.chars().count() <= 30, "{what}");
        assert_eq!(
            command(code, message, "n").as_deref(),
            Some(wanted.trim()),
            "{said}"
        );
        told += 1;
    }
    assert!(told > 20, "{told}");
}

#[test]
fn no_word_of_others_goes_into_a_command_but_a_name() {
    for (code, message) in [
        (
            403,
            "error looking up service account n/x: serviceaccount \"$(reboot)\" not found",
        ),
        (403, "exceeded quota: ; reboot, requested"),
        (
            422,
            "Job.batch \"x\" is invalid: metadata.labels: Invalid value: \"`reboot`\"",
        ),
        (403, "User \"u\" cannot create resource \"jobs\""),
        (401, "Unauthorized"),
        (503, "apiserver is shutting down"),
    ] {
        assert_eq!(command(code, message, "n"), None, "{message}");
    }
    let tail = "spec.template.spec.x;reboot: no";
    assert_eq!(
        command(422, tail, "n").as_deref(),
        Some("What the field may be: kubectl -n n explain job.spec.template.spec.x")
    );
}
