/** The namespace's quotas on the host's page of costs: the addon reads them, this file makes the host's answer. */
import type { ProviderQuotaResult } from "@paperclipai/adapter-utils";

import type { NativeLoader } from "../addon/native.js";
import { describeError } from "../host/calls.js";
import { readServerEnvironment } from "../host/environment.js";
import { type } from "../host/version.js";

/** Makes `getQuotaWindows` over an addon. It never rejects: what keeps it from reading is its answer. */
export function createGetQuotaWindows(load: NativeLoader) {
  return async function getQuotaWindows(): Promise<ProviderQuotaResult> {
    const unread = (error: string): ProviderQuotaResult => ({ provider: type, ok: false, error, windows: [] });
    try {
      const answer = await load().quotaWindows({ environment: readServerEnvironment() });
      if ("problem" in answer) return unread(answer.problem);
      return { provider: type, source: "ResourceQuota", ok: true, windows: answer.windows };
    } catch (error) {
      return unread(describeError(error));
    }
  };
}
