/** Session parameters in the host's store: the addon knows every spelling that was ever written. */
import type { AdapterSessionCodec } from "@paperclipai/adapter-utils";

import { toJsonText } from "../addon/json.js";
import { type Native, type NativeLoader, NativeUnavailableError } from "../addon/native.js";

type Params = Record<string, unknown> | null;

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
    deserialize: (raw) => ask((native) => JSON.parse(native.sessionDeserialize(toJsonText(raw))) as Params),
    serialize: (params) => ask((native) => JSON.parse(native.sessionSerialize(toJsonText(params))) as Params),
    getDisplayId: (params) => ask((native) => native.sessionDisplayId(toJsonText(params))),
  };
}
