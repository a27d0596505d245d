/** Records of the host, read over its own API with the run's token. */
import { describeError } from "./calls.js";
import type { Fields } from "./fields.js";

const REQUEST_LIMIT_MS = 10_000;

/** How a record is asked for. */
export interface Asked {
  authToken: string | undefined;
  /** The run's end: the question is dropped. */
  ended: AbortSignal;
  /** Default: 10,000. */
  limitMs?: number;
  fetch?: typeof fetch | undefined;
}

/** The record, or why nobody knows what stands in it. */
export interface HostAnswer {
  record?: Fields;
  problem?: string;
  /** The API answered, and not with the record. */
  refused?: boolean;
}

/** Asks once. Never rejects; redirects are no answer. */
export async function readRecord(url: string, asked: Asked): Promise<HostAnswer> {
  const { authToken, ended, limitMs = REQUEST_LIMIT_MS } = asked;
  try {
    const response = await (asked.fetch ?? fetch)(url, {
      headers: authToken ? { authorization: `Bearer ${authToken}` } : {},
      redirect: "error",
      signal: AbortSignal.any([ended, AbortSignal.timeout(limitMs)]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      return { problem: `HTTP ${response.status} from ${shownUrl(url)}`, refused: response.status < 500 };
    }
    return { record: ((await response.json()) ?? {}) as Fields };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { problem: `${describeError(cause)} at ${shownUrl(url)}` };
  }
}

/** Without what may be a password. */
function shownUrl(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//").slice(0, 200);
}
