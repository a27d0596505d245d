/** States of a container in the words of a kubelet. */

import { type Container, type ContainerState, timestamp } from "../objects.js";
import type { ProcessEnd } from "./container-process.js";

/** An init container that runs on beside the main ones, and is started again until those have ended. */
export const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === "Always";

export const waiting = (reason: string, message?: string): ContainerState => ({
  waiting: { reason, ...(message ? { message } : {}) },
});

export function terminated(end: ProcessEnd, startedAt: string, message: string, oomKilled: boolean): ContainerState {
  const reason = oomKilled ? "OOMKilled" : end.startError ? "StartError" : end.exitCode === 0 ? "Completed" : "Error";
  return {
    terminated: {
      exitCode: end.exitCode,
      // The runtime reports a death by signal as 128+n only; the field `signal` stays empty.
      reason,
      ...(message ? { message } : {}),
      startedAt: end.startError ? "1970-01-01T00:00:00Z" : startedAt,
      finishedAt: timestamp(),
    },
  };
}

/** A container that the kubelet does not find when its pod ends. */
export const unfound = (when: "terminated" | "deleted"): ContainerState => ({
  terminated: {
    exitCode: 137,
    reason: "ContainerStatusUnknown",
    message:
      when === "terminated"
        ? "The container could not be located when the pod was terminated"
        : "The container could not be located when the pod was deleted.  The container used to be Running",
    startedAt: null,
    finishedAt: null,
  },
});
