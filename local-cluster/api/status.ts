/** Failures as the API server words them: a `Status` object with reason, code and details. */

export interface Cause {
  reason: string;
  message: string;
  field: string;
}

export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: object;
  status: "Success" | "Failure";
  message?: string;
  reason?: string;
  details?: Record<string, unknown>;
  code: number;
}

/** How a resource is named in messages: `jobs.batch`, `pods`. */
export interface Named {
  plural: string;
  kind: string;
  group: string;
}

export class ApiError extends Error {
  readonly status: Status;
  readonly headers: Record<string, string>;

  constructor(code: number, reason: string, message: string, details?: Record<string, unknown>, headers = {}) {
    super(message);
    this.status = failure(code, reason, message, details);
    this.headers = headers;
  }
}

export function failure(code: number, reason: string, message: string, details?: Record<string, unknown>): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    ...(reason ? { reason } : {}),
    ...(details ? { details } : {}),
    code,
  };
}

function about(resource: Named, name?: string): Record<string, unknown> {
  return {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.plural,
  };
}

const qualified = (name: string, group: string): string => (group ? `${name}.${group}` : name);

export const notFound = (resource: Named, name: string): ApiError =>
  new ApiError(
    404,
    "NotFound",
    `${qualified(resource.plural, resource.group)} "${name}" not found`,
    about(resource, name),
  );

export const alreadyExists = (resource: Named, name: string): ApiError =>
  new ApiError(
    409,
    "AlreadyExists",
    `${qualified(resource.plural, resource.group)} "${name}" already exists`,
    about(resource, name),
  );

export const conflict = (resource: Named, name: string, why: string): ApiError =>
  new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(resource.plural, resource.group)} "${name}": ${why}`,
    about(resource, name),
  );

export function forbidden(resource: Named, name: string | undefined, why: string): ApiError {
  const subject = name
    ? `${qualified(resource.plural, resource.group)} "${name}"`
    : qualified(resource.plural, resource.group);
  return new ApiError(403, "Forbidden", `${subject} is forbidden: ${why}`, about(resource, name));
}

export function invalid(resource: Named, name: string, causes: Cause[]): ApiError {
  const lines = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const text = lines.length === 1 ? lines[0] : `[${lines.join(", ")}]`;
  return new ApiError(422, "Invalid", `${qualified(resource.kind, resource.group)} "${name}" is invalid: ${text}`, {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.kind,
    causes,
  });
}

export const badRequest = (message: string): ApiError => new ApiError(400, "BadRequest", message);

export const expired = (message: string): ApiError => new ApiError(410, "Expired", message);

export const unauthorized = (): ApiError => new ApiError(401, "Unauthorized", "Unauthorized");

export const noSuchPath = (): ApiError =>
  new ApiError(404, "NotFound", "the server could not find the requested resource", {});

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});

const unsupported = (accepted: string): ApiError =>
  new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
    {},
  );

export const unsupportedPatch = (): ApiError =>
  unsupported("application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json");

export const unsupportedMedia = (): ApiError => unsupported("application/json");
