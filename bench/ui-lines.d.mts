/** The kinds of long lines with their lines of about `size` characters. */
export function longLines(size: number): Record<string, string>;
