//! Which folders of the shared volume can be one agent's own, by where the host and this adapter put things. Pure.

use crate::config::Run;

/// Whether a folder, named from the volume's root, can be shown to the agent of this run alone: none that holds the
/// folders of several agents or companies, none of another's, none of the server's. What the host has no word for below
/// an instance counts as the server's. Elsewhere a folder is what the operator made it.
pub(crate) fn may_be_own(folder: &str, run: &Run) -> bool {
    let parts: Vec<&str> = folder.split('/').collect();
    // What a path with these leads to is known only where it is walked.
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return false;
    }
    match parts.as_slice() {
        // A host without PAPERCLIP_HOME has its home in a hidden folder of HOME.
        ["instances", _, place @ ..] | [".paperclip", "instances", _, place @ ..] => {
            may_be_own_of_instance(place, run)
        }
        ["instances" | "adapter-plugins", ..] => false,
        // HOME of the server and of agents that see all of the volume: logins, keys, configurations.
        [first, ..] => !first.starts_with('.'),
        [] => false,
    }
}

fn may_be_own_of_instance(place: &[&str], run: &Run) -> bool {
    match place {
        ["workspaces", _, ..] => true,
        ["projects", company, _, ..] | ["companies", company, _, _, ..] | ["agent-homes", company, ..] => {
            *company == run.company_id
        }
        ["run-logs" | "opencode-db", company, agent, ..] => {
            *company == run.company_id && *agent == run.agent_id
        }
        _ => false,
    }
}
