/** What the cluster says: by the account of the server's pod where there is one, else by kubectl. */
import { readFileSync } from "node:fs";
import { request } from "node:https";

import { type Access, kubectl } from "./kubectl.js";

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** For the whole of an answer. */
const LIMIT_MS = 30_000;
const OUTPUT_BYTES = 64 * 1024 * 1024;

/** One question, as the API takes it and as kubectl does. */
export interface Question {
  path: (namespace: string) => string;
  kubectl: string[];
  /** What stands behind a failure of kubectl. */
  hint?: string;
}

/** The answer, which is JSON; throws with what the cluster says in its place. */
export async function ask({ namespace, kubeconfig }: Access, question: Question): Promise<unknown> {
  const isInCluster = kubeconfig === undefined && process.env["KUBERNETES_SERVICE_HOST"] !== undefined;
  if (isInCluster) return JSON.parse(await fromPod(question.path(namespace ?? ofAccount("namespace"))));
  const { stdout, failure } = await kubectl({ namespace, kubeconfig }, [...question.kubectl, "--output", "json"]);
  if (failure !== null) throw new Error(failure + (question.hint ?? ""));
  return JSON.parse(stdout);
}

function ofAccount(name: string): string {
  return readFileSync(`${ACCOUNT}/${name}`, "utf8").trim();
}

function fromPod(path: string): Promise<string> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = process.env;
  const headers = { authorization: `Bearer ${ofAccount("token")}` };
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path, headers, ca: ofAccount("ca.crt") }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
        if (text.length > OUTPUT_BYTES) asked.destroy(new Error("the API server's answer is too long"));
      });
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve(text) : reject(new Error(`the API server answers ${answer.statusCode}`)),
      );
    });
    const late = new Error(`the API server does not answer within ${LIMIT_MS / 1000} s`);
    const limit = setTimeout(() => asked.destroy(late), LIMIT_MS);
    asked.on("close", () => clearTimeout(limit));
    asked.on("error", reject);
    asked.end();
  });
}
