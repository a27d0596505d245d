// Microseconds per manifest: the public buildJobManifest beside plain TypeScript (bench/manifest-peer.ts).
//
//   npm run build:release && node bench/manifest.mjs [--json]

import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { performance } from "node:perf_hooks";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const ROUNDS = 15;
const MS_PER_ROUND = 150;

/** Figures of all cases: `{prompt, ours, peer, peerAsJson}`, medians in microseconds. */
async function benchManifest() {
  if (!existsSync(`${root}dist/index.js`)) throw new Error('dist/ is missing: run "npm run build:release" first');
  const { buildJobManifest } = await import(pathToFileURL(`${root}dist/index.js`).href);
  const { buildWithObjects } = await loadPeer();
  const script = readFileSync(`${root}src/manifest/pod.sh`, "utf8");
  return [4, 100, 300].map((kilobytes) => {
    const input = inputWithPrompt(kilobytes * 1000);
    const sides = {
      ours: () => JSON.stringify(buildJobManifest(input).job).length,
      peer: () => JSON.stringify(buildWithObjects(input, script).job).length,
    };
    return { prompt: `${kilobytes} KB`, ...measure(sides) };
  });
}

async function loadPeer() {
  const esbuild = await import("esbuild");
  const outfile = `${root}build/bench-manifest-peer.js`;
  await esbuild.build({
    entryPoints: [`${root}bench/manifest-peer.ts`],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    packages: "external",
    logLevel: "warning",
  });
  return import(pathToFileURL(outfile).href);
}

/** A run as the host starts it: a workspace, a wake comment, some inherited environment. */
function inputWithPrompt(bytes) {
  const paragraph = "Read the issue, run `npm test`, and pay $5 to nobody: é, 日本, 🚀.\n";
  const text = paragraph.repeat(Math.ceil(bytes / Buffer.byteLength(paragraph))).slice(0, bytes);
  const inheritedEnv = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`SERVER_VALUE_${n}`, `value ${n}`]));
  return {
    ctx: {
      runId: "4d72b788-ef21-4486-8ed8-e47eac5efd02",
      agent: {
        id: "11e494cb-07f1-416c-8b47-17682c4bd02b",
        name: "Lead",
        companyId: "da511fb4-8186-4c2b-8233-e00fe79b2819",
      },
      runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
      config: {
        model: "anthropic/claude-sonnet-4-5",
        promptTemplate: "You are {{agent.name}}.",
        env: { TEAM: "core" },
      },
      context: {
        issueId: "b876d188-aa16-4fb8-8b5f-1c7373df8f27",
        paperclipWorkspace: { cwd: "/paperclip/ws/1", workspaceId: "ws-1" },
      },
      authToken: "token",
    },
    selfPod: {
      namespace: "paperclip",
      image: "paperclip/paperclip:latest",
      imagePullSecrets: [],
      dnsConfig: null,
      pvcClaimName: "paperclip-data",
      secretVolumes: [],
      inheritedEnv,
      inheritedEnvValueFrom: [],
      inheritedEnvFrom: [],
    },
    instructionsContent: text,
  };
}

/** Median time of each side; the sides take turns, so that a busy machine is as unkind to all of them. */
function measure(sides) {
  const names = Object.keys(sides);
  const samples = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const name of names) {
      const micros = microsPerCall(sides[name]);
      if (round > 0) samples[name].push(micros); // the first round warms up
    }
  }
  return Object.fromEntries(names.map((name) => [name, Math.round(samples[name].sort((a, b) => a - b)[ROUNDS >> 1])]));
}

function microsPerCall(call) {
  const start = performance.now();
  let calls = 0;
  do {
    call();
    calls += 1;
  } while (performance.now() - start < MS_PER_ROUND);
  return ((performance.now() - start) * 1000) / calls;
}

if (process.argv[1] && pathToFileURL(process.argv[1]).href === import.meta.url) {
  try {
    const figures = await benchManifest();
    if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
    else {
      console.log(
        `Node ${process.versions.node}, ${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}); ` +
          `µs per manifest, median of ${ROUNDS} rounds`,
      );
      console.table(figures);
    }
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
  }
}
