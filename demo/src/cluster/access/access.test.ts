import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type ClusterFixture, startFixture } from "../cluster-fixture.ts";
import { fieldAt } from "../kubernetes-object.ts";

const whoamiPath = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
let cluster: ClusterFixture;

beforeAll(async () => {
  cluster = await startFixture();
});
afterAll(() => cluster.close());

function whoami(token: string, headers: Record<string, string | string[]> = {}) {
  return cluster.ask(whoamiPath, { method: "POST", token, headers, body: { kind: "SelfSubjectReview" } });
}

async function mayBareAgent(resourceAttributes: Record<string, string>): Promise<unknown> {
  const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  const { answer } = await cluster.ask(path, {
    method: "POST",
    token: "agent-token",
    body: { spec: { resourceAttributes } },
  });
  return fieldAt(answer, "status", "allowed");
}

describe("authentication", () => {
  it("refuses an unknown token with a Status", async () => {
    const { code, answer } = await whoami("stolen");
    expect({ code, ...answer }).toMatchObject({ code: 401, kind: "Status", reason: "Unauthorized" });
  });

  it("names the token's owner", async () => {
    const { answer } = await whoami("alice-token");
    expect(answer.status).toEqual({ userInfo: { username: "alice", groups: ["devs", "system:authenticated"] } });
  });

  it("acts as the impersonated user with every group, uid and extra value", async () => {
    const { answer } = await whoami("agent-token", {
      "Impersonate-User": Buffer.from("bøb").toString("latin1"),
      "Impersonate-Group": ["with,comma", "b"],
      "Impersonate-Uid": "u-1",
      "Impersonate-Extra-Example.com%2fScopes": ["one", "two"],
    });
    expect(answer.status).toEqual({
      userInfo: {
        username: "bøb",
        uid: "u-1",
        groups: ["with,comma", "b", "system:authenticated"],
        extra: { "example.com/scopes": ["one", "two"] },
      },
    });
  });

  it("refuses impersonation by a user without the right", async () => {
    const refused = await whoami("alice-token", { "Impersonate-User": "root" });
    expect(refused).toMatchObject({ code: 403, answer: { reason: "Forbidden" } });
  });

  it.each(["Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes"])(
    "refuses %s without Impersonate-User",
    async (header) => {
      expect(await whoami("agent-token", { [header]: "system:masters" })).toMatchObject({ code: 400 });
    },
  );
});

describe("an impersonator without impersonation headers", () => {
  it.each(["/version", "/readyz", "/api", "/apis", "/api/v1", "/openapi/v3"])("may read %s", async (path) => {
    const response = await cluster.open(path, { token: "agent-token" });
    response.resume();
    expect(response.statusCode).toBe(200);
  });

  it.each([
    ["GET", "/api/v1/pods"],
    ["GET", "/api/v1/namespaces/default"],
    ["POST", "/api/v1/namespaces"],
    ["DELETE", "/api/v1/namespaces/demo"],
    ["GET", "/metrics"],
  ])("is refused %s %s", async (method, path) => {
    const refused = await cluster.ask(path, { method, token: "agent-token" });
    expect(refused).toMatchObject({ code: 403, answer: { kind: "Status", reason: "Forbidden" } });
  });

  it("is told by the access reviews what the authorizer does", async () => {
    expect(await mayBareAgent({ verb: "impersonate", resource: "users" })).toBe(true);
    expect(await mayBareAgent({ verb: "impersonate", resource: "groups" })).toBe(true);
    expect(await mayBareAgent({ verb: "impersonate", resource: "serviceaccounts" })).toBe(false);
    expect(await mayBareAgent({ verb: "list", resource: "pods" })).toBe(false);
    expect(await mayBareAgent({ verb: "*", resource: "*", group: "*" })).toBe(false);
  });
});
