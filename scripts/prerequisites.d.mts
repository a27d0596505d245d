/** How npm installs the packages. */
export const INSTALL: readonly string[];
/** Limits of npm's tries. */
export const GIVE_UP_SOON: readonly string[];
