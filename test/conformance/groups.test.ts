import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { JWTPayload } from "jose";
import { AuditLog } from "../support/audit-log.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
let issuer: SigningIssuer;
let own: TunnelToTestbed;

beforeAll(async () => {
  issuer = await SigningIssuer.start();
  const entries = [issuer.entry(["fairlead"])];
  own = await startTunnel(cluster.testbed, { moreIssuers: { relay: entries, identityProxy: entries } });
});
afterAll(async () => {
  await own.stop();
  issuer.stop();
});

/** Sends a request of alice's with a token that says so. */
async function request(claims: JWTPayload) {
  await writeFile(own.tunnel.tokenFile(alice), await issuer.token(claims));
  return rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces/default");
}

/** The groups that the apiserver has seen in a request with a token that says these. */
async function groupsSeen(groups: readonly string[]): Promise<readonly string[] | undefined> {
  const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
  const answer = await request({ groups });
  expect(answer.status).toBe(200);
  const event = await audit.waitFor(({ auditID }) => auditID === answer.headers["audit-id"], "the request");
  return event.impersonatedUser?.groups;
}

describe("the groups of a token", () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
  const kept: [what: string, groups: string[]][] = [
    ["with commas, blanks and quotes", ["dev,ops", "a b", `"quoted"`, "semi;colon", "equals=x"]],
    ["beyond ASCII", ["Entwicklung-Süd", "開発", "🛟", "é"]],
    ["in two cases", ["dev", "DEV"]],
    ["10,000 of them", many],
  ];

  it.each(kept)("arrive at the apiserver exactly: %s", async (_what, groups) => {
    expect(await groupsSeen(groups)).toEqual([...groups, "system:authenticated"]);
  });

  it("arrive once, where the token repeats one", async () => {
    expect(await groupsSeen(["dev", "ops", "dev"])).toEqual(["dev", "ops", "system:authenticated"]);
  });

  it("are refused where the token has a link in their place, with what to do", async () => {
    const links = { _claim_names: { groups: "src1" }, _claim_sources: { src1: { endpoint: "https://graph.example" } } };
    const answer = await request({ groups: undefined, ...links });
    expect([answer.status, answer.headers["fairlead-error"]]).toEqual([401, expect.stringMatching(/^TOKEN_REFUSED/)]);
    expect(JSON.parse(answer.body).message).toMatch(/groups/);
  });
});
