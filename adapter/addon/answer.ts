/** Answers of the addon that may be the end of a run. */
import type { AdapterExecutionResult } from "@paperclipai/adapter-utils";

/** The addon could not do it; the message says what to do. */
export class NativeFailure extends Error {
  /** Wraps what a run ends with. */
  constructor(readonly result: AdapterExecutionResult) {
    super(result.errorMessage ?? "the native part failed");
    this.name = "NativeFailure";
  }
}

/** What the addon answered as JSON text; throws {@link NativeFailure} for `{failure: AdapterExecutionResult}`. */
export function readAnswer<T extends object>(json: string): T {
  const answer = JSON.parse(json) as T & { failure?: AdapterExecutionResult };
  if (answer.failure) throw new NativeFailure(answer.failure);
  return answer;
}
