// The hosts that the package is tried with, beside the newest one of package.json.

/** The oldest of the host's library that can be had from npm; the peer dependency's range begins earlier, with what cannot. */
export const OLDEST_HOST = "@paperclipai/adapter-utils@2026.707.0";
