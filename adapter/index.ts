/** The adapter's entry. The build bundles it into one file, which is what a reload of the host evaluates again. */
import { createBuildJobManifest, createBuildPodLogPath, createSanitizeLabelValue } from "./run/job-manifest.js";
import { loadNative } from "./addon/native.js";
import { createTailPodLogFile } from "./tail/tail.js";
import { createTranscriptFunctions } from "./run/transcript.js";

export { cliAdapter } from "./ui/terminal.js";
export { agentConfigurationDoc } from "./settings/doc.js";
export {
  type JobBuildInput,
  type JobBuildResult,
  type KubernetesJob,
  LARGE_PROMPT_THRESHOLD_BYTES,
  type SelfPodInfo,
  type SelfPodSecretVolume,
} from "./run/job-manifest.js";
export {
  createServerAdapter,
  execute,
  type OpenCodeK8sAdapterModule,
  sessionCodec,
  testEnvironment,
} from "./server-adapter.js";
export type { StopSignal } from "./tail/stop-flags.js";
export type { TailOptions } from "./tail/tail.js";
export type { OutcomeFacts, ParsedTranscript } from "./run/transcript.js";
export { parseStdoutLine } from "./ui/stdout-line.js";
export { label, type } from "./host/version.js";

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
