import { describe, expect, it } from "@jest/globals";
import { type ResourceRequest, requestInfoOf } from "./request-info.ts";

const infoOf = (method: string, target: string) => requestInfoOf({ method, target, upgrade: "" });

const resource = (changes: Partial<ResourceRequest>): ResourceRequest => ({
  kind: "resource",
  verb: "get",
  apiGroup: "",
  apiVersion: "v1",
  namespace: "",
  resource: "pods",
  name: "",
  subresource: "",
  ...changes,
});

const inNamespace = (changes: Partial<ResourceRequest>) => resource({ namespace: "ns", ...changes });
const named = (changes: Partial<ResourceRequest>) => inNamespace({ name: "p", ...changes });
const apps = (changes: Partial<ResourceRequest>) =>
  inNamespace({ apiGroup: "apps", resource: "deployments", ...changes });

describe("a request for objects is read as kube-apiserver reads it", () => {
  it.each<[method: string, target: string, info: ResourceRequest]>([
    // The table of k8s.io/apiserver's own test (requestinfo_test.go), and more.
    ["GET", "/api/v1/namespaces", resource({ verb: "list", resource: "namespaces" })],
    ["GET", "/api/v1/namespaces/ns", inNamespace({ resource: "namespaces", name: "ns" })],
    ["GET", "/api/v1/namespaces/ns/pods", inNamespace({ verb: "list" })],
    ["GET", "/api/v1/namespaces/ns/pods/p", named({})],
    ["HEAD", "/api/v1/namespaces/ns/pods/p", named({})],
    ["GET", "/api/v1/pods", resource({ verb: "list" })],
    ["HEAD", "/api/v1/pods", resource({ verb: "list" })],
    ["GET", "/api/v1/pods?watch=true", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?watch=1", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?watch", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?watch=", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?w%61tch=1", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?watch=false", resource({ verb: "list" })],
    ["GET", "/api/v1/pods?watch=FALSE", resource({ verb: "list" })],
    ["GET", "/api/v1/pods?watch=0&watch=1", resource({ verb: "list" })],
    ["GET", "/api/v1/pods?watch=1&watch=0", resource({ verb: "watch" })],
    ["GET", "/api/v1/pods?Watch=1", resource({ verb: "list" })],
    ["GET", "/api/v1/namespaces/ns/pods/p?watch=true", named({})],
    ["GET", "/api/v1/watch/pods", resource({ verb: "watch" })],
    ["GET", "/api/v1/watch/namespaces/ns/pods", inNamespace({ verb: "watch" })],
    ["GET", "/api/v1/watch/namespaces/ns/pods/p", named({ verb: "watch" })],
    ["DELETE", "/api/v1/watch/namespaces/ns/pods", inNamespace({ verb: "watch" })],
    ["GET", "/api/v1/proxy/namespaces/ns/pods/p/exec", named({ verb: "proxy" })],
    ["GET", "/api/v1/proxy/nodes/n", resource({ verb: "proxy", resource: "nodes", name: "n" })],
    ["POST", "/api/v1/namespaces/ns/pods", inNamespace({ verb: "create" })],
    ["PUT", "/api/v1/namespaces/ns/pods/p", named({ verb: "update" })],
    ["PATCH", "/api/v1/namespaces/ns/pods/p", named({ verb: "patch" })],
    ["DELETE", "/api/v1/namespaces/ns/pods/p", named({ verb: "delete" })],
    ["DELETE", "/api/v1/namespaces/ns/pods", inNamespace({ verb: "deletecollection" })],
    ["DELETE", "/api/v1/namespaces", resource({ verb: "deletecollection", resource: "namespaces" })],
    ["get", "/api/v1/namespaces/ns/pods", inNamespace({ verb: "" })],
    ["OPTIONS", "/api/v1/namespaces/ns/pods", inNamespace({ verb: "" })],
    ["GET", "/api/v1/namespaces/ns/pods/p/exec", named({ subresource: "exec" })],
    ["POST", "/api/v1/namespaces/ns/pods/p/exec?command=sh", named({ verb: "create", subresource: "exec" })],
    ["GET", "/api/v1/namespaces/ns/pods/p/%65xec", named({ subresource: "exec" })],
    ["GET", "/api/v1/namespaces/ns/pods/p/exec/", named({ subresource: "exec" })],
    ["GET", "/api/v1/namespaces/ns/pods/p/exec/more", named({ subresource: "exec" })],
    ["GET", "/%61pi/v1/namespaces/ns/pods/p/log", named({ subresource: "log" })],
    ["GET", "/api/v1/nodes/n/proxy/pods", resource({ resource: "nodes", name: "n", subresource: "proxy" })],
    [
      "PUT",
      "/api/v1/namespaces/ns/status",
      inNamespace({ verb: "update", resource: "namespaces", name: "ns", subresource: "status" }),
    ],
    [
      "PUT",
      "/api/v1/namespaces/ns/finalize",
      inNamespace({ verb: "update", resource: "namespaces", name: "ns", subresource: "finalize" }),
    ],
    ["GET", "/api/v1/namespaces/ns/exec", inNamespace({ verb: "list", resource: "exec" })],
    ["GET", "/apis/apps/v1/namespaces/ns/deployments", apps({ verb: "list" })],
    ["GET", "/apis/apps/v1/namespaces/ns/deployments/d/scale", apps({ name: "d", subresource: "scale" })],
    ["GET", "/apis/apps/v1/watch/namespaces/ns/deployments", apps({ verb: "watch" })],
    [
      "GET",
      "/api/v1/namespaces/ns/services/https:web:443/proxy",
      inNamespace({ resource: "services", name: "https:web:443", subresource: "proxy" }),
    ],
    [
      "GET",
      "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
      resource({ apiGroup: "rbac.authorization.k8s.io", resource: "clusterroles", name: "system:node" }),
    ],
  ])("%s %s", (method, target, info) => {
    expect(infoOf(method, target)).toEqual(info);
  });
});

describe("a request for something else is read as such", () => {
  it.each([
    ["GET", "/", "get", "/"],
    ["GET", "/version?timeout=32s", "get", "/version"],
    ["GET", "/api", "get", "/api"],
    ["GET", "/api/v1", "get", "/api/v1"],
    ["GET", "/apis/apps/v1", "get", "/apis/apps/v1"],
    ["GET", "/apis/apps/v1/", "get", "/apis/apps/v1"],
    ["POST", "/healthz/etcd", "post", "/healthz/etcd"],
    ["GET", "/openapi/v3/apis/apps/v1", "get", "/openapi/v3/apis/apps/v1"],
    ["GET", "/API/v1/pods", "get", "/API/v1/pods"],
    ["GET", "/.well-known/openid-configuration", "get", "/.well-known/openid-configuration"],
  ])("%s %s", (method, target, verb, path) => {
    expect(infoOf(method, target)).toEqual({ kind: "non-resource", verb, path });
  });
});

describe("a path that can be read in more than one way is not read", () => {
  it.each([
    ["no path", ""],
    ["a query alone", "?watch=1"],
    ["no slash in front", "api/v1/pods"],
    ["an absolute form", "https://evil.example/api/v1/pods"],
    ["two slashes in front", "//api/v1/pods"],
    ["two slashes within", "/api/v1/namespaces/ns/pods//exec"],
    ["two slashes at the end", "/api/v1/pods//"],
    ["a dot", "/api/v1/./pods"],
    ["two dots", "/api/v1/namespaces/ns/pods/p/log/../exec"],
    ["two dots at the end", "/api/v1/pods/.."],
    ["encoded dots", "/api/v1/pods/%2e%2e/nodes"],
    ["half-encoded dots", "/api/v1/pods/.%2E/nodes"],
    ["an encoded slash", "/api/v1/namespaces/ns/pods/p%2fexec"],
    ["an encoded slash, upper case", "/api/v1/namespaces/ns/pods/p%2Fexec"],
    ["an encoded backslash", "/api/v1/namespaces/ns/pods/p%5cexec"],
    ["a backslash", "/api/v1/namespaces/ns/pods/p\\exec"],
    ["what is encoded twice", "/api/v1/namespaces/ns/pods/p/%2565xec"],
    ["an encoded question mark", "/api/v1/namespaces/ns/pods/p/log%3fexec"],
    ["a fragment", "/api/v1/namespaces/ns/pods/p/log#/exec"],
    ["an encoded fragment", "/api/v1/namespaces/ns/pods/p/log%23"],
    ["path parameters", "/api/v1/namespaces/ns/pods/p/log;x=1"],
    ["an encoded NUL", "/api/v1/namespaces/ns/pods/p/log%00"],
    ["an encoded line end", "/api/v1/namespaces/ns/pods/p/log%0d%0a"],
    ["a percent sign alone", "/api/v1/pods/100%"],
    ["an escape that is none", "/api/v1/pods/%zz"],
    ["half an escape", "/api/v1/pods/%2"],
    ["bytes that are no UTF-8", "/api/v1/pods/%ff"],
    ["an overlong slash", "/api/v1/pods/p%c0%afexec"],
    ["an encoded empty segment's neighbour", "/api/v1/pods/%20/%09"],
    ["a verb and nothing behind it", "/api/v1/watch"],
    ["a verb and a slash", "/apis/apps/v1/proxy/"],
  ])("%s", (_what, target) => {
    expect(infoOf("GET", target)).toBeUndefined();
  });
});
