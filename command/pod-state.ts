/** Whether the pod that wrote a log may still write: its start record names it, and the cluster knows of it. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

import { ask } from "./cluster.js";

/** What is known of a pod. */
export interface PodState {
  /** It provably writes no more. */
  isOver: boolean;
  /** A sentence on it; none for a pod that is at work. */
  words?: string;
}

/** Looks at the pod of a start record. Never rejects: what keeps it from looking is what it says. */
export async function podState(startRecord: string, kubeconfig: string | undefined): Promise<PodState> {
  const record = readRecord(startRecord);
  if (record === undefined) {
    return { isOver: false, words: "waiting for the agent: no pod has written the start record of this run" };
  }
  const [{ namespace, pod }, unknown] = [record, "waiting for the end record: whether the pod is at work is not known"];
  try {
    const access = { namespace, kubeconfig };
    const { metadata } = (await ask(access, {
      path: () => `/api/v1/namespaces/${namespace}`,
      kubectl: ["get", "namespace", namespace],
    })) as { metadata: { uid: string } };
    // A volume may be that of several clusters.
    if (metadata.uid !== record.cluster) {
      return { isOver: false, words: `${unknown} (${pod} is not known to be in this cluster: --kubeconfig)` };
    }
    const { items } = (await ask(access, {
      path: () => `/api/v1/namespaces/${namespace}/pods?fieldSelector=metadata.name%3D${pod}`,
      kubectl: ["get", "pods", "--field-selector", `metadata.name=${pod}`],
    })) as { items: { metadata: { uid: string }; status: { phase: string } }[] };
    const found = items.find((item) => item.metadata.uid === record.podUid);
    if (found !== undefined && !/^(Succeeded|Failed)$/.test(found.status.phase)) return { isOver: false };
    const end = found === undefined ? "is gone" : `has ended (${found.status.phase})`;
    return { isOver: true, words: `the run is over: its pod ${namespace}/${pod} ${end}, without an end record` };
  } catch (error) {
    return { isOver: false, words: `${unknown} (${error instanceof Error ? error.message : String(error)})` };
  }
}

/** What the server reads of a record, too. */
const MAX_RECORD_BYTES = 4_096;

interface StartRecord {
  namespace: string;
  pod: string;
  podUid: string;
  /** The uid of the namespace; empty where the server may not read it. */
  cluster: string;
}

/** The pod's own words: names that could be more than names are no record. */
function readRecord(path: string): StartRecord | undefined {
  try {
    const record = JSON.parse(readSmall(path)) as StartRecord;
    const names: unknown[] = [record.namespace, record.pod, record.podUid];
    const isName = (name: unknown): boolean => typeof name === "string" && /^[a-z0-9][a-z0-9.-]*$/.test(name);
    return names.every(isName) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Agents write there: a pipe would never answer, a link leads elsewhere, and a file may have any size. */
function readSmall(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const found = fstatSync(file);
    const { size } = found;
    if (!found.isFile() || size > MAX_RECORD_BYTES) throw new Error("no start record");
    const text = Buffer.alloc(size);
    return text.toString("utf8", 0, readSync(file, text, 0, size, 0));
  } finally {
    closeSync(file);
  }
}
