/** Replaced by the build with the version of package.json; absent when the sources run unbundled. */
declare const __PACKAGE_VERSION__: string | undefined;

/**
 * The version this shim was built as, a literal in the bundled entry: a reload of the host re-evaluates that one
 * file only, so a file read here would not tell which code is running. `null` when the sources run unbundled.
 */
export const SHIM_VERSION: string | null = typeof __PACKAGE_VERSION__ === "string" ? __PACKAGE_VERSION__ : null;

/** The adapter type the host registers. */
export const type = "opencode_k8s";

/** The name the host shows. */
export const label = "OpenCode (Kubernetes)";
