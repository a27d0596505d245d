// What JavaScript sees of the addon, in place of what Rust exports.

function startRun(request, onCall) {
  expect(onCall, "function", "onCall");
  const text = toJsonText(withNeededContext(expect(request, "object", "request")));
  const run = rust.startRun(crossing(), text, String(request.agent?.id));
  const release = holdProcess();
  const ended = new Promise((resolve, reject) => {
    listeners.set(`r${run}`, (kind, text, number) => {
      if (kind !== "result" && kind !== "failed") return void callHost(onCall, kind, text, number);
      listeners.delete(`r${run}`);
      release();
      if (kind === "failed") reject(new Error(text));
      else resolve(text);
    });
  });
  const result = ended.then((text) => JSON.parse(text));
  const cancel = (reason) => rust.cancelRun(opened, run, String(reason));
  return { result, cancel, leave: () => rust.leaveRun(opened, run) };
}

/** Never rejects: whatever becomes of the call, its run knows of it. */
async function callHost(onCall, kind, text, number) {
  try {
    await onCall(kind, text);
  } catch (error) {
    return rust.failed(opened, number, describe(error));
  }
  answer(endedCalls, number);
}

const RUN_KEYS = ["runId", "agent", "runtime", "config", "context", "authToken"];
const HOST_KEYS = ["baseEnv", "wakePayloadJson", "runtimeToolsEnv", "serverPath", "serverPort", "forbiddenEnvKeys"];
const OFFER_KEYS = ["mcpServers", "githubLauncher"];
const BUILD_KEYS = ["selfPod", "promptSecretName", "agentDbClaimName", "agentDbPath", "retainJobs", "nonce"];
const PROMPT_KEYS = ["prompt", "promptMetrics", "resumedPrompt", "resumedPromptMetrics"];
const INPUT_KEYS = ["ctx", ...BUILD_KEYS, ...HOST_KEYS, ...OFFER_KEYS, ...PROMPT_KEYS];

/** A host's execution context holds much that no Job needs: only these fields are read. */
function runOf(ctx) {
  const run = fieldsOf(ctx, RUN_KEYS, "input.ctx");
  const runtime = expectOptional(run.runtime, "object", "input.ctx.runtime") ?? {};
  return {
    ...run,
    context: neededContext(run.context, "input.ctx.context"),
    agent: fieldsOf(run.agent, ["id", "name", "companyId"], "input.ctx.agent"),
    runtime: fieldsOf(runtime, ["sessionId", "sessionParams"], "input.ctx.runtime"),
  };
}

/** What cannot be read of a run's own request is left out, and does not end the run. */
function withNeededContext(request) {
  try {
    return { ...request, context: neededContext(request.context, "context") };
  } catch (error) {
    if (error instanceof UnreadableError) return request;
    throw error;
  }
}

/** The context may hold a whole file tree; copying that would hold up every run of the server. */
function neededContext(context, name) {
  if (kindOf(context, name) !== "object") return context;
  const needed = fieldsOf(context, CONTEXT_FIELDS.context, name);
  const workspace = needed.paperclipWorkspace;
  if (kindOf(workspace, name) !== "object") return needed;
  const fields = fieldsOf(workspace, CONTEXT_FIELDS.paperclipWorkspace, `${name}.paperclipWorkspace`);
  return { ...needed, paperclipWorkspace: fields };
}

function buildJobManifest(input) {
  const given = fieldsOf(input, INPUT_KEYS, "input");
  const { ctx, prompt, promptMetrics, resumedPrompt, resumedPromptMetrics, ...rest } = given;
  expect(rest.selfPod, "object", "input.selfPod");
  // Prompts go over beside the request, and do not come back: to make JSON of a large one would take most of the time.
  const prompts = [[expect(prompt, "string", "input.prompt"), promptMetrics]];
  const resumed = expectOptional(resumedPrompt, "string", "input.resumedPrompt");
  if (resumed !== undefined) prompts.push([resumed, resumedPromptMetrics]);
  const [run, others] = [toJsonText(runOf(ctx), "input.ctx"), toJsonText(rest, "input")];
  const answer = rust.buildJobManifest(`${run.slice(0, -1)},${others.slice(1)}`, ...prompts.map(([text]) => text));
  const { resumesSession, isWellFormed, warnings, knownTexts, ...result } = JSON.parse(answer);
  const [chosen, metrics] = (resumesSession ? prompts[1] : undefined) ?? prompts[0];
  const text = isWellFormed ? chosen : chosen.toWellFormed();
  placeTexts(result.job.spec.template.spec, knownTexts, text);
  return { ...result, prompt: text, promptMetrics: metrics ?? {}, warnings };
}

let podScript;

/**
 * The Job comes without the texts that are here as well. Kubernetes makes `$` of `$$`: by a function, because V8 takes
 * five times as long over a pattern such as `"$$$$"`.
 */
function placeTexts(pod, { script, prompt }, text) {
  podScript ??= rust.podScript();
  if (script !== null) pod.containers[script].command[2] = podScript;
  if (prompt !== null) pod.initContainers[prompt[0]].env[prompt[1]].value = text.replaceAll("$", () => "$$");
}

function sanitizeLabelValue(value, warn) {
  const cleaned = JSON.parse(rust.sanitizeLabelValue(expect(value, "string", "value")));
  if (cleaned.dropped)
    expectOptional(
      warn,
      "function",
      "warn",
    )?.(`[paperclip] sanitizeLabelValue: dropped chars from "${value}" -> "${cleaned.value}"\n`);
  return cleaned.value;
}

/** What is no text is refused by name, as every other bad id is. */
const idText = (id) => (typeof id === "string" ? id : `(${typeof id})`);

/** A function of Rust's that takes an object as JSON text, and answers so. */
const ofObject = (name, argument) => (value) => {
  const text = toJsonText(expect(value, "object", argument), argument);
  try {
    return JSON.parse(rust[name](text));
  } catch (error) {
    // What Rust finds wrong with an argument is what this script finds: a TypeError.
    throw error?.code === "InvalidArg" ? new TypeError(error.message, { cause: error }) : error;
  }
};
const ofObjectLater = (name) => async (value) =>
  JSON.parse(await rust[name](toJsonText(expect(value, "object", "request"), "request")));
const stdoutOf = (stdout) => expect(stdout, "string", "stdout");

const judge = ofObject("resolveOutcome", "facts");
const FACTS = { stdout: "string", stderr: "string", logState: "string" };
const OPTIONAL_FACTS = {
  signal: "string",
  reason: "string",
  timedOut: "boolean",
  timeoutSec: "number",
  cancelled: "boolean",
  model: "string",
};

/** Facts that are missing are not guessed: the result would be about another run. */
function resolveOutcome(facts) {
  const given = fieldsOf(facts, ["exitCode", "session", ...Object.keys({ ...FACTS, ...OPTIONAL_FACTS })], "facts");
  for (const [key, type] of Object.entries(FACTS)) expect(given[key], type, `facts.${key}`);
  for (const [key, type] of Object.entries(OPTIONAL_FACTS)) expectOptional(given[key], type, `facts.${key}`);
  if (given.exitCode !== null && !Number.isInteger(given.exitCode))
    throw new TypeError("facts.exitCode must be a whole number, or null where nobody knows it");
  return judge(given);
}

for (const name of Object.keys(addon)) delete addon[name];
Object.assign(addon, {
  agentEnvironment: ofObject("agentEnvironment", "config"),
  buildJobManifest,
  buildPodLogPath: (companyId, agentId, runId) =>
    rust.buildPodLogPath(idText(companyId), idText(agentId), idText(runId)),
  environmentOffVolume: ofObject("environmentOffVolume", "server"),
  heldResources: () => JSON.parse(rust.heldResources()),
  isOpenCodeStepLimitResult: (stdout) => rust.isOpenCodeStepLimitResult(stdoutOf(stdout)),
  isOpenCodeUnknownSessionError: (stdout, stderr = "") =>
    rust.isOpenCodeUnknownSessionError(stdoutOf(stdout), expect(stderr, "string", "stderr")),
  listSkillFolders: ofObjectLater("listSkillFolders"),
  nativeVersion: () => rust.nativeVersion(),
  observe: (wanted) => rust.observe(toJsonText(expect(wanted, "object", "wanted"))),
  parseOpenCodeJsonl: (stdout) => JSON.parse(rust.parseOpenCodeJsonl(stdoutOf(stdout))),
  probeEnvironment: ofObjectLater("probeEnvironment"),
  quotaWindows: ofObjectLater("quotaWindows"),
  readPromptFiles: ofObjectLater("readPromptFiles"),
  resolveOutcome,
  sanitizeLabelValue,
  sessionDeserialize: (raw) => JSON.parse(rust.sessionDeserialize(toJsonText(raw))),
  sessionDisplayId: (params) => rust.sessionDisplayId(toJsonText(params)),
  sessionSerialize: (params) => JSON.parse(rust.sessionSerialize(toJsonText(params))),
  startRun,
  tailPodLogFile,
});
