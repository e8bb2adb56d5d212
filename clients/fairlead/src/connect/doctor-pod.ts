import { randomBytes } from "node:crypto";
import type { KubernetesObject, V1ConfigMap, V1Deployment, V1Pod } from "@kubernetes/client-node";
import { AGENT_DEPLOYMENT } from "./installation.ts";

/** When the cluster ends the pod by itself, should we have gone, in seconds. */
const DEADLINE_S = 90;
/** The annotation that the relay's authority is in: so it is a part of the pod, and there is nothing else to remove. */
const RELAY_CA = "fairlead.dev/relay-ca";

/**
 * A pod that runs doctor once. It is the agent's own, but for its account, its Secrets and its end: so it is as restricted, is
 * placed and gets its image in the same way, and what the owner's NetworkPolicies say of the agent's labels counts for it.
 *
 * @param objects what is to be made, with the agent's Deployment
 */
export function doctorPod(objects: readonly KubernetesObject[]): V1Pod {
  const of = (wanted: string) =>
    objects.find(({ kind, metadata }) => kind === wanted && metadata?.name === AGENT_DEPLOYMENT);
  const { metadata, spec } = (of("Deployment") as V1Deployment | undefined)?.spec?.template ?? {};
  const [container] = spec?.containers ?? [];
  if (!spec || !container) throw new Error("there is no agent among what is to be made");
  const authority = (of("ConfigMap") as V1ConfigMap | undefined)?.data?.["ca.crt"];
  const {
    startupProbe,
    readinessProbe,
    livenessProbe,
    ports,
    env = [],
    args = [],
    volumeMounts = [],
    ...kept
  } = container;
  const doctor = {
    ...kept,
    env: env.filter(({ name }) => name !== "FAIRLEAD_STATE_SECRET"), // it has no account to read it by
    args: [...args, "doctor", "--output=json"],
    volumeMounts: volumeMounts.filter(({ name }) => name === "relay"),
  };
  const fieldRef = { fieldPath: `metadata.annotations['${RELAY_CA}']` };
  return {
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: {
      name: `fairlead-preflight-${randomBytes(4).toString("hex")}`,
      namespace: of("Deployment")?.metadata?.namespace ?? "",
      labels: { ...metadata?.labels },
      annotations: authority === undefined ? {} : { [RELAY_CA]: authority },
    },
    spec: {
      ...spec,
      ...{ serviceAccountName: "default", automountServiceAccountToken: false },
      ...{ restartPolicy: "Never", activeDeadlineSeconds: DEADLINE_S, terminationGracePeriodSeconds: 1 },
      containers: [doctor],
      volumes:
        authority === undefined ? [] : [{ name: "relay", downwardAPI: { items: [{ path: "ca.crt", fieldRef }] } }],
    },
  };
}
