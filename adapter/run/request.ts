/** Picks what the addon needs out of the host's execution context. Defaults and checks of values are the addon's. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";
import { buildPaperclipEnv, parseObject, stringifyPaperclipWakePayload } from "@paperclipai/adapter-utils/server-utils";

import type { Fields } from "../host/fields.js";
import type { Native } from "../addon/native.js";
import type { RunStart } from "../../index.js";
import { agentEnvironment } from "./agent-env.js";
import { forbiddenEnvKeys, runtimeToolsEnv } from "../host/adapter-utils.js";
import { serverPath, serverPort } from "../host/environment.js";

/** The part of a request that planning, manifest and run share. Raw values; the addon makes JSON of them. */
export type RunRequest = Omit<RunStart, "environment" | "prompt">;

/** Builds the shared request. */
export function buildRunRequest(native: Native, ctx: AdapterExecutionContext): RunRequest {
  const runtime = parseObject(ctx.runtime);
  const config = parseObject(ctx.config);
  const context = parseObject(ctx.context);
  const { id, companyId } = ctx.agent;
  return {
    runId: ctx.runId,
    agent: { id, name: textOr(ctx.agent.name, ""), companyId },
    runtime: {
      sessionId: textOr(runtime["sessionId"], null),
      sessionParams: isRecord(runtime["sessionParams"]) ? runtime["sessionParams"] : null,
    },
    config,
    context,
    authToken: textOr(ctx.authToken, null),
    baseEnv: buildPaperclipEnv({ id, companyId }),
    wakePayloadJson: stringifyPaperclipWakePayload(context["paperclipWake"]),
    runtimeToolsEnv: runtimeToolsEnv(ctx.runtimeTools),
    serverPort: serverPort(),
    serverPath: serverPath(),
    forbiddenEnvKeys: forbiddenEnvKeys(agentEnvironment(native, config)),
  };
}

/** What is wrong with the shape of a context, in words an operator can act on; `null` when it can be used. */
export function findShapeProblem(ctx: unknown): string | null {
  const update = "Update Paperclip or the adapter so that both match";
  if (!isRecord(ctx)) return `the host passed no execution context. ${update}`;
  const { agent, runId, config, context, runtime, onLog } = ctx;
  if (!isRecord(agent)) return `the context has no agent. ${update}`;
  const ids = { runId, "agent.id": agent["id"], "agent.companyId": agent["companyId"] };
  for (const [name, value] of Object.entries(ids)) {
    if (typeof value !== "string" || value === "") {
      return `${name} is missing or no text. Start the run from Paperclip, which sets it`;
    }
  }
  if (!isRecord(config)) return "the agent's adapter config is not an object. Save the agent's configuration again";
  for (const [name, value] of Object.entries({ context, runtime })) {
    if (value !== undefined && value !== null && !isRecord(value)) return `${name} is not an object. ${update}`;
  }
  return typeof onLog === "function" ? null : `onLog is missing, so the output would go nowhere. ${update}`;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOr<Fallback>(value: unknown, fallback: Fallback): string | Fallback {
  return typeof value === "string" && value !== "" ? value : fallback;
}
