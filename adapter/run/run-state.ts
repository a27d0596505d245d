/** What the host's record of a run says of its end. Pure. */
import { parseObject } from "@paperclipai/adapter-utils/server-utils";

import type { Fields } from "../host/fields.js";

/**
 * `going`: nobody has ended it, or nobody knows. `cancelled`: it must not work on. `interrupted`: its server was shut
 * down. `lost`: it counts as failed, though its adapter has not said so.
 */
export type RunState = "going" | "cancelled" | "interrupted" | "lost";

const STATES: Record<string, RunState> = {
  cancelled: "cancelled",
  // Only the result of a run makes it one today: a host that says so before wants it ended.
  timed_out: "cancelled",
  interrupted: "interrupted",
  failed: "lost",
};

/** A cancel that is not done yet stands beside the status of a run that goes on. */
export function runStateOf(record: Fields | undefined): RunState {
  const cancellation = parseObject(parseObject(record?.["resultJson"])["executionCancellation"]);
  if (cancellation["state"] === "requested") return "cancelled";
  const { status } = record ?? {};
  return (typeof status === "string" && Object.hasOwn(STATES, status) && STATES[status]) || "going";
}
