/** The API: verbs, selectors, versions, patches, and its refusals word for word. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { KubeError } from "../../local-cluster/client.js";
import { job, useCluster } from "./support.js";

const cluster = useCluster();

/** A request as the account of the adapter (its token is in its kubeconfig). */
async function ask(
  method: string,
  path: string,
  body?: unknown,
  type = "application/json",
): Promise<{ code: number; body: any; headers: Headers }> {
  // The account may not patch: the adapter does not.
  const kubeconfig = method === "PATCH" ? cluster.current.adminKubeconfig : cluster.current.kubeconfig;
  const token = /token: "(.*)"/.exec(readFileSync(kubeconfig, "utf8"))![1];
  const init: RequestInit = { method, headers: { authorization: `Bearer ${token}`, "content-type": type } };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(cluster.current.url + path, init);
  return { code: response.status, body: await response.json(), headers: response.headers };
}

const NS = "/namespaces/paperclip";
const JOBS = `/apis/batch/v1${NS}/jobs`;
const SECRETS = `/api/v1${NS}/secrets`;

const secret = (name: string, labels: object = {}) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, labels },
  stringData: { key: "value" },
});

describe("verbs", () => {
  it("creates with defaults, gets, and says what exists or does not", async () => {
    const created = await ask("POST", JOBS, job("exit 0", { name: "verbs" }));
    expect(created.code).toBe(201);
    expect(created.body).toMatchObject({
      metadata: { namespace: "paperclip", uid: expect.any(String), generation: 1 },
      spec: { parallelism: 1, completions: 1, suspend: false },
    });
    expect(created.body.spec.template.spec.containers[0]).toMatchObject({
      imagePullPolicy: "Always",
      terminationMessagePath: "/dev/termination-log",
    });
    expect((await ask("GET", `${JOBS}/verbs`)).body.metadata.uid).toBe(created.body.metadata.uid);
    expect((await ask("POST", JOBS, job("exit 0", { name: "verbs" }))).body).toMatchObject({
      kind: "Status",
      status: "Failure",
      reason: "AlreadyExists",
      code: 409,
      message: 'jobs.batch "verbs" already exists',
      details: { name: "verbs", group: "batch", kind: "jobs" },
    });
    expect((await ask("GET", `${JOBS}/absent`)).body).toMatchObject({
      reason: "NotFound",
      code: 404,
      message: 'jobs.batch "absent" not found',
      details: { name: "absent", group: "batch", kind: "jobs" },
    });
    expect((await ask("DELETE", `${SECRETS}/absent`)).body).toMatchObject({
      code: 404,
      message: 'secrets "absent" not found',
    });
    const generated = await ask("POST", JOBS, job("exit 0", { metadata: { name: undefined, generateName: "gen-" } }));
    expect(generated.body.metadata.name).toMatch(/^gen-[a-z0-9]{5}$/);
    const dry = await ask("POST", `${SECRETS}?dryRun=All`, secret("dry"));
    expect([dry.code, (await ask("GET", `${SECRETS}/dry`)).code]).toEqual([201, 404]);
  });

  it("lists by label and field, in pages, from one version", async () => {
    const color = (name: string, labels: object) =>
      cluster.current.create("secrets", secret(name, { test: "list", ...labels }));
    for (const [name, labels] of Object.entries({ s1: { color: "red" }, s2: { color: "blue" }, s3: {} }))
      await color(name, labels);
    const names = async (selector: string): Promise<string> =>
      (await cluster.current.list("secrets", { labelSelector: `test=list,${selector}` }))
        .map(({ metadata }) => metadata.name)
        .join();
    expect(await names("color=red")).toBe("s1");
    expect(await names("color==blue")).toBe("s2");
    expect(await names("color!=red")).toBe("s2,s3");
    expect(await names("color in (red,blue)")).toBe("s1,s2");
    expect(await names("color notin (red)")).toBe("s2,s3");
    expect(await names("color")).toBe("s1,s2");
    expect(await names("!color")).toBe("s3");
    expect((await cluster.current.list("secrets", { fieldSelector: "metadata.name=s2" })).length).toBe(1);
    await expect(cluster.current.list("secrets", { labelSelector: "a b" })).rejects.toThrow(
      "unable to parse requirement",
    );
    for (const selector of ["a=-bad-", "a in (ok,-bad-)", `a!=${"x".repeat(64)}`]) {
      await expect(cluster.current.list("secrets", { labelSelector: selector })).rejects.toThrow(
        /^unable to parse requirement: values\[[01]\]\[a\]: Invalid value/,
      );
    }

    const admin = (query: string) =>
      fetch(`${adminUrl()}/api/v1${NS}/secrets?labelSelector=test%3Dlist&limit=2${query}`).then(
        (response) => response.json() as any,
      );
    const first = await admin("");
    await cluster.current.delete("secrets", "s3");
    const second = await admin(`&continue=${first.metadata.continue}`);
    // The second page is of the time of the first.
    expect([...first.items, ...second.items].map(({ metadata }: any) => metadata.name)).toEqual(["s1", "s2", "s3"]);
    expect(second.metadata).toEqual({ resourceVersion: first.metadata.resourceVersion });
    const none = await ask("GET", `${SECRETS}/s1?`);
    expect(none.body.data.key).toBe(Buffer.from("value").toString("base64"));
    await fetch(`${adminUrl()}/api/v1${NS}/secrets?labelSelector=test%3Dlist`, { method: "DELETE" });
    expect(await names("test")).toBe("");
  });

  it("patches in three formats, and refuses what is immutable or stale", async () => {
    await cluster.current.create("secrets", secret("patched", { a: "1" }));
    const path = `${SECRETS}/patched`;
    const merge = await ask(
      "PATCH",
      path,
      { metadata: { labels: { a: null, b: "2" } } },
      "application/merge-patch+json",
    );
    expect(merge.body.metadata.labels).toEqual({ b: "2" });
    const owner = {
      apiVersion: "batch/v1",
      kind: "Job",
      name: "x",
      uid: (await cluster.current.get("pods", "paperclip-0")).metadata.uid,
    };
    const strategic = await ask(
      "PATCH",
      path,
      { metadata: { ownerReferences: [owner] } },
      "application/strategic-merge-patch+json",
    );
    expect(strategic.body.metadata.ownerReferences).toEqual([owner]);
    const operations = [
      { op: "add", path: "/metadata/labels/c~1d", value: "3" },
      { op: "test", path: "/metadata/labels/b", value: "2" },
      { op: "remove", path: "/metadata/labels/b" },
    ];
    expect((await ask("PATCH", path, operations, "application/json-patch+json")).body.metadata.labels).toEqual({
      "c/d": "3",
    });
    const same = await ask("PATCH", path, {}, "application/merge-patch+json");
    expect(same.body.metadata.resourceVersion).toBe((await ask("GET", path)).body.metadata.resourceVersion);
    expect((await ask("PATCH", path, {}, "application/json")).body).toMatchObject({
      code: 415,
      reason: "UnsupportedMediaType",
    });
    const stale = await ask("PATCH", path, { metadata: { resourceVersion: "1" } }, "application/merge-patch+json");
    expect(stale.body).toMatchObject({
      code: 409,
      reason: "Conflict",
      message: expect.stringContaining(
        "the object has been modified; please apply your changes to the latest version and try again",
      ),
    });
    await cluster.current.create("jobs", job("sleep 5", { name: "immutable", spec: { suspend: true } }));
    const frozen = await ask(
      "PATCH",
      `${JOBS}/immutable`,
      { spec: { template: { metadata: { labels: { x: "y" } } } } },
      "application/merge-patch+json",
    );
    expect(frozen.body).toMatchObject({ code: 422, details: { causes: [{ field: "spec.template" }] } });
    expect(
      (
        await ask(
          "PATCH",
          `${JOBS}/immutable`,
          { metadata: { annotations: { k: "v" } } },
          "application/merge-patch+json",
        )
      ).code,
    ).toBe(200);
    await cluster.current.delete("jobs", "immutable");
  });
});

const adminUrl = (): string => /server: "(.*)"/.exec(readFileSync(cluster.current.adminKubeconfig, "utf8"))![1]!;

describe("access", () => {
  it("knows the account's Role, and answers reviews by it", async () => {
    expect((await ask("DELETE", `/api/v1${NS}/pods/paperclip-0`)).body).toMatchObject({
      code: 403,
      reason: "Forbidden",
      message:
        'pods "paperclip-0" is forbidden: User "system:serviceaccount:paperclip:paperclip" cannot delete ' +
        'resource "pods" in API group "" in the namespace "paperclip"',
    });
    expect((await ask("GET", `/api/v1${NS}/pods/paperclip-0/log`)).body.message).toContain(
      'cannot get resource "pods/log"',
    );
    const review = async (resourceAttributes: object) =>
      (await ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: { resourceAttributes } }))
        .body.status.allowed;
    const jobs = { group: "batch", resource: "jobs", namespace: "paperclip" };
    expect(await review({ ...jobs, verb: "watch" })).toBe(true);
    expect(await review({ ...jobs, verb: "watch", namespace: "default" })).toBe(false);
    expect(await review({ resource: "pods", subresource: "log", verb: "get", namespace: "paperclip" })).toBe(false);
    await cluster.current.fault({ kind: "status", code: 403, verb: "watch", resource: "jobs" });
    expect(await review({ ...jobs, verb: "watch" })).toBe(false);
    expect((await fetch(`${cluster.current.url}${JOBS}`)).status).toBe(401);
    expect((await ask("GET", "/apis/apps/v1/namespaces/paperclip/deployments")).code).toBe(403);
  });
});

describe("validation", () => {
  const refused = async (manifest: object, path = JOBS): Promise<any> => (await ask("POST", path, manifest)).body;

  it("names every cause with its field", async () => {
    const bad = job("x", {
      name: "Bad_Name",
      container: {
        name: "x y",
        env: [{ name: "1A" }, { value: "v" }],
        volumeMounts: [{ name: "nope", mountPath: "/a" }],
      },
      spec: { backoffLimit: -1 },
    });
    const status = await refused(bad);
    expect(status).toMatchObject({
      code: 422,
      reason: "Invalid",
      details: { name: "Bad_Name", group: "batch", kind: "Job" },
    });
    expect(status.message).toContain(
      'Job.batch "Bad_Name" is invalid: [metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must',
    );
    const at = "spec.template.spec.containers[0]";
    expect(status.details.causes.map(({ field, reason }: any) => `${field} ${reason}`)).toEqual(
      expect.arrayContaining([
        "spec.backoffLimit FieldValueInvalid",
        `${at}.name FieldValueInvalid`,
        `${at}.env[0].name FieldValueInvalid`,
        `${at}.env[1].name FieldValueRequired`,
        `${at}.volumeMounts[0].name FieldValueNotFound`,
      ]),
    );
    expect(status.message).toContain(`${at}.volumeMounts[0].name: Not found: "nope"`);
  });

  it("words single causes as the API server does", async () => {
    const of = async (shape: object): Promise<string> => (await refused(job("x", { name: "v", ...shape }))).message;
    expect(await of({ metadata: { labels: { a: "-b" } } })).toBe(
      'Job.batch "v" is invalid: metadata.labels: Invalid value: "-b": a valid label must be an empty string or ' +
        "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
        "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
    expect(await of({ pod: { restartPolicy: "Always" } })).toBe(
      'Job.batch "v" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    );
    expect(await of({ container: { resources: { requests: { cpu: "2" }, limits: { cpu: "1500m" } } } })).toBe(
      'Job.batch "v" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: "2": ' +
        "must be less than or equal to cpu limit of 1500m",
    );
    expect(await of({ pod: { tolerations: [{ key: "a", operator: "Exists", value: "b" }] } })).toContain(
      "value must be empty when `operator` is 'Exists'",
    );
    expect(await of({ metadata: { annotations: { big: "x".repeat(300_000) } } })).toBe(
      'Job.batch "v" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes',
    );
  });

  it("refuses what does not decode, and reports unknown fields", async () => {
    expect(await refused(job("x", { name: "d", spec: { activeDeadlineSeconds: 1.5 } }))).toMatchObject({
      code: 400,
      reason: "BadRequest",
      message:
        'Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number 1.5 into Go struct field ' +
        "JobSpec.spec.activeDeadlineSeconds of type int64",
    });
    expect(
      (await refused(job("x", { name: "d", container: { resources: { limits: { cpu: "much" } } } }))).message,
    ).toContain("quantities must match the regular expression");
    expect((await refused(job("x", { name: "d", container: { env: [{ name: "A", value: 1 }] } }))).message).toContain(
      "cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
    );
    const odd = job("exit 0", { name: "odd", spec: { tll: 3 } });
    expect((await ask("POST", `${JOBS}?fieldValidation=Strict`, odd)).body.message).toContain(
      'strict decoding error: unknown field "spec.tll"',
    );
    const warned = await ask("POST", JOBS, odd);
    expect([warned.headers.get("warning"), warned.body.spec.tll]).toEqual([
      '299 - "unknown field \\"spec.tll\\""',
      undefined,
    ]);
  });

  it("bounds Secrets and namespaces", async () => {
    const big = { ...secret("big"), stringData: { key: "x".repeat(1024 * 1024 + 1) } };
    expect((await refused(big, SECRETS)).message).toBe(
      'Secret "big" is invalid: data: Too long: may not be more than 1048576 bytes',
    );
    expect((await refused({ ...secret("bad"), data: { key: "%" } }, SECRETS)).message).toContain(
      "illegal base64 data at input byte 0",
    );
    expect((await refused({ ...secret("x"), metadata: { name: "x", namespace: "other" } }, SECRETS)).message).toBe(
      "the namespace of the provided object does not match the namespace sent on the request",
    );
    await expect(
      fetch(`${adminUrl()}/api/v1/namespaces/nowhere/secrets`, {
        method: "POST",
        body: JSON.stringify(secret("x")),
      }).then((r) => r.json()),
    ).resolves.toMatchObject({ message: 'namespaces "nowhere" not found' });
  });
});

it("throws a Status as an error with its reason", async () => {
  const error = await cluster.current.get("jobs", "absent").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(KubeError);
  expect(error).toMatchObject({ code: 404, reason: "NotFound" });
});
