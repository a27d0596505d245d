/**
 * The fields of the kinds served here and their Go types, as far as clients of this project use them. A field that is
 * not listed is unknown to the API: it is dropped with a warning, or refused with `fieldValidation=Strict`.
 */

export type Scalar = "string" | "int32" | "int64" | "bool" | "quantity" | "bytes" | "any";
export type Shape = Scalar | { list: Shape } | { map: Shape } | Struct;

export interface Struct {
  /** The Go struct's name, which decoding errors mention. */
  go: string;
  fields: Record<string, Shape>;
}

const struct = (go: string, fields: Record<string, Shape>): Struct => ({ go, fields });
const list = (of: Shape): Shape => ({ list: of });
const map = (of: Shape): Shape => ({ map: of });
/** The same type for several fields. */
const all = (shape: Shape, names: string): Record<string, Shape> =>
  Object.fromEntries(names.split(" ").map((name) => [name, shape]));

const LABEL_SELECTOR = struct("LabelSelector", { matchLabels: map("string"), matchExpressions: "any" });

const OBJECT_META = struct("ObjectMeta", {
  ...all("string", "name generateName namespace selfLink uid resourceVersion creationTimestamp deletionTimestamp"),
  generation: "int64",
  deletionGracePeriodSeconds: "int64",
  labels: map("string"),
  annotations: map("string"),
  finalizers: list("string"),
  managedFields: "any",
  ownerReferences: list(
    struct("OwnerReference", {
      ...all("string", "apiVersion kind name uid"),
      ...all("bool", "controller blockOwnerDeletion"),
    }),
  ),
});

const KEY_SELECTOR = { name: "string", key: "string", optional: "bool" } as const;
const ITEMS = list(struct("KeyToPath", { key: "string", path: "string", mode: "int32" }));

const ENV_VAR = struct("EnvVar", {
  name: "string",
  value: "string",
  valueFrom: struct("EnvVarSource", {
    fieldRef: struct("ObjectFieldSelector", { apiVersion: "string", fieldPath: "string" }),
    resourceFieldRef: "any",
    secretKeyRef: struct("SecretKeySelector", KEY_SELECTOR),
    configMapKeyRef: struct("ConfigMapKeySelector", KEY_SELECTOR),
  }),
});

const ENV_FROM = struct("EnvFromSource", {
  prefix: "string",
  secretRef: struct("SecretEnvSource", { name: "string", optional: "bool" }),
  configMapRef: struct("ConfigMapEnvSource", { name: "string", optional: "bool" }),
});

const CONTAINER = struct("Container", {
  ...all(
    "string",
    "name image workingDir imagePullPolicy terminationMessagePath terminationMessagePolicy restartPolicy",
  ),
  command: list("string"),
  args: list("string"),
  env: list(ENV_VAR),
  envFrom: list(ENV_FROM),
  volumeMounts: list(
    struct("VolumeMount", {
      ...all("string", "name mountPath subPath subPathExpr mountPropagation recursiveReadOnly"),
      readOnly: "bool",
    }),
  ),
  ports: list(
    struct("ContainerPort", { ...all("string", "name protocol hostIP"), ...all("int32", "containerPort hostPort") }),
  ),
  resources: struct("ResourceRequirements", { limits: map("quantity"), requests: map("quantity"), claims: "any" }),
  securityContext: struct("SecurityContext", {
    capabilities: struct("Capabilities", { add: list("string"), drop: list("string") }),
    ...all("bool", "privileged runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation"),
    ...all("int64", "runAsUser runAsGroup"),
    ...all("any", "seccompProfile seLinuxOptions appArmorProfile windowsOptions"),
    procMount: "string",
  }),
  ...all("bool", "stdin stdinOnce tty"),
  ...all("any", "livenessProbe readinessProbe startupProbe lifecycle volumeDevices resizePolicy"),
});

const VOLUME = struct("Volume", {
  name: "string",
  emptyDir: struct("EmptyDirVolumeSource", { medium: "string", sizeLimit: "quantity" }),
  persistentVolumeClaim: struct("PersistentVolumeClaimVolumeSource", { claimName: "string", readOnly: "bool" }),
  secret: struct("SecretVolumeSource", { secretName: "string", items: ITEMS, defaultMode: "int32", optional: "bool" }),
  configMap: struct("ConfigMapVolumeSource", { name: "string", items: ITEMS, defaultMode: "int32", optional: "bool" }),
  ...all("any", "hostPath nfs projected downwardAPI csi ephemeral image"),
});

const POD_SPEC = struct("PodSpec", {
  containers: list(CONTAINER),
  initContainers: list(CONTAINER),
  volumes: list(VOLUME),
  ...all(
    "string",
    "restartPolicy nodeName schedulerName serviceAccountName serviceAccount dnsPolicy hostname subdomain " +
      "priorityClassName runtimeClassName preemptionPolicy",
  ),
  ...all("int64", "terminationGracePeriodSeconds activeDeadlineSeconds"),
  priority: "int32",
  ...all(
    "bool",
    "automountServiceAccountToken hostNetwork hostPID hostIPC hostUsers shareProcessNamespace enableServiceLinks " +
      "setHostnameAsFQDN",
  ),
  nodeSelector: map("string"),
  imagePullSecrets: list(struct("LocalObjectReference", { name: "string" })),
  tolerations: list(
    struct("Toleration", { ...all("string", "key operator value effect"), tolerationSeconds: "int64" }),
  ),
  securityContext: struct("PodSecurityContext", {
    ...all("int64", "runAsUser runAsGroup fsGroup"),
    runAsNonRoot: "bool",
    fsGroupChangePolicy: "string",
    supplementalGroups: list("int64"),
    ...all(
      "any",
      "seccompProfile seLinuxOptions sysctls appArmorProfile windowsOptions supplementalGroupsPolicy " +
        "seLinuxChangePolicy",
    ),
  }),
  dnsConfig: struct("PodDNSConfig", {
    nameservers: list("string"),
    searches: list("string"),
    options: list(struct("PodDNSConfigOption", { name: "string", value: "string" })),
  }),
  ...all(
    "any",
    "affinity topologySpreadConstraints hostAliases readinessGates overhead schedulingGates os resourceClaims " +
      "ephemeralContainers resources",
  ),
});

const JOB_SPEC = struct("JobSpec", {
  ...all("int32", "parallelism completions backoffLimit ttlSecondsAfterFinished backoffLimitPerIndex maxFailedIndexes"),
  activeDeadlineSeconds: "int64",
  selector: LABEL_SELECTOR,
  ...all("bool", "manualSelector suspend"),
  ...all("string", "completionMode podReplacementPolicy managedBy"),
  template: struct("PodTemplateSpec", { metadata: OBJECT_META, spec: POD_SPEC }),
  ...all("any", "podFailurePolicy successPolicy"),
});

const kind = (go: string, fields: Record<string, Shape>): Struct =>
  struct(go, { apiVersion: "string", kind: "string", metadata: OBJECT_META, status: "any", ...fields });

export const KINDS: Record<string, Struct> = {
  Job: kind("Job", { spec: JOB_SPEC }),
  Pod: kind("Pod", { spec: POD_SPEC }),
  Secret: kind("Secret", { data: map("bytes"), stringData: map("string"), type: "string", immutable: "bool" }),
  ConfigMap: kind("ConfigMap", { data: map("string"), binaryData: map("bytes"), immutable: "bool" }),
  PersistentVolumeClaim: kind("PersistentVolumeClaim", {
    spec: struct("PersistentVolumeClaimSpec", {
      accessModes: list("string"),
      ...all("string", "storageClassName volumeName volumeMode volumeAttributesClassName"),
      resources: struct("VolumeResourceRequirements", { limits: map("quantity"), requests: map("quantity") }),
      selector: LABEL_SELECTOR,
      ...all("any", "dataSource dataSourceRef"),
    }),
  }),
  ResourceQuota: kind("ResourceQuota", { spec: "any" }),
  Namespace: kind("Namespace", { spec: "any" }),
};
