/** What several Jobs of one run used together. */
import type { AdapterExecutionResult } from "@paperclipai/adapter-utils";

type UsageAndCost = Pick<AdapterExecutionResult, "usage" | "costUsd">;
type Usage = AdapterExecutionResult["usage"];

/** The result with what an earlier Job used added to it: the run that made that Job is lost and never reports it. */
export function withUsageOf<Result extends UsageAndCost>(result: Result, earlier: UsageAndCost): Result {
  const usage = sumOfUsage(result.usage, earlier.usage);
  const costUsd = result.costUsd == null ? earlier.costUsd : result.costUsd + (earlier.costUsd ?? 0);
  return { ...result, ...(usage && { usage }), ...(costUsd != null && { costUsd }) };
}

function sumOfUsage(one: Usage, other: Usage): Usage {
  if (!one || !other) return one ?? other;
  const cached = (one.cachedInputTokens ?? 0) + (other.cachedInputTokens ?? 0);
  return {
    ...one,
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    cachedInputTokens: cached,
  };
}
