/** Answers of the addon that may be the end of a run. */
import type { RunResult } from "../../index.js";

/** The addon could not do it; the message says what to do. */
export class NativeFailure extends Error {
  /** Wraps what a run ends with. */
  constructor(readonly result: RunResult) {
    super(result.errorMessage ?? "the native part failed");
    this.name = "NativeFailure";
  }
}

/** What the addon answered; throws {@link NativeFailure} for `{failure}`. */
export function readAnswer<T extends object>(answer: T | { failure: RunResult }): T {
  if ("failure" in answer) throw new NativeFailure(answer.failure);
  return answer;
}
