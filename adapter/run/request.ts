/** Picks what the addon needs out of the host's execution context. Defaults and checks of values are the addon's. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";
import { buildPaperclipEnv, parseObject, stringifyPaperclipWakePayload } from "@paperclipai/adapter-utils/server-utils";

import { forbiddenEnvKeys, runtimeToolsEnv } from "../host/adapter-utils.js";
import { serverPath, serverPort } from "../host/environment.js";

/** The session state a run starts from. */
export interface SessionState {
  sessionId: string | null;
  sessionParams: Record<string, unknown> | null;
}

/** The part of a request that planning, manifest and run share. Raw values; the addon makes JSON of them. */
export interface RunRequest {
  runId: string;
  agent: { id: string; name: string; companyId: string };
  runtime: SessionState;
  config: Record<string, unknown>;
  context: Record<string, unknown>;
  authToken: string | null;
  /** The PAPERCLIP_* variables every run of this agent gets from the host. */
  baseEnv: Record<string, string>;
  /** The wake as the agent's PAPERCLIP_WAKE_PAYLOAD_JSON. */
  wakePayloadJson: string | null;
  /** Variables through which the agent reaches the host's run-scoped tools. */
  runtimeToolsEnv: Record<string, string>;
  /** Where this process listens. */
  serverPort: string | undefined;
  /** PATH of this process, which the host may have written into `config.env`. */
  serverPath: string | undefined;
  /** Keys of `config.env` that the host forbids an agent to set. */
  forbiddenEnvKeys: string[];
}

/** Builds the shared request. */
export function buildRunRequest(ctx: AdapterExecutionContext): RunRequest {
  const runtime = parseObject(ctx.runtime);
  const config = parseObject(ctx.config);
  const context = parseObject(ctx.context);
  const { id, companyId } = ctx.agent;
  return {
    runId: ctx.runId,
    agent: { id, name: textOr(ctx.agent.name, ""), companyId },
    runtime: {
      sessionId: textOr(runtime["sessionId"], null),
      sessionParams: recordOrNull(runtime["sessionParams"]),
    },
    config,
    context,
    authToken: textOr(ctx.authToken, null),
    baseEnv: buildPaperclipEnv({ id, companyId }),
    wakePayloadJson: stringifyPaperclipWakePayload(context["paperclipWake"]),
    runtimeToolsEnv: runtimeToolsEnv(ctx.runtimeTools),
    serverPort: serverPort(),
    serverPath: serverPath(),
    forbiddenEnvKeys: forbiddenEnvKeys(parseObject(config["env"])),
  };
}

/** What is wrong with the shape of a context, in words an operator can act on; `null` when it can be used. */
export function findShapeProblem(ctx: unknown): string | null {
  if (!isRecord(ctx)) return "the host passed no execution context. Update Paperclip or the adapter so that both match";
  const agent = ctx["agent"];
  if (!isRecord(agent)) return "the context has no agent. Update Paperclip or the adapter so that both match";
  const ids = { runId: ctx["runId"], "agent.id": agent["id"], "agent.companyId": agent["companyId"] };
  for (const [name, value] of Object.entries(ids)) {
    if (typeof value !== "string" || value === "") {
      return `${name} is missing or no text. Start the run from Paperclip, which sets it`;
    }
  }
  if (!isRecord(ctx["config"])) {
    return "the agent's adapter config is not an object. Save the agent's configuration again";
  }
  for (const name of ["context", "runtime"] as const) {
    const value = ctx[name];
    if (value !== undefined && value !== null && !isRecord(value)) {
      return `${name} is not an object. Update Paperclip or the adapter so that both match`;
    }
  }
  if (typeof ctx["onLog"] !== "function") {
    return "onLog is missing, so the output would go nowhere. Update Paperclip or the adapter so that both match";
  }
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function recordOrNull(value: unknown): Record<string, unknown> | null {
  return isRecord(value) ? value : null;
}

function textOr<Fallback>(value: unknown, fallback: Fallback): string | Fallback {
  return typeof value === "string" && value !== "" ? value : fallback;
}
