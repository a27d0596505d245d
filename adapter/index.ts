/** The adapter's entry. The build bundles it into one file, which is what a reload of the host evaluates again. */
import { createBuildJobManifest, createBuildPodLogPath, createSanitizeLabelValue } from "./job-manifest.js";
import { loadNative } from "./native.js";
import { createTailPodLogFile } from "./tail.js";
import { createTranscriptFunctions } from "./transcript.js";

export { cliAdapter } from "./cli.js";
export { agentConfigurationDoc } from "./doc.js";
export {
  type JobBuildInput,
  type JobBuildResult,
  type KubernetesJob,
  LARGE_PROMPT_THRESHOLD_BYTES,
  type SelfPodInfo,
  type SelfPodSecretVolume,
} from "./job-manifest.js";
export {
  createServerAdapter,
  execute,
  type OpenCodeK8sAdapterModule,
  sessionCodec,
  testEnvironment,
} from "./server-adapter.js";
export type { StopSignal, TailOptions } from "./tail.js";
export type { OutcomeFacts, ParsedTranscript } from "./transcript.js";
export { parseStdoutLine } from "./ui-parser.js";
export { label, type } from "./version.js";

/** Builds the Kubernetes Job of a run: synchronous, without side effects. */
export const buildJobManifest = createBuildJobManifest(loadNative);

/** The log file of a run as its pod sees it. */
export const buildPodLogPath = createBuildPodLogPath(loadNative);

/** A valid Kubernetes label value made of any text. */
export const sanitizeLabelValue = createSanitizeLabelValue(loadNative);

/** Follows a log file that a pod writes. */
export const tailPodLogFile = createTailPodLogFile(loadNative);

export const { parseOpenCodeJsonl, isOpenCodeStepLimitResult, isOpenCodeUnknownSessionError, resolveOutcome } =
  createTranscriptFunctions(loadNative);
