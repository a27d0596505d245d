/** Session parameters in the host's store: the addon knows every spelling that was ever written. */
import type { AdapterSessionCodec } from "@paperclipai/adapter-utils";

import { type Native, type NativeLoader, NativeUnavailableError } from "../addon/native.js";

/**
 * Makes the codec over an addon. Without the addon every session reads as "none": the run that follows reports the
 * one clear error, and a run without session fields leaves the stored session as it is.
 */
export function createSessionCodec(load: NativeLoader): Required<AdapterSessionCodec> {
  const ask = <Answer>(call: (native: Native) => Answer): Answer | null => {
    try {
      return call(load());
    } catch (error) {
      if (error instanceof NativeUnavailableError) return null;
      throw error;
    }
  };
  return {
    deserialize: (raw) => ask((native) => native.sessionDeserialize(raw)),
    serialize: (params) => ask((native) => native.sessionSerialize(params)),
    getDisplayId: (params) => ask((native) => native.sessionDisplayId(params)),
  };
}
