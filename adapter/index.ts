/** The adapter's entry. The build bundles it into one file, which is what a reload of the host evaluates again. */
import { loadNative } from "./addon/native.js";
import { createBuildJobManifest } from "./run/job-manifest.js";

export {
  buildPodLogPath,
  type EnvironmentCheck,
  isOpenCodeStepLimitResult,
  isOpenCodeUnknownSessionError,
  type JobBuildBase,
  type JobBuildResult,
  type KubernetesContainer,
  type KubernetesJob,
  type KubernetesJobSpec,
  type KubernetesObject,
  type KubernetesPodSpec,
  type OnLog,
  type OutcomeFacts,
  type ParsedTranscript,
  parseOpenCodeJsonl,
  type RunResult,
  resolveOutcome,
  type SelfPodInfo,
  type SelfPodSecretVolume,
  type SessionParams,
  type StopSignal,
  sanitizeLabelValue,
  type TailChunkOptions,
  type TailOptions,
  type TailSettings,
  type TokenUsage,
  tailPodLogFile,
} from "../index.js";
export { cliAdapter } from "./ui/terminal.js";
export { agentConfigurationDoc } from "./settings/doc.js";
export { type BuildJobManifest, type JobBuildInput, LARGE_PROMPT_THRESHOLD_BYTES } from "./run/job-manifest.js";
export {
  createServerAdapter,
  execute,
  type OpenCodeK8sAdapterModule,
  sessionCodec,
  testEnvironment,
} from "./server-adapter.js";
export { parseStdoutLine } from "./ui/stdout-line.js";
export { label, type } from "./host/version.js";

/** Builds the Kubernetes Job of a run from the host's context: synchronous, without side effects. */
export const buildJobManifest = createBuildJobManifest(loadNative);
