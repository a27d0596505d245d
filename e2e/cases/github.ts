/**
 * An agent of a company with a GitHub connection. The connection and its grant stand in Paperclip's database as its own
 * OAuth would have left them; github.com and its API are a stand-in; the rest is Paperclip's own.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import type { PaperclipServer } from "../host/server.js";
import { GITHUB, REMOTE_COMMIT } from "../host/github.js";
import type { Company } from "../paperclip/company.js";
import { PRINTED } from "../provider/scripts.js";
import { describe, type Stage } from "../stage.js";

const WHAT = "git and gh with a company's GitHub connection";

export async function github(stage: Stage): Promise<void> {
  const { company, options, server, gitHub } = stage;
  if (!server) return stage.skip(WHAT, "work as the company's", "not made: the server's database is not ours");
  writeFileSync(join(options.dataRoot, "github.crt"), gitHub.ca);
  const env = { GITHUB_TUNNEL: `http://${options.podHost}:${options.port}` };
  const agentId = await company.hire("Committer", "commits", { env });
  await connect(server, company, agentId);
  const worker = await company.assign("Committer", agentId);
  await stage.check(WHAT, "commit, push and login are the company's, and github.com gives its branches", async () => {
    const { run, stdout } = await stage.ended(worker.runId);
    const missing = new RegExp(`${PRINTED} no (git|gh)`).exec(stdout)?.[1];
    if (missing) return { seen: `not made: the agents' image has no ${missing}`, ok: null };
    const email = `${GITHUB.userId}+${GITHUB.login}@users.noreply.github.com`;
    const pushed = `${PRINTED} pushed by ${GITHUB.login} <${email}>, ${GITHUB.login}`;
    const wanted = [pushed, `Logged in to github.com as ${GITHUB.login}`, REMOTE_COMMIT];
    const seen = wanted.filter((text) => stdout.includes(text));
    const isWhole = run.status === "succeeded" && seen.length === wanted.length;
    return { seen: [describe(run), ...seen].join("; "), ok: isWhole };
  });
  await stage.check("its token", "in no line of the run", async () => {
    const { stdout, stderr } = await stage.ended(worker.runId);
    const isShown = (stdout + stderr).includes(GITHUB.token);
    return { seen: isShown ? "printed" : "none", ok: !isShown };
  });
}

/** What Paperclip has of a company's GitHub once a person has agreed at github.com: here for one agent. */
async function connect(server: PaperclipServer, company: Company, agentId: string): Promise<void> {
  const secret = { name: "github of the agent", key: "github-of-the-agent", value: GITHUB.token };
  const { id: secretId } = await company.api.post<{ id: string }>(`/api/companies/${company.id}/secrets`, secret);
  const database = server.database();
  try {
    const company_id = company.id;
    const application_id = await database.insert("tool_applications", { company_id, name: "GitHub", type: "mcp_http" });
    const connection_id = await database.insert("tool_connections", {
      ...{ company_id, application_id, name: "GitHub", uid: "github", transport: "mcp_remote", auth_kind: "oauth" },
      ...{ credential_policy: "per_agent", status: "active", enabled: true, health_status: "ok" },
      config: { sourceTemplateKey: "github", url: "https://api.githubcopilot.com/mcp/" },
    });
    const target = { target_type: "agent", target_id: agentId };
    await database.insert("tool_connection_installs", { company_id, connection_id, ...target });
    const { userId, login } = GITHUB;
    await database.insert("connection_grants", {
      ...{ company_id, connection_id, kind: "agent", subject_agent_id: agentId, status: "active" },
      provider_tenant: { github: { userId, login, installationCount: 1, repositoryCount: 1 } },
      credential_secret_refs: [{ configPath: "oauth.access_token", secretId, versionSelector: "latest" }],
    });
  } finally {
    await database.close();
  }
}
