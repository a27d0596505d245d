/**
 * What an agent at work has of the server's pod, by the ways in which people deploy the server. Each is a pod that this
 * server takes for its own. On a real cluster TEST_ADMIN_KUBECONFIG makes the pods and what they name.
 */
import { execFileSync } from "node:child_process";

import { afterAll, beforeAll, expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "./stage.js";

const AGENT_PATH = "/paperclip/test-bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const admin = process.env["TEST_ADMIN_KUBECONFIG"];
const stage = useStage();

const secretKey = (name: string) => ({ name, valueFrom: { secretKeyRef: { name: "deployed-env", key: name } } });
const token = (path: string) => ({ projected: { sources: [{ serviceAccountToken: { path, audience: "sts" } }] } });

interface Deployment {
  container: { env?: object[]; envFrom?: object[]; volumeMounts?: object[] };
  volumes?: object[];
  /** As the agent prints it: `NAME=value`, `no NAME`, `file PATH`, `no PATH`. */
  has: string[];
}

const DEPLOYMENTS: Record<string, Deployment> = {
  "a chart with a database, a cache and its account's token": {
    container: {
      env: [
        secretKey("API_KEY"),
        secretKey("DB_PASSWORD"),
        { name: "DATABASE_URL", value: "postgres://p:$(DB_PASSWORD)@db/p" },
        { name: "CACHE_DIR", value: "/var/cache/paperclip/x" },
        { name: "PLAIN", value: "$$(X)" },
      ],
      volumeMounts: [{ name: "cache", mountPath: "/var/cache/paperclip" }],
    },
    volumes: [{ name: "cache", emptyDir: {} }],
    has: ["API_KEY=the key", "no DB_PASSWORD", "no DATABASE_URL", "no CACHE_DIR", "PLAIN=$(X)"],
  },
  "an operator that loads its own module, and sizes of the container": {
    container: {
      env: [
        { name: "NODE_OPTIONS", value: "--max-old-space-size=900 --require /otel-auto/autoinstrumentation.js" },
        { name: "OF_PROXY", valueFrom: { resourceFieldRef: { containerName: "paperclip", resource: "limits.cpu" } } },
        { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
        { name: "SELF", value: "http://$(NODE_NAME)" },
      ],
      volumeMounts: [{ name: "otel", mountPath: "/otel-auto" }],
    },
    volumes: [{ name: "otel", emptyDir: {} }],
    has: ["NODE_OPTIONS=--max-old-space-size=900", "SELF=http://paperclip", "no /otel-auto"],
  },
  IRSA: {
    container: {
      env: [
        { name: "AWS_REGION", value: "eu-west-1" },
        { name: "AWS_ROLE_ARN", value: "arn:aws:iam::111122223333:role/server" },
        { name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token" },
      ],
      volumeMounts: [{ name: "aws-iam-token", mountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount" }],
    },
    volumes: [{ name: "aws-iam-token", ...token("token") }],
    has: ["AWS_REGION=eu-west-1", "no AWS_ROLE_ARN", "no AWS_WEB_IDENTITY_TOKEN_FILE"],
  },
  "Azure workload identity": {
    container: {
      env: [
        { name: "AZURE_CLIENT_ID", value: "c" },
        { name: "AZURE_FEDERATED_TOKEN_FILE", value: "/var/run/secrets/azure/tokens/azure-identity-token" },
      ],
      volumeMounts: [{ name: "azure-identity-token", mountPath: "/var/run/secrets/azure/tokens" }],
    },
    volumes: [{ name: "azure-identity-token", ...token("azure-identity-token") }],
    has: ["no AZURE_CLIENT_ID", "no AZURE_FEDERATED_TOKEN_FILE"],
  },
  "a company's CA and proxy": {
    container: {
      env: [
        secretKey("PROXY_PASSWORD"),
        { name: "HTTPS_PROXY", value: "http://agents:$(PROXY_PASSWORD)@proxy.example:3128" },
        { name: "COMPANY_CA", value: "/etc/corp-ca/ca.crt" },
      ],
      volumeMounts: [{ name: "corp-ca", mountPath: "/etc/corp-ca" }],
    },
    volumes: [{ name: "corp-ca", configMap: { name: "deployed-ca", items: [{ key: "ca.crt", path: "ca.crt" }] } }],
    has: ["HTTPS_PROXY=http://agents:through@proxy.example:3128", "file /etc/corp-ca/ca.crt"],
  },
  "files by subPath, and projections": {
    container: {
      volumeMounts: [
        { name: "npm", mountPath: "/etc/agents/npmrc", subPath: "npmrc" },
        { name: "all", mountPath: "/etc/all" },
      ],
    },
    volumes: [
      { name: "npm", secret: { secretName: "deployed-npm" } },
      {
        name: "all",
        projected: { sources: [{ secret: { name: "deployed-npm" } }, { configMap: { name: "deployed-ca" } }] },
      },
    ],
    has: ["file /etc/agents/npmrc", "file /etc/all/npmrc", "file /etc/all/ca.crt"],
  },
  "whole Secrets as environment": {
    container: { envFrom: [{ secretRef: { name: "deployed-keys" } }] },
    has: ["TRACKER_KEY=of the tracker"],
  },
};

const of = (kind: string, name: string, more: object) => ({ apiVersion: "v1", kind, metadata: { name }, ...more });
const OBJECTS = [
  of("Secret", "deployed-env", {
    stringData: { API_KEY: "the key", DB_PASSWORD: "of the database", PROXY_PASSWORD: "through" },
  }),
  of("Secret", "deployed-keys", { stringData: { TRACKER_KEY: "of the tracker" } }),
  of("Secret", "deployed-npm", { stringData: { npmrc: "#" } }),
  of("ConfigMap", "deployed-ca", { data: { "ca.crt": "a CA" } }),
];

function podOf(name: string, { container, volumes = [] }: Deployment): object {
  const data = { name: "data", mountPath: "/paperclip" };
  const own = {
    ...container,
    name: "paperclip",
    image: "busybox:1.36",
    imagePullPolicy: "IfNotPresent",
    command: ["sh", "-c", "trap exit TERM; sleep 600 & wait"],
    volumeMounts: [data, ...(container.volumeMounts ?? [])],
  };
  const claim = { name: "data", persistentVolumeClaim: { claimName: "paperclip-data" } };
  const spec = { terminationGracePeriodSeconds: 1, containers: [own], volumes: [claim, ...volumes] };
  return of("Pod", name, { spec });
}

const kubectl = (args: string[], input?: object): string =>
  execFileSync("kubectl", ["--kubeconfig", admin!, "-n", "paperclip", ...args], {
    encoding: "utf8",
    input: input && JSON.stringify(input),
  });
const plural = (kind: string): string => `${kind.toLowerCase()}s`;

async function make(object: any): Promise<void> {
  if (isRealCluster) kubectl(["apply", "-f", "-"], object);
  else await stage.local.create(plural(object.kind), object);
}

async function remove(object: any): Promise<void> {
  if (isRealCluster) kubectl(["delete", object.kind, object.metadata.name, "--ignore-not-found"]);
  else await stage.local.delete(plural(object.kind), object.metadata.name);
}

const isSkipped = isRealCluster && admin === undefined;
const { HOSTNAME } = process.env;
beforeAll(async () => {
  if (!isSkipped) for (const object of OBJECTS) await make(object);
});
afterAll(async () => {
  process.env["HOSTNAME"] = HOSTNAME;
  if (!isSkipped) for (const object of OBJECTS) await remove(object);
});

const nameOf = (line: string): string => line.replace(/^(no|file) /, "").split("=")[0]!;

/** Prints what there is of the names and paths. The stand-in knows paths in variables, and none in a program. */
function look(has: string[]): string {
  const lines = has.map(nameOf).map((what, at) => {
    if (what.startsWith("/")) return `test -e "$PATH_${at}" && echo "file ${what}" || echo "no ${what}"`;
    return `test -n "\${${what}+x}" && echo "${what}=$${what}" || echo "no ${what}"`;
  });
  return [...lines, answer("seen")].join("\n");
}

const pathsOf = (has: string[]): [string, string][] =>
  has.map(nameOf).flatMap((what, at) => (what.startsWith("/") ? [[`PATH_${at}`, what]] : []));

test.skipIf(isSkipped).each(Object.entries(DEPLOYMENTS))("%s", async (name, deployment) => {
  const server = podOf(`server-${Object.keys(DEPLOYMENTS).indexOf(name)}`, deployment);
  await make(server);
  process.env["HOSTNAME"] = (server as { metadata: { name: string } }).metadata.name;
  try {
    const { result, lines, stderr } = await run(look(deployment.has), {
      config: { image: "busybox:1.36", env: { PATH: AGENT_PATH, ...Object.fromEntries(pathsOf(deployment.has)) } },
    });
    expect([result.errorMessage, stderr.match(/CreateContainer.*/)?.[0]]).toEqual([null, undefined]);
    expect(lines.slice(0, deployment.has.length)).toEqual(deployment.has);
    const isPartial = deployment.has.some((line) => /^no [A-Z](?!B_PASSWORD|ATABASE_URL)/.test(line));
    if (isPartial) expect(stderr.split("\n").filter((line) => line.includes("Not taken over"))).toHaveLength(1);
  } finally {
    await remove(server);
  }
});
