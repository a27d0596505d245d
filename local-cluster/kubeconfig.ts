/** The file that points a Kubernetes client to this cluster. */

import { chmodSync, writeFileSync } from "node:fs";

export function writeKubeconfig(path: string, url: string, namespace: string, user: string, token: string): void {
  const text = `apiVersion: v1
kind: Config
clusters:
- name: local
  cluster: {server: "${url}"}
users:
- name: ${user}
  user: {token: "${token}"}
contexts:
- name: local
  context: {cluster: local, user: ${user}, namespace: ${namespace}}
current-context: local
`;
  // The token lets anyone run commands as this user.
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}
