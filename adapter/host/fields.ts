/** The fields of an object of the host's, such as a configuration or a context: raw values, which the addon checks. */
export type Fields = Record<string, unknown>;
