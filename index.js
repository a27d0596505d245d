// Made by scripts/build.mjs of src/boundary/loader.js and index.d.ts.
// Loads the addon of this platform: from a file beside this one, which a checkout has, else from the platform's own
// package, which npm installs beside this one. The build makes index.js of this file (scripts/build.mjs).

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const [PACKAGE, VERSION, BINARY] = ["paperclip-adapter-opencode-k8s", "0.1.0", "opencode-k8s"];

/** Which libc a Linux has is not asked: that takes longer than all the rest, and the wrong binary is not loaded. */
function platforms() {
  const platform = `${process.platform}-${process.arch}`;
  return process.platform === "linux" ? [`${platform}-gnu`, `${platform}-musl`] : [platform];
}

function load() {
  const require = createRequire(import.meta.url);
  const failures = {};
  for (const platform of platforms()) {
    const file = fileURLToPath(new URL(`${BINARY}.${platform}.node`, import.meta.url));
    for (const name of [...(existsSync(file) ? [file] : []), `${PACKAGE}-${platform}`]) {
      try {
        return require(name);
      } catch (error) {
        failures[platform] = [...(failures[platform] ?? []), error];
      }
    }
  }
  const here = platforms()[usesMusl() ? 1 : 0];
  const says = failures[here].map((error) => String(error?.message ?? error).split("\n", 1)[0]);
  const missing = `${PACKAGE}-${here}@${VERSION}`;
  const message =
    `The native binary of ${PACKAGE} for ${here} is missing or cannot be loaded. ` +
    `Install the package ${missing} (npm does so by itself unless optional dependencies are omitted) ` +
    `with npm install --no-save ${PACKAGE}@${VERSION} ${missing} and whatever else is installed in that folder: ` +
    `npm removes what it is not told about. Then restart the server. Cause: ${says.join("; ")}`;
  throw Object.assign(new Error(message, { cause: failures[here][0] }), { code: "k8s_native_unavailable" });
}

function usesMusl() {
  if (process.platform !== "linux") return false;
  // The network part of a report resolves host names and can take seconds.
  const { report } = process;
  if (!report) return false;
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  try {
    return report.getReport().header.glibcVersionRuntime === undefined;
  } finally {
    report.excludeNetwork = before;
  }
}

export const {
  agentEnvironment,
  buildJobManifest,
  buildPodLogPath,
  environmentOffVolume,
  heldResources,
  isOpenCodeStepLimitResult,
  isOpenCodeUnknownSessionError,
  listSkillFolders,
  nativeVersion,
  observe,
  parseOpenCodeJsonl,
  probeEnvironment,
  quotaWindows,
  readPromptFiles,
  resolveOutcome,
  sanitizeLabelValue,
  sessionDeserialize,
  sessionDisplayId,
  sessionSerialize,
  startRun,
  tailPodLogFile,
} = load();
