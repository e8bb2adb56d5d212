import { describe, expect, it } from "@jest/globals";
import { inWords, isReadOnly } from "./read-only.ts";

const P = "/api/v1/namespaces/ns/pods/p";
const request = (method: string, target: string, upgrade = "") => ({ method, target, upgrade });

describe("is reading", () => {
  it.each([
    ["get of an object", "GET", P],
    ["its existence", "HEAD", P],
    ["a list", "GET", "/api/v1/pods?limit=500"],
    ["a watch", "GET", "/api/v1/pods?watch=true&resourceVersion=5"],
    ["a watch by path", "GET", "/api/v1/watch/namespaces/ns/pods"],
    ["logs", "GET", `${P}/log?follow=true`],
    ["a status", "GET", `${P}/status`],
    ["a scale", "GET", "/apis/apps/v1/namespaces/ns/deployments/d/scale"],
    ["a Secret, since reading is reading", "GET", "/api/v1/namespaces/ns/secrets/s"],
    ["discovery", "GET", "/apis"],
    ["a version", "GET", "/version"],
    ["health", "GET", "/readyz?verbose"],
    ["metrics of pods", "GET", "/apis/metrics.k8s.io/v1beta1/pods"],
    ["an object named exec", "GET", "/api/v1/namespaces/ns/configmaps/exec"],
    ["a namespace named proxy", "GET", "/api/v1/namespaces/proxy/pods"],
    ["kubectl auth can-i", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"],
    ["kubectl auth can-i --list", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews?pretty=1"],
    ["kubectl auth whoami", "POST", "/apis/authentication.k8s.io/v1beta1/selfsubjectreviews"],
  ])("%s", (_what, method, target) => {
    expect(isReadOnly(request(method, target))).toBe(true);
  });

  it("a watch over WebSocket", () => {
    expect(isReadOnly(request("GET", "/api/v1/pods?watch=true", "websocket"))).toBe(true);
    expect(isReadOnly(request("GET", "/api/v1/watch/pods", "websocket"))).toBe(true);
  });
});

describe("is more than reading", () => {
  it.each([
    ["create", "POST", "/api/v1/namespaces/ns/pods"],
    ["create that is only tried", "POST", "/api/v1/namespaces/ns/pods?dryRun=All"],
    ["update", "PUT", P],
    ["patch", "PATCH", P],
    ["delete", "DELETE", P],
    ["delete of a collection", "DELETE", "/api/v1/namespaces/ns/pods"],
    ["eviction", "POST", `${P}/eviction`],
    ["binding", "POST", `${P}/binding`],
    ["kubectl debug", "PATCH", `${P}/ephemeralcontainers`],
    ["a token of a service account", "POST", "/api/v1/namespaces/ns/serviceaccounts/sa/token"],
    ["a scale", "PATCH", "/apis/apps/v1/namespaces/ns/deployments/d/scale"],
    ["approval of a certificate", "PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval"],
    ["a review of somebody else", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"],
    [
      "a local review of somebody else",
      "POST",
      "/apis/authorization.k8s.io/v1/namespaces/ns/localsubjectaccessreviews",
    ],
    ["a review of a token", "POST", "/apis/authentication.k8s.io/v1/tokenreviews"],
    ["a self-review of another group", "POST", "/apis/evil.example/v1/selfsubjectreviews"],
    ["a self-review of the core group", "POST", "/api/v1/selfsubjectaccessreviews"],
    ["a self-review with a name", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews/x"],
    ["a self-review in a namespace", "POST", "/apis/authentication.k8s.io/v1/namespaces/ns/selfsubjectreviews"],
    ["a self-review by PUT", "PUT", "/apis/authentication.k8s.io/v1/selfsubjectreviews"],
    ["a self-review by a path's verb", "POST", "/apis/authentication.k8s.io/v1/watch/selfsubjectreviews"],
    ["a delete by a path that says watch", "DELETE", "/api/v1/watch/namespaces/ns/pods"],
    ["a post to a path that is no resource", "POST", "/healthz"],
    ["CONNECT", "CONNECT", "/api/v1/pods"],
    ["OPTIONS", "OPTIONS", "/api/v1/pods"],
    ["a method in lower case", "get", "/api/v1/pods"],
    ["no method", "", "/api/v1/pods"],
    ["a path that is not clear", "GET", "/api/v1//pods"],
  ])("%s", (_what, method, target) => {
    expect(isReadOnly(request(method, target))).toBe(false);
  });

  const acting = [
    ["exec", `${P}/exec?command=sh`],
    ["exec with a slash behind", `${P}/exec/?command=sh`],
    ["exec, one letter encoded", `${P}/%65xec?command=sh`],
    ["exec, all encoded", `${P}/%65%78%65%63?command=sh`],
    ["exec, encoded twice", `${P}/%2565xec`],
    ["exec behind an encoded slash", `${P}%2Fexec`],
    ["exec behind a dot segment", `${P}/log/../exec`],
    ["exec behind two slashes", `${P}//exec`],
    ["exec in another case", `${P}/EXEC`],
    ["exec by a path that says watch", "/api/v1/watch/namespaces/ns/pods/p/exec"],
    ["exec that says it is a watch", `${P}/exec?watch=true`],
    ["exec of another group", "/apis/any.example/v1/namespaces/ns/things/t/exec"],
    ["attach", `${P}/attach?stdin=true`],
    ["portforward", `${P}/portforward`],
    ["portforward of a service", "/api/v1/namespaces/ns/services/s/portforward"],
    ["proxy of a pod", `${P}/proxy/metrics`],
    ["proxy of a service", "/api/v1/namespaces/ns/services/s:80/proxy/"],
    ["proxy of a node, which can exec", "/api/v1/nodes/n/proxy/exec/ns/p/c?command=sh"],
    ["proxy by path", "/api/v1/proxy/nodes/n/exec/ns/p/c"],
    ["proxy by path in a namespace", "/api/v1/proxy/namespaces/ns/services/s"],
  ] as const;

  it.each(acting)("%s, by every method and upgrade", (_what, target) => {
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      for (const upgrade of ["", "websocket", "SPDY/3.1"]) {
        expect([method, upgrade, isReadOnly(request(method, target, upgrade))]).toEqual([method, upgrade, false]);
      }
    }
  });

  it.each([
    ["a machine's console", "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/vm/vnc"],
    ["an unknown subresource", `${P}/tomorrow`],
    ["logs", `${P}/log?follow=true`],
    ["an object", P],
    ["a list", "/api/v1/pods"],
    ["a list that says it does not watch", "/api/v1/pods?watch=false"],
    ["an object that says it watches", `${P}?watch=true`],
    ["a subresource by a path that says watch", "/api/v1/watch/namespaces/ns/pods/p/tomorrow"],
    ["no resource", "/version"],
  ])("an upgrade of %s", (_what, target) => {
    for (const upgrade of ["websocket", "SPDY/3.1", "anything"]) {
      expect(isReadOnly(request("GET", target, upgrade))).toBe(false);
      expect(isReadOnly(request("POST", target, upgrade))).toBe(false);
    }
  });

  it("a self-review that asks for an upgrade", () => {
    expect(isReadOnly(request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "websocket"))).toBe(false);
  });
});

describe("a request in words", () => {
  it.each([
    ["POST", `${P}/exec`, "SPDY/3.1", "create pods/exec"],
    ["GET", `${P}/exec`, "websocket", "create pods/exec"],
    ["DELETE", P, "", "delete pods"],
    ["DELETE", "/apis/apps/v1/namespaces/ns/deployments", "", "deletecollection deployments.apps"],
    ["PATCH", "/apis/apps/v1/namespaces/ns/deployments/d/scale", "", "patch deployments.apps/scale"],
    ["POST", "/healthz", "", "post /healthz"],
    ["OPTIONS", "/api/v1/pods", "", "an unknown method on pods"],
    ["GET", "/api/v1//pods", "", "GET of an unclear path"],
  ])("%s %s %s", (method, target, upgrade, words) => {
    expect(inWords({ method, target, upgrade })).toBe(words);
  });

  it("is short, however long the path is", () => {
    expect(inWords(request("POST", `/x${"y".repeat(5_000)}`))).toHaveLength(100);
  });
});
