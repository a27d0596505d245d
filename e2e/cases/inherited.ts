/** What an agent has of the server's own pod, which is deployed as charts, operators and webhooks do it. */
import { PRINTED } from "../provider/scripts.js";
import { describe, type Stage } from "../stage.js";

/** As the agent prints it. What only the server can use is left out. */
const WANTED = [
  "NODE_OPTIONS=--max-old-space-size=900",
  "no DB_PASSWORD",
  "no DATABASE_URL",
  "AWS_REGION=eu-west-1",
  "no AWS_ROLE_ARN",
  "no AWS_WEB_IDENTITY_TOKEN_FILE",
  "COMPANY_CA=/etc/corp-ca/company.pem",
  "NO_PROXY=.svc,10.0.0.0/8",
  "no CACHE_DIR",
  "no ALL_DATABASE_URL",
  "file /etc/corp-ca/company.pem",
  "file /etc/agents/npmrc",
  "no /var/run/secrets/eks.amazonaws.com",
  "no /otel-auto",
];

export async function inherited(stage: Stage): Promise<void> {
  if (!stage.server)
    return stage.skip("the server's environment", "inherited", "not made: the server's pod is not ours");
  const worker = await stage.company.putToWork("Heir", "prints-environment");
  await stage.check(
    "what an agent has of the server's pod",
    "what works in a pod of its own, and one line on the rest",
    async () => {
      const { run, stdout, stderr } = await stage.ended(worker.runId);
      const missing = WANTED.filter((line) => !stdout.includes(`${PRINTED} ${line}`));
      const said = stderr.split("\n").filter((line) => line.includes("Not taken over"));
      const lines = `${said.length} lines: ${said.join(" ")}`;
      const seen = `${describe(run)}; missing: ${missing.join(", ") || "nothing"}; ${lines}`;
      return { seen, ok: run.status === "succeeded" && missing.length === 0 && said.length === 1 };
    },
  );
  await stage.check("the server's secrets", "in no line of the agent's", async () => {
    const { stdout } = await stage.ended(worker.runId);
    return { seen: stdout.includes("the.database") ? "printed" : "none", ok: !stdout.includes("the.database") };
  });
}
