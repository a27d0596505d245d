/** The module the host registers: a plain object, because the host copies own properties only. */
import { getAdapterSessionManagement, type ServerAdapterModule } from "@paperclipai/adapter-utils";

import { getConfigSchema } from "./settings/config-schema.js";
import { agentConfigurationDoc } from "./settings/doc.js";
import { createExecute } from "./run/execute.js";
import { listModels, models } from "./settings/models.js";
import { loadNative } from "./addon/native.js";
import { observed, observeFromStart } from "./addon/observed.js";
import { createSessionCodec } from "./run/session-codec.js";
import { createListSkills } from "./settings/skills.js";
import { createGetQuotaWindows } from "./settings/quota-windows.js";
import { createOnHireApproved, createTestEnvironment } from "./settings/test-environment.js";
import { type } from "./host/version.js";
import { withTranscript } from "./ui/readable-log.js";

/** The module's type, with the liveness field that some builds of the host read. */
export interface OpenCodeK8sAdapterModule extends ServerAdapterModule {
  /** Runs live in the cluster: a silent server process does not mean that they are lost. */
  hasOutOfProcessLiveness: true;
}

/** Runs an agent as a Kubernetes Job; never throws. */
export const execute = createExecute(observed(loadNative), withTranscript);

/** Checks cluster access, rights and the shared volume; never throws. */
export const testEnvironment = createTestEnvironment(loadNative);

const getQuotaWindows = createGetQuotaWindows(loadNative);

const onHireApproved = createOnHireApproved(loadNative);

/** Reads and writes the session parameters of a task. */
export const sessionCodec = createSessionCodec(loadNative);

const listSkills = createListSkills(loadNative);

/** Makes the module the host registers. */
export function createServerAdapter(): OpenCodeK8sAdapterModule {
  observeFromStart(loadNative);
  return {
    type,
    execute,
    testEnvironment,
    onHireApproved,
    getQuotaWindows,
    sessionCodec,
    models,
    listModels,
    listSkills,
    // Nothing is installed, so syncing shows the same as listing; the host itself keeps the wishes.
    syncSkills: (ctx) => listSkills(ctx),
    supportsLocalAgentJwt: true,
    // Otherwise the host puts them, token and all, into the context that is stored with the run.
    runtimeToolDelivery: "environment",
    agentConfigurationDoc,
    getConfigSchema,
    supportsInstructionsBundle: true,
    instructionsPathKey: "instructionsFilePath",
    requiresMaterializedRuntimeSkills: false,
    sessionManagement: getAdapterSessionManagement("opencode_local") ?? {
      supportsSessionResume: true,
      nativeContextManagement: "unknown",
      defaultSessionCompaction: {
        enabled: true,
        maxSessionRuns: 200,
        maxRawInputTokens: 2_000_000,
        maxSessionAgeHours: 72,
      },
    },
    hasOutOfProcessLiveness: true,
  };
}
