/**
 * The one place that loads the Rust addon. What keeps it from loading is kept, so that importing the adapter always
 * works and a missing or mismatching binary becomes one clear error where it is needed.
 */
import { createRequire } from "node:module";

import { describeError } from "../host/calls.js";
import { SHIM_VERSION } from "../host/version.js";

const PACKAGE_NAME = "paperclip-adapter-opencode-k8s";

/** What the addon exports. */
export type Native = typeof import("../../index.js");

/** Gives the addon or throws {@link NativeUnavailableError}. */
export type NativeLoader = () => Native;

/** The addon cannot be used; the message names the platform and what to install or do. */
export class NativeUnavailableError extends Error {
  /** The error code a run reports. */
  readonly code = "k8s_native_unavailable";

  /** Wraps the reason, keeping the original failure as `cause`. */
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "NativeUnavailableError";
  }
}

/** Checks what was loaded: a host that was not restarted after an update still has the binary that it loaded first. */
export function checkNative(loaded: unknown, shimVersion: string | null): Native {
  const native = loaded as Native;
  const version = native.nativeVersion();
  if (shimVersion === null || version === shimVersion) return native;
  throw new NativeUnavailableError(
    `The native part of ${PACKAGE_NAME} is version ${version}, the adapter is version ${shimVersion}: ` +
      "the server still runs the binary it loaded first. Restart the server; if that does not help, install " +
      `${PACKAGE_NAME} and the package of its platform in the same version.`,
  );
}

function loadFromDisk(): Native {
  let loaded: unknown;
  try {
    // As seen from the bundle, `dist/index.js`. What it throws says what to install.
    loaded = createRequire(import.meta.url)("../index.js");
  } catch (error) {
    throw new NativeUnavailableError(describeError(error), error);
  }
  return checkNative(loaded, SHIM_VERSION);
}

let loaded: NativeLoader | undefined;

/** The addon of this package. The outcome is kept: Node caches a failed load too, until the process restarts. */
export const loadNative: NativeLoader = () => {
  loaded ??= outcomeOf(loadFromDisk);
  return loaded();
};

function outcomeOf(load: NativeLoader): NativeLoader {
  try {
    const native = load();
    return () => native;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
