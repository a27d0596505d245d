// The hosts that the package is tried with, beside the newest one of package.json.

/** The oldest of the host's library that npm still has; the peer dependency's range begins earlier. */
export const OLDEST_HOST = "@paperclipai/adapter-utils@2026.707.0";
