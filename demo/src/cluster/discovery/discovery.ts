import { createHash } from "node:crypto";
import { negotiateDiscovery } from "../accept.ts";
import { type ApiRequest, sendJson } from "../api-request.ts";
import { apiVersionOf, type ResourceType, resourceTypes } from "../resource-types.ts";

interface GroupVersion {
  group: string;
  version: string;
  types: ResourceType[];
}

/** The group versions of the demo cluster, each with its types. */
export const groupVersions: readonly GroupVersion[] = [
  ...new Map(resourceTypes.map(({ group, version }) => [`${group}/${version}`, { group, version }])).values(),
].map(({ group, version }) => ({
  group,
  version,
  types: resourceTypes.filter((type) => type.group === group && type.version === version),
}));

/**
 * Answers the discovery addresses: aggregated (KEP-3352) on /api and /apis when asked for, legacy otherwise.
 * @returns false when the path is no discovery address
 * @throws StatusError NotAcceptable
 */
export function answerDiscovery(request: ApiRequest, path: string): boolean {
  if (path === "/api" || path === "/apis") {
    answerRoot(request, path);
    return true;
  }
  const found =
    groupVersions.find((each) => path === prefixOf(each)) ??
    groupVersions.find(({ group }) => group !== "" && path === `/apis/${group}`);
  if (!found) return false;
  sendJson(request.response, 200, path === prefixOf(found) ? resourceList(found) : legacyGroup(found));
  return true;
}

function answerRoot({ incoming, response }: ApiRequest, path: string): void {
  const format = negotiateDiscovery(incoming.headers.accept);
  const served = groupVersions.filter(({ group }) => (path === "/api") === (group === ""));
  if (format === "legacy") {
    sendJson(response, 200, path === "/api" ? legacyCoreVersions() : legacyGroupList(served));
    return;
  }
  const body = {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${format}`,
    metadata: {},
    items: served.map(aggregatedGroup),
  };
  const etag = `"${createHash("sha256").update(JSON.stringify(body)).digest("hex").toUpperCase()}"`;
  if (incoming.headers["if-none-match"] === etag) {
    response.writeHead(304, { etag, vary: "Accept" }).end();
    return;
  }
  const mediaType = `application/json;g=apidiscovery.k8s.io;v=${format};as=APIGroupDiscoveryList`;
  sendJson(response, 200, body, { "content-type": mediaType, etag, vary: "Accept" });
}

/** The address below which a group version lives. */
export function prefixOf({ group, version }: { group: string; version: string }): string {
  return group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
}

function aggregatedGroup({ group, version, types }: GroupVersion): unknown {
  const kindOf = (kind: string) => ({ group, version, kind });
  const resources = types.map((type) => ({
    resource: type.plural,
    responseKind: kindOf(type.kind),
    scope: type.namespaced ? "Namespaced" : "Cluster",
    singularResource: type.singular,
    verbs: type.verbs,
    shortNames: type.shortNames,
    categories: type.categories,
    subresources: type.subresources.map(({ name, kind, verbs }) => ({
      subresource: name,
      responseKind: kindOf(kind),
      verbs,
    })),
  }));
  return { metadata: { name: group }, versions: [{ version, freshness: "Current", resources }] };
}

function resourceList(groupVersion: GroupVersion): unknown {
  const resources = groupVersion.types.flatMap((type) => [
    {
      name: type.plural,
      singularName: type.singular,
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: type.verbs,
      shortNames: type.shortNames,
      categories: type.categories,
    },
    ...type.subresources.map(({ name, kind, verbs }) => ({
      name: `${type.plural}/${name}`,
      singularName: "",
      namespaced: type.namespaced,
      kind,
      verbs,
    })),
  ]);
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersionOf(groupVersion), resources };
}

function legacyCoreVersions(): unknown {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
}

function legacyGroupList(served: GroupVersion[]): unknown {
  return { kind: "APIGroupList", apiVersion: "v1", groups: served.map(legacyGroup) };
}

function legacyGroup({ group, version }: GroupVersion): unknown {
  const preferredVersion = { groupVersion: `${group}/${version}`, version };
  return { kind: "APIGroup", apiVersion: "v1", name: group, versions: [preferredVersion], preferredVersion };
}
