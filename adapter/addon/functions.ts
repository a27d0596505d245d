/**
 * What the main entry re-exports of the addon: the build puts this file in the place of `../index.js`, so that a binary
 * that cannot be loaded fails the calls and not the import. The types and their docs are the addon's own.
 */
import { loadNative, type Native } from "./native.js";

export const buildPodLogPath = functionOf("buildPodLogPath");
export const isOpenCodeStepLimitResult = functionOf("isOpenCodeStepLimitResult");
export const isOpenCodeUnknownSessionError = functionOf("isOpenCodeUnknownSessionError");
export const parseOpenCodeJsonl = functionOf("parseOpenCodeJsonl");
export const resolveOutcome = functionOf("resolveOutcome");
export const sanitizeLabelValue = functionOf("sanitizeLabelValue");
export const tailPodLogFile = functionOf("tailPodLogFile");

/** The addon's own function, or one that says why there is none. */
function functionOf<Name extends keyof Native>(name: Name): Native[Name] {
  try {
    return loadNative()[name];
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    const failLater: Native["tailPodLogFile"] = () => Promise.reject(error);
    return name === "tailPodLogFile" ? (failLater as Native[Name]) : fail;
  }
}
