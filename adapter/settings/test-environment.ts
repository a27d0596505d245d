/** The environment test: the addon probes, this file makes the host's report of it. */
import { fileURLToPath } from "node:url";

import type {
  AdapterEnvironmentCheck,
  AdapterEnvironmentTestContext,
  AdapterEnvironmentTestResult,
  HireApprovedHookResult,
  HireApprovedPayload,
} from "@paperclipai/adapter-utils";
import { asString, buildPaperclipEnv, parseObject } from "@paperclipai/adapter-utils/server-utils";

import { withBoundEnv } from "../host/bound-env.js";
import type { Fields } from "../host/fields.js";
import { readServerEnvironment } from "../host/environment.js";
import { withOperatorSettings } from "./operator.js";
import { apiUrlOf, describeError } from "../host/calls.js";
import { type NativeLoader, NativeUnavailableError } from "../addon/native.js";
import { type } from "../host/version.js";

/** Findings that the host stores with the approval; more say nothing new. */
const MOST_SHOWN = 10;
/** How long Paperclip may take to answer itself. */
const ANSWER_LIMIT_MS = 3_000;

/** Makes `testEnvironment` over an addon. It never rejects: what keeps it from probing is itself a finding. */
export function createTestEnvironment(load: NativeLoader) {
  return async function testEnvironment(ctx: AdapterEnvironmentTestContext): Promise<AdapterEnvironmentTestResult> {
    const checks = await probe(load, () => ctx);
    return { adapterType: type, status: worstOf(checks), checks, testedAt: new Date().toISOString() };
  };
}

/** Makes `onHireApproved`: a new agent whose runs would fail is named at once, and not by its first run. */
export function createOnHireApproved(load: NativeLoader) {
  return async function onHireApproved(payload: HireApprovedPayload, config: Fields): Promise<HireApprovedHookResult> {
    const checks = await probe(load, () => ({ ...payload, config: withBoundEnv(parseObject(config)) }));
    const errors = checks.filter((check) => check.level === "error");
    const [worst] = errors;
    if (worst === undefined) return { ok: true, detail: { status: worstOf(checks) } };
    return { ok: false, error: worst.message, detail: { checks: errors.slice(0, MOST_SHOWN) } };
  };
}

async function probe(load: NativeLoader, tested: () => unknown): Promise<AdapterEnvironmentCheck[]> {
  try {
    const { companyId: company, config: agents } = parseObject(tested());
    const { config, warnings } = withOperatorSettings(parseObject(agents));
    const companyId = asString(company, "");
    // The address agents' pods will call.
    const paperclipApiUrl = buildPaperclipEnv({ id: "", companyId })["PAPERCLIP_API_URL"];
    const request = {
      config,
      companyId,
      environment: readServerEnvironment(),
      // Its folder deploy/ is what the commands of the findings apply.
      packageDir: fileURLToPath(new URL("..", import.meta.url)),
      paperclipApiUrl,
      paperclipApiStatus: await statusOf(paperclipApiUrl),
    };
    const { checks } = await load().probeEnvironment(request);
    return [...checks, ...warnings.map(unused)];
  } catch (error) {
    return [unprobed(error)];
  }
}

/** With what Paperclip answers at its own address; `undefined` without one, which may be this side's fault. */
async function statusOf(address: string | undefined): Promise<number | undefined> {
  try {
    return (await fetch(apiUrlOf(address ?? "", "health"), { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) })).status;
  } catch {
    return undefined;
  }
}

function unused(warning: string): AdapterEnvironmentCheck {
  return { code: "k8s_setting_not_used", level: "warn", message: `${warning.replace(/^Warning: /, "")}.` };
}

function unprobed(error: unknown): AdapterEnvironmentCheck {
  if (error instanceof NativeUnavailableError) {
    const hint = "Install the platform package that the message names, then restart the server.";
    return { code: error.code, level: "error", message: error.message, hint };
  }
  const message = `The environment could not be tested: ${describeError(error)}`;
  const hint = "Run the test again. If it fails the same way, report this message.";
  return { code: "k8s_probe_failed", level: "error", message, hint };
}

function worstOf(checks: readonly AdapterEnvironmentCheck[]): AdapterEnvironmentTestResult["status"] {
  if (checks.some((check) => check.level === "error")) return "fail";
  return checks.some((check) => check.level === "warn") ? "warn" : "pass";
}
