/** The scripted models: each is named after what happens to its agent. */
import type { Reply, Script } from "./reply.js";

/** A line that a long run prints in each of its steps. */
export function stepMark(step: number): string {
  return `step-${step}-done`;
}

/** How the agents of the server's crash work: many short steps, so that some lie before the kill and some after. */
export const LONG = { steps: 90, secondsEach: 5 };
const SHORT = { steps: 6, secondsEach: 4 };
/** How those work whose server is restarted: until it is back, and they were asked for again. */
export const STEADY = { steps: 40, secondsEach: 5 };

/** What the agent's answer says; a resumed session sends both prompts. */
export function answerOf(turn: number): string {
  return `The work of turn ${turn} is done.`;
}

/**
 * Closes the agent's issue over the server's API, as agents do: proves that address, key and ids in the pod are right.
 * Without it Paperclip asks again for the state of the issue in a run of its own.
 */
const CLOSE_ISSUE = `node -e '
const { PAPERCLIP_API_URL: url, PAPERCLIP_API_KEY: key, PAPERCLIP_RUN_ID: run, PAPERCLIP_TASK_ID: task } = process.env;
const headers = { authorization: "Bearer " + key, "content-type": "application/json", "x-paperclip-run-id": run };
fetch(url + "/api/issues/" + task, { method: "PATCH", headers, body: JSON.stringify({ status: "done" }) })
  .then(
    async (r) => console.log(r.ok ? "issue-closed" : "HTTP " + r.status + " " + (await r.text()).slice(0, 300)),
    (e) => console.log("no way to " + url + ": " + e));
'`;

function bash(command: string, description: string): Reply {
  return { tool: { name: "bash", args: { command, description } } };
}

/** Works in the folder it was given, closes the issue, answers. */
const works: Script = ({ turn, step }) => {
  if (step === 0)
    return {
      text: "I will look around first.",
      ...bash("pwd && date > e2e-note.txt && cat e2e-note.txt", "Look around"),
    };
  if (step === 1) return bash(CLOSE_ISSUE, "Close the issue");
  return { text: answerOf(turn), usage: { input: 500, cached: 100, output: 20 } };
};

/** An answer of about 1 MB. */
export const MANY_LINES = { count: 16_000, last: "line 16000 of 16000" };

/** An answer with what a terminal or a browser would obey. */
export const ESCAPES_AND_HTML = {
  text: [
    "\u001b[31mred\u001b[0m \u001b]0;a title\u0007 \u001b[2J cleared",
    "<script>document.title = 'owned'</script><img src=x onerror=alert(1)><b>bold</b>",
    "a \u202Eright-to-left\u202C word, a bell \u0007, a carriage return \rover it",
  ].join("\n"),
  last: "the line after them",
};

/** Runs one command, closes its issue, answers. */
function runs(command: string): Script {
  return ({ turn, step }) => {
    if (step === 0) return bash(command, "Look around");
    if (step === 1) return bash(CLOSE_ISSUE, "Close the issue");
    return { text: answerOf(turn) };
  };
}

/** Before each file or variable that an agent prints. */
export const PRINTED = "e2e-printed";

/** Prints what an agent with fields of the pod has of them. */
const LOOKS_AROUND = `for f in /etc/notes/note /etc/hosts; do echo "${PRINTED} $f: $(cat $f | tr '\\n' ' ')"; done
test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo "${PRINTED} a token"; sleep 3`;

/** Prints what it has of the server's pod: names of variables, and files. */
const PRINTS_ENVIRONMENT = `for n in NODE_OPTIONS DB_PASSWORD DATABASE_URL REGISTRY MEMORY AWS_REGION AWS_ROLE_ARN \
AWS_WEB_IDENTITY_TOKEN_FILE COMPANY_CA NO_PROXY CACHE_DIR ALL_REGISTRY_TOKEN ALL_DATABASE_URL; do
printenv $n >/tmp/value && echo "${PRINTED} $n=$(cat /tmp/value)" || echo "${PRINTED} no $n"; done
for f in /etc/corp-ca/company.pem /etc/agents/npmrc /var/run/secrets/eks.amazonaws.com /otel-auto; do
test -e $f && echo "${PRINTED} file $f" || echo "${PRINTED} no $f"; done`;

/** Commits, pushes to a repository of its own, and asks GitHub who it is. */
const COMMITS = `export HTTPS_PROXY=$GITHUB_TUNNEL SSL_CERT_FILE=/paperclip/github.crt
export GIT_SSL_CAINFO=$SSL_CERT_FILE
for p in git gh; do command -v $p >/dev/null || echo "${PRINTED} no $p"; done
cd "$(mktemp -d)" && git init -q --bare remote.git && git init -q work && cd work
git remote add origin ../remote.git
git commit -q --allow-empty -m work && git push -q origin HEAD:main
git --git-dir ../remote.git log -1 --format="${PRINTED} pushed by %an <%ae>, %cn" main
gh auth status 2>&1
git ls-remote https://github.com/company/site.git`;

/** Calls a tool of an MCP server, closes its issue, answers. */
const callsMcp: Script = ({ turn, step, tools }) => {
  const name = tools.find((tool) => tool.endsWith("list_projects"));
  if (step === 0) return name ? { tool: { name, args: {} } } : bash(`echo "no such tool: ${tools}"`, "Say so");
  if (step === 1) return bash(CLOSE_ISSUE, "Close the issue");
  return { text: answerOf(turn) };
};

/** Says this and closes its issue. */
function says(text: string): Script {
  return ({ step }) => (step === 0 ? bash(CLOSE_ISSUE, "Close the issue") : { text });
}

function manyLines(): string {
  const { count } = MANY_LINES;
  return Array.from({ length: count }, (_, i) => `line ${i + 1} of ${count}: ${"filling ".repeat(5)}`)
    .join("\n")
    .replace(/: [^\n]*$/, "");
}

function worksSlowly({ steps, secondsEach }: { steps: number; secondsEach: number }): Script {
  return ({ turn, step }) => {
    // A resumed session has only the issue left to close.
    const toDo = turn > 1 ? 0 : steps;
    if (step < toDo) return bash(`sleep ${secondsEach}; echo ${stepMark(step)}`, `Step ${step}`);
    if (step === toDo) return bash(CLOSE_ISSUE, "Close the issue");
    return { text: answerOf(turn) };
  };
}

/** What an agent prints that was started so often in its folder. */
export function startsOf(count: number): string {
  return `${PRINTED} ${count} starts`;
}

/** As slowly; and it counts itself, and prints how often it was started. */
const worksSteadily: Script = (conversation) => {
  const { turn, step } = conversation;
  if (turn === 1 && step === 0) return bash(`echo >>e2e-starts; echo ${stepMark(0)}`, "Begin");
  if (turn === 1 && step === STEADY.steps - 1)
    return bash(`echo "${PRINTED} $(($(wc -l <e2e-starts))) starts"; echo ${stepMark(step)}`, "Count");
  return worksSlowly(STEADY)(conversation);
};

/** Models of the provider `scripted`, by name. */
export const scripts: Record<string, Script> = {
  works,
  "looks-around": runs(LOOKS_AROUND),
  "prints-environment": runs(PRINTS_ENVIRONMENT),
  "calls-mcp": callsMcp,
  commits: runs(COMMITS),
  "works-long": worksSlowly(LONG),
  "works-short": worksSlowly(SHORT),
  "works-steadily": worksSteadily,
  "prints-much": says(manyLines()),
  "prints-escapes": says(`${ESCAPES_AND_HTML.text}\n${ESCAPES_AND_HTML.last}`),
  "hangs-in-tool": () => bash("echo waiting; sleep 900", "Wait"),
  unauthorized: () => ({ status: 401, message: "Incorrect API key provided: scripted." }),
  broken: () => ({ status: 500, message: "The scripted provider is broken." }),
  "reads-outside": ({ step }) =>
    step === 0 ? { tool: { name: "read", args: { filePath: "/etc/debian_version" } } } : { text: "I was allowed to." },
};
