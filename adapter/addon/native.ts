/**
 * The one place that loads the Rust addon. What keeps it from loading is kept, so that importing the adapter always
 * works and a missing or mismatching binary becomes one clear error where it is needed.
 */
import { createRequire } from "node:module";

import { describeError } from "../host/calls.js";
import { SHIM_VERSION } from "../host/version.js";

const PACKAGE_NAME = "paperclip-adapter-opencode-k8s";
const ERROR_CODE = "k8s_native_unavailable";

/** What the addon exports. */
export type Native = Omit<typeof import("../../index.js"), "__napiBindingTarget">;

/** Every function of it: a binary that lacks one of them belongs to another version. */
export const NATIVE_FUNCTIONS = [
  "buildJobManifest",
  "buildPodLogPath",
  "heldResources",
  "isOpenCodeStepLimitResult",
  "isOpenCodeUnknownSessionError",
  "listSkillFolders",
  "nativeVersion",
  "observe",
  "parseOpenCodeJsonl",
  "probeEnvironment",
  "quotaWindows",
  "readPromptFiles",
  "resolveOutcome",
  "sanitizeLabelValue",
  "sessionDeserialize",
  "sessionDisplayId",
  "sessionSerialize",
  "startRun",
  "tailPodLogFile",
] as const satisfies readonly (keyof Native)[];

/** Gives the addon or throws {@link NativeUnavailableError}. */
export type NativeLoader = () => Native;

/** The addon cannot be used; the message names the platform and what to install or do. */
export class NativeUnavailableError extends Error {
  /** The error code a run reports. */
  readonly code = ERROR_CODE;

  /** Wraps the reason, keeping the original failure as `cause`. */
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "NativeUnavailableError";
  }
}

/** `linux-x64-gnu`, `darwin-arm64`, …: the suffix of the platform package. */
export function platformTriple(): string {
  const base = `${process.platform}-${process.arch}`;
  return process.platform === "linux" ? `${base}-${linuxLibc()}` : base;
}

function linuxLibc(): "gnu" | "musl" {
  // The network part of a report resolves host names and can take seconds; old type definitions do not know the switch.
  const report: typeof process.report & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime ? "gnu" : "musl";
}

/** Checks what was loaded: all functions there, and of the version this shim was built with. */
export function checkNative(loaded: unknown, shimVersion: string | null): Native {
  const candidate = loaded as Partial<Native> | null | undefined;
  const missing = NATIVE_FUNCTIONS.filter((name) => typeof candidate?.[name] !== "function");
  let version = "unknown";
  try {
    version = candidate?.nativeVersion?.() ?? version;
  } catch {
    // A binary that cannot even tell its version is reported as a mismatch below.
  }
  if (missing.length > 0 || (shimVersion !== null && version !== shimVersion)) {
    throw new NativeUnavailableError(
      `The native part of ${PACKAGE_NAME} is version ${version}, the adapter is version ${shimVersion ?? "unknown"}: ` +
        "the server still runs the binary it loaded first. Restart the server; if that does not help, install " +
        `${PACKAGE_NAME} and ${PACKAGE_NAME}-${platformTriple()} in the same version.`,
    );
  }
  return candidate as Native;
}

function loadFromDisk(): Native {
  const load = createRequire(import.meta.url);
  let loaded: unknown;
  try {
    // As seen from the bundle, `dist/index.js`.
    loaded = load("../index.js");
  } catch (error) {
    throw loadFailure(error, SHIM_VERSION);
  }
  return checkNative(loaded, SHIM_VERSION);
}

/** What to do about a binary that is not there or that this system cannot load. */
export function loadFailure(error: unknown, shimVersion: string | null): NativeUnavailableError {
  const platform = platformTriple();
  const at = shimVersion === null ? "" : `@${shimVersion}`;
  const platformPackage = `${PACKAGE_NAME}-${platform}${at}`;
  return new NativeUnavailableError(
    `The native binary of ${PACKAGE_NAME} for ${platform} is missing or cannot be loaded. ` +
      `Install the package ${platformPackage} (npm does so by itself unless optional dependencies are omitted) ` +
      `with npm install --no-save ${PACKAGE_NAME}${at} ${platformPackage} and ` +
      "whatever else is installed in that folder: npm removes what it is not told about. Then restart the server. " +
      `Cause: ${causesOf(error).join("; ")}`,
    error,
  );
}

/** The loader's own text is advice for its users; what it tried, and what each try said, is in the causes. */
function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let next = (error as Error | undefined)?.cause ?? error;
  for (let depth = 0; next != null && depth < 8; depth++) {
    const cause = describeError(next).split("\n", 1)[0] ?? "";
    // The loader tries WebAssembly last, which this package does not have.
    if (!/wasm32-wasi|\.wasi\./.test(cause)) causes.push(cause);
    next = (next as Error | undefined)?.cause;
  }
  return [...new Set(causes)];
}

let loadedOnce: { native: Native } | { error: unknown } | undefined;

/** The addon of this package. The outcome is kept: Node caches a failed load too, until the process restarts. */
export const loadNative: NativeLoader = () => {
  if (loadedOnce === undefined) {
    try {
      loadedOnce = { native: loadFromDisk() };
    } catch (error) {
      loadedOnce = { error };
    }
  }
  if ("error" in loadedOnce) throw loadedOnce.error;
  return loadedOnce.native;
};
