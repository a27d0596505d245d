/** The addon of a server: loaded, it writes the server's log and exports metrics, as the server's environment asks. */
import { readObservation } from "../host/environment.js";
import type { Native, NativeLoader } from "./native.js";

/** A loader that begins to observe with the first load. Only the first call of a process does anything there. */
export function observed(load: NativeLoader): NativeLoader {
  return (): Native => {
    const native = load();
    native.observe(readObservation());
    return native;
  };
}

/** Where metrics are asked for, they are there from the start of the server, and not from its first run on. */
export function observeFromStart(load: NativeLoader): void {
  if (!readObservation().metrics) return;
  try {
    observed(load)();
  } catch {
    // Whatever keeps the addon from being loaded is the first run's to report.
  }
}
