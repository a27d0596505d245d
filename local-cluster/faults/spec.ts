/**
 * What can be made to go wrong. Patterns are regular expressions, matched against the whole word; a missing pattern
 * matches everything. A fault stays until it is cleared, or has happened `count` times.
 */

export interface RequestMatch {
  /** create, get, list, watch, patch, update, delete or deletecollection. */
  verb?: string;
  resource?: string;
  name?: string;
  /** How many matching requests it hits (default: all), after letting `skip` of them pass. */
  count?: number;
  skip?: number;
}

export interface PodMatch {
  pod?: string;
  /** Default: the pod's first main container (for `init-failure`: any init container). */
  container?: string;
  /** How many pods it hits (default: all). */
  count?: number;
}

export type RequestFault =
  /** Answers with this HTTP status; `perform` does what was asked first (a create that succeeded behind a 504). */
  | (RequestMatch & {
      kind: "status";
      code: number;
      reason?: string;
      message?: string;
      retryAfterSeconds?: number;
      perform?: boolean;
    })
  /** A watch that starts well (HTTP 200) and then sends `ERROR` 410 as its first event. */
  | (RequestMatch & { kind: "gone-event" })
  /** The request gets no answer until the fault is cleared; then the connection is closed. */
  | (RequestMatch & { kind: "hang" })
  /** The connection is reset without an answer; `perform` as above. */
  | (RequestMatch & { kind: "reset"; perform?: boolean })
  /** A watch whose connection breaks in mid-stream, after so many events or so many milliseconds. */
  | (RequestMatch & { kind: "drop-watch"; afterEvents?: number; afterMs?: number })
  /** A watch that ends cleanly at once. */
  | (RequestMatch & { kind: "close-watch" });

export type ServerFault =
  /** Connections are refused, and nothing changes, for so long or until all faults are cleared. Containers run on. */
  | { kind: "outage"; ms?: number }
  /** History is dropped: watches break off, and going on from an older version answers 410. */
  | { kind: "compact" }
  /** No pod of a Job is admitted, as with a quota on pods or a webhook: the Job stays, without any pod. */
  | { kind: "deny-pods"; message?: string }
  /** Whoever creates such objects is warned in a header, as by the policy `warn` of Pod Security. */
  | { kind: "warn"; resource: string; text: string }
  /** The webhook of Kueue: a Job with the label of a queue is suspended when it is created. */
  | { kind: "suspend-jobs" }
  /** The node's agent is down: containers run on, their status freezes, new pods stay Pending. */
  | { kind: "kubelet-down"; ms?: number };

export type PodFault =
  | (PodMatch & { kind: "unschedulable"; message?: string })
  | (PodMatch & { kind: "image-pull"; message?: string })
  /** A container that waits with this reason for ever: CreateContainerConfigError, CrashLoopBackOff... */
  | (PodMatch & { kind: "waiting"; reason: string; message?: string })
  | (PodMatch & { kind: "init-failure"; exitCode?: number; message?: string })
  /** Killed for memory so long after its start; with `exitCode` 0 only a child died, as the container's end says. */
  | (PodMatch & { kind: "oom"; afterMs?: number; exitCode?: 0 })
  /** `node-pressure`: the kubelet fails the pod and keeps the object. `drain`: the pod is deleted gracefully. */
  | (PodMatch & { kind: "evict"; mode?: "node-pressure" | "drain"; afterMs?: number })
  | (PodMatch & { kind: "delete-pod"; force?: boolean; afterMs?: number })
  /** At the end, `phase` first, and the terminated state `ms` later or when this is cleared; or the other way round. */
  | (PodMatch & { kind: "lag-status"; ms?: number; first?: "phase" | "state" })
  /** The container is removed before the kubelet reports its end: the pod is Failed, the container waits again. */
  | (PodMatch & { kind: "forget-end" })
  /** The kubelet does not take the pod: it is Failed for this reason, and no container of it is ever shown. */
  | (PodMatch & { kind: "reject"; reason?: string; message?: string })
  /** A webhook adds a container that never ends by itself; `native`: an init container that is always restarted. */
  | (PodMatch & { kind: "sidecar"; native?: boolean; name?: string; image?: string; command?: string[] });

export type Fault = RequestFault | ServerFault | PodFault;
