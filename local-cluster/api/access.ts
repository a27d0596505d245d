/**
 * Who asks, and what they may do: the account `paperclip` with the adapter's Role, and an administrator for the tests.
 * The Role is that of deploy/rbac.yaml; nothing here reads `pods/log` for the account.
 */

import { randomBytes } from "node:crypto";
import type { Faults } from "../faults/registry.js";
import { invalid } from "./status.js";

export type Account = "account" | "admin";

const ACCOUNT_NAME = "system:serviceaccount:paperclip:paperclip";

/** A test compares it with deploy/rbac.yaml; reviews are everybody's right. */
export const ROLE: Record<string, string[]> = {
  jobs: ["create", "get", "list", "watch", "delete"],
  pods: ["get", "list", "watch", "create"],
  events: ["list"],
  resourcequotas: ["list"],
  configmaps: ["get"],
  persistentvolumeclaims: ["get", "create"],
  secrets: ["get", "create", "delete"],
  namespaces: ["get"],
  selfsubjectaccessreviews: ["create"],
};

const GROUPS: Record<string, string> = { jobs: "batch", selfsubjectaccessreviews: "authorization.k8s.io" };

export class Access {
  readonly tokens: Record<Account, string> = {
    account: randomBytes(24).toString("base64url"),
    admin: randomBytes(24).toString("base64url"),
  };
  readonly #namespace: string;
  readonly #faults: Faults;

  constructor(namespace: string, faults: Faults) {
    this.#namespace = namespace;
    this.#faults = faults;
  }

  accountOf(authorization: string | undefined): Account | undefined {
    if (authorization === `Bearer ${this.tokens.account}`) return "account";
    return authorization === `Bearer ${this.tokens.admin}` ? "admin" : undefined;
  }

  /** Undefined when allowed, else why not, in the words of the RBAC authorizer. */
  refusal(account: Account, verb: string, group: string, resource: string, namespace?: string): string | undefined {
    if (account === "admin") return undefined;
    const inReach = namespace === this.#namespace || resource === "selfsubjectaccessreviews";
    if (inReach && ROLE[resource]?.includes(verb) && (GROUPS[resource] ?? "") === group) return undefined;
    const scope = namespace ? ` in the namespace "${namespace}"` : " at the cluster scope";
    return refusalText(verb, group, resource) + scope;
  }

  /** Answers a SelfSubjectAccessReview. */
  review(account: Account, body: any): object {
    const asked = body?.spec?.resourceAttributes;
    if (!asked && !body?.spec?.nonResourceAttributes) {
      const message =
        'Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified';
      const nameless = { plural: "", kind: "", group: "authorization.k8s.io" };
      throw invalid(nameless, "", [{ reason: "FieldValueInvalid", message, field: "spec.resourceAttributes" }]);
    }
    const { verb = "", group = "", resource = "", subresource, namespace } = asked ?? {};
    const full = subresource ? `${resource}/${subresource}` : resource;
    const denied =
      this.refusal(account, verb, group, full, namespace) !== undefined ||
      (account === "account" && this.#faults.denies(verb, full));
    return {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      metadata: {},
      spec: body.spec,
      status: denied
        ? { allowed: false }
        : { allowed: true, reason: 'RBAC: allowed by RoleBinding "paperclip-adapter/paperclip"' },
    };
  }
}

const refusalText = (verb: string, group: string, resource: string): string =>
  `User "${ACCOUNT_NAME}" cannot ${verb} resource "${resource}" in API group "${group}"`;

export const faultRefusal = (verb: string, group: string, resource: string, namespace?: string): string =>
  `${refusalText(verb, group, resource)}${namespace ? ` in the namespace "${namespace}"` : ""}`;
