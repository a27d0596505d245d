/** `pod-spec` of the command line, as it is built. Needs `npm run build`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { file, folder, run } from "./command-line.js";

describe("pod-spec", () => {
  it("prints the Job of these settings, also of a whole agent", () => {
    const config = join(folder, "agent.json");
    // As the API has them.
    const env = { PLAIN: { type: "plain", value: "shown" }, KEY: { type: "secret_ref", secretId: "s" } };
    writeFileSync(config, JSON.stringify({ id: "a", adapterConfig: { image: "my/opencode:1", model: "a/b", env } }));
    const { status, stdout, stderr } = run(["pod-spec", "--config", config, "-n", "here"]);
    expect([status, stderr]).toEqual([0, ""]);
    const job = JSON.parse(stdout) as { metadata: { namespace: string }; spec: { template: { spec: object } } };
    expect(job.metadata.namespace).toBe("here");
    for (const said of ["my/opencode:1", '"name":"PLAIN","value":"shown"', '"name":"KEY"'])
      expect(JSON.stringify(job.spec.template.spec)).toContain(said);
  });

  it.each([
    [{ agentDbStorageClass: "fast" }, '"claimName":"opencode-db-agent"'],
    [{ agentDbMode: "ephemeral" }, '{"emptyDir":{},"name":"opencode-db"}'],
    [{}, "/paperclip/instances/default/opencode-db/company/agent/task/opencode.db"],
  ])("keeps sessions where %j says", (settings, said) => {
    const config = join(folder, "database.json");
    writeFileSync(config, JSON.stringify(settings));
    const { status, stdout } = run(["pod-spec", "--config", config]);
    expect(status).toBe(0);
    expect(JSON.stringify(JSON.parse(stdout))).toContain(said);
  });

  it("says beside the Job what of the settings is not in it", () => {
    const config = join(folder, "unknown.json");
    writeFileSync(config, JSON.stringify({ nodeSelecter: { a: "b" } }));
    const { status, stdout, stderr } = run(["pod-spec", "--config", config]);
    expect([status, JSON.parse(stdout).kind]).toEqual([0, "Job"]);
    expect(stderr).toMatch(/^paperclip-adapter-opencode-k8s: .*nodeSelecter.*\n$/);
  });

  it.each([
    [{ tolerations: "{{{" }, "tolerations must be a JSON or YAML list"],
    [{ podSpecPatch: "a: [" }, "podSpecPatch must be JSON or YAML"],
    [{ image: "a b" }, "image must be a name of an image"],
    [{ initImage: "A:b:c" }, "initImage must be a name of an image"],
    [{ namespace: 5 }, "namespace must be a text"],
    [{ timeoutSec: "soon" }, "timeoutSec must be a number of seconds"],
    [{ resources: { requests: { cpu: "lots" } } }, "resources.requests.cpu must be a quantity"],
    [{ serviceAccountName: "A B" }, "serviceAccountName must be a name of Kubernetes"],
    [{ podSpecPatch: { restartPolicy: "Always" } }, "podSpecPatch may not change restartPolicy"],
    [{ env: { "A B": "x" } }, 'env has the name "A B"'],
    [{ agentDbMode: "dedicated_pvc" }, "No storage class: "],
  ])("says in one line why a run would be refused: %j", (settings, said) => {
    const { status, stdout, stderr } = run(["pod-spec", "--config", file("bad.json", JSON.stringify(settings))]);
    expect([status, stdout, stderr.trim().split("\n").length]).toEqual([1, "", 1]);
    expect(stderr.slice("paperclip-adapter-opencode-k8s: ".length)).toContain(said);
  });

  it("takes the image of the command line, and refuses one that no node can pull", () => {
    const config = file("image.json", JSON.stringify({ image: "my/opencode:1" }));
    expect(run(["pod-spec", "--config", config, "--image", "other:2"]).stdout).toContain('"image": "other:2"');
    const { status, stdout, stderr } = run(["pod-spec", "--image", "a b"]);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^paperclip-adapter-opencode-k8s: image must be a name of an image .*, it is "a b"\n$/);
  });
});
