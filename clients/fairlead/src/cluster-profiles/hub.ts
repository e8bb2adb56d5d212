import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { ApiException, CustomObjectsApi, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import { clusterConfig, refused } from "../connect/cluster-config.ts";
import { PROFILE_KIND, type ProfileObject } from "./profile-object.ts";

const FIELD_MANAGER = "fairlead-cluster-profiles";
const APPLY = setHeaderOptions("Content-Type", PatchStrategy.ServerSideApply);
const CRD =
  "https://raw.githubusercontent.com/kubernetes-sigs/cluster-inventory-api/v0.1.3/config/crd/bases/multicluster.x-k8s.io_clusterprofiles.yaml";

/** A ClusterProfile that the hub has: what says whose it is. */
export interface PublishedProfile {
  name: string;
  labels: Record<string, string>;
}

/** Where ClusterProfiles are kept: one namespace of the hub. */
export interface Hub {
  readonly namespace: string;
  list(): Promise<PublishedProfile[]>;
  /** Makes an object what is said, status too. */
  apply(object: ProfileObject): Promise<void>;
  /** Removes one, if it is there. */
  remove(name: string): Promise<void>;
}

/**
 * The hub as its operator, or a pod's service account, reaches it.
 *
 * @param file the kubeconfig; undefined for the defaults of kubectl
 * @throws FairleadError MALFORMED_REQUEST if they name no cluster; its calls ACCESS_DENIED and UNREACHABLE
 */
export function openHub(file: string | undefined, context: string | undefined, namespace: string): Hub {
  const api = clusterConfig(file, context).makeApiClient(CustomObjectsApi);
  const all = { ...PROFILE_KIND, namespace };
  const ask = async <T>(asked: Promise<T>): Promise<T> => {
    try {
      return await asked;
    } catch (error) {
      throw refused(error, "the hub");
    }
  };
  return {
    namespace,
    list: async () => {
      const { items } = await api.listNamespacedCustomObject(all).catch((error: unknown) => {
        throw isNotFound(error) ? withoutKind(error) : refused(error, "the hub");
      });
      return items.map(({ metadata }: { metadata: Partial<PublishedProfile> }) => ({
        name: metadata.name ?? "",
        labels: metadata.labels ?? {},
      }));
    },
    apply: async ({ status, ...object }) => {
      const { apiVersion, kind, metadata } = object;
      const at = { ...all, name: metadata.name, fieldManager: FIELD_MANAGER, force: true };
      await ask(api.patchNamespacedCustomObject({ ...at, body: object }, APPLY));
      // Of its own: what is written with the object, the apiserver drops without a word.
      const body = { apiVersion, kind, metadata: { name: metadata.name, namespace }, status };
      await ask(api.patchNamespacedCustomObjectStatus({ ...at, body }, APPLY));
    },
    remove: async (name) => {
      await api.deleteNamespacedCustomObject({ ...all, name }).catch((error: unknown) => {
        if (!isNotFound(error)) throw refused(error, "the hub");
      });
    },
  };
}

function isNotFound(error: unknown): boolean {
  return error instanceof ApiException && error.code === 404;
}

function withoutKind(cause: unknown): FairleadError {
  const sentence = `the hub has no ClusterProfile objects (${PROFILE_KIND.group}/${PROFILE_KIND.version}); install what defines them: kubectl apply -f ${CRD}`;
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.APISERVER, sentence, { cause });
}
