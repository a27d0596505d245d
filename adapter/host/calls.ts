/** Calling the host: nothing it does may throw into us, and nothing it leaves undone may hang us. */

/** How long a callback of the host may take before the run goes on without it. */
export const HOST_CALL_LIMIT_MS = 30_000;

/** How a call into the host went. */
type HostCall = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

/** Calls a callback of the host and waits for it; a throw or a rejection becomes a value. */
export async function callHost(call: () => unknown): Promise<HostCall> {
  try {
    await call();
    return { ok: true };
  } catch (error) {
    return { ok: false, error };
  }
}

/** As {@link callHost}, but gives up waiting after `limitMs`. */
export async function callHostWithin(call: () => unknown, limitMs = HOST_CALL_LIMIT_MS): Promise<HostCall> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<HostCall>((resolve) => {
    timer = setTimeout(() => {
      resolve({ ok: false, error: new Error(`the host did not answer within ${limitMs} ms`) });
    }, limitMs);
  });
  try {
    return await Promise.race([callHost(call), limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** The message of anything that was thrown, even of something that cannot be turned into text. */
export function describeError(error: unknown): string {
  try {
    return error instanceof Error && error.message ? error.message : String(error);
  } catch {
    return "unknown error";
  }
}

/** A status line of the adapter, as the host's log shows it. */
export function statusLine(message: string): string {
  return `[paperclip] ${message}\n`;
}

/** The address of one thing in the host's API, which may be below a path: `https://host/paperclip`. */
export function apiUrlOf(apiUrl: string, path: string): string {
  return `${apiUrl.trim().replace(/\/+$/, "")}/api/${path}`;
}
