/** Which models the server's own opencode lists, and what it is told for that. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { describe, expect, it, vi } from "vitest";

import { adapter } from "./package.js";

describe("the server's own opencode", () => {
  it("is told nothing by the shared volume, where agents write", async () => {
    const folder = mkdtempSync(join(tmpdir(), "models-"));
    const [volume, own] = [join(folder, "volume"), join(folder, "own")];
    const looks = `#!/bin/sh
echo "own/model"
cat "$HOME/opencode.json" "$XDG_CONFIG_HOME/opencode.json" "$OPENCODE_CONFIG" 2>/dev/null
[ "$PWD" != "${process.cwd()}" ] || echo "in/cwd"
[ -z "$NODE_OPTIONS" ] || echo "node/options"
`;
    for (const [path, text] of [
      [join(volume, "bin/opencode"), "#!/bin/sh\necho an/agents\n"],
      [join(own, "opencode"), looks],
    ] as const) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { mode: 0o755 });
    }
    writeFileSync(join(volume, "opencode.json"), "agents/plugin\n");
    vi.stubEnv("PAPERCLIP_K8S_DATA_ROOT", `${volume}/`);
    vi.stubEnv("PATH", `${volume}/bin:.:${own}:${process.env["PATH"]}`);
    vi.stubEnv("HOME", volume);
    vi.stubEnv("XDG_CONFIG_HOME", volume);
    vi.stubEnv("OPENCODE_CONFIG", join(volume, "opencode.json"));
    vi.stubEnv("NODE_OPTIONS", `--require ${volume}/x.js`);
    try {
      expect(await adapter.createServerAdapter().listModels?.()).toEqual([{ id: "own/model", label: "own/model" }]);
    } finally {
      vi.unstubAllEnvs();
      rmSync(folder, { recursive: true });
    }
  });
});
