import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ErrorCode } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { SignJWT } from "jose";
import { azurePipelinesToken, githubActionsToken } from "./workload.ts";

const SECRET = "the-jobs-secret-canary";
let server: Server;
let url: string;
let asked: IncomingMessage[];
let answer: { status: number; body: string };
let token: string;
const before = { ...process.env };

beforeEach(async () => {
  token = await new SignJWT({}).setProtectedHeader({ alg: "HS256" }).setExpirationTime("5m").sign(Buffer.alloc(32));
  [asked, answer] = [[], { status: 200, body: JSON.stringify({ value: token, oidcToken: token }) }];
  server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?api-version=2.0`;
  Object.assign(process.env, { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: SECRET });
  Object.assign(process.env, { SYSTEM_OIDCREQUESTURI: url, SYSTEM_ACCESSTOKEN: SECRET });
});
afterEach(() => {
  process.env = { ...before };
  server.close();
  server.closeAllConnections();
});

const github = () => githubActionsToken({ kind: "github-actions", audience: "fairlead & co" });
const azure = () => azurePipelinesToken({ kind: "azure-pipelines", serviceConnection: "an/id" });

describe("a job's token", () => {
  it("of GitHub Actions is asked for with the audience, and the job's secret in a header", async () => {
    expect(await github()).toBe(token);
    expect(asked[0]).toMatchObject({ method: "GET", url: "/token?api-version=2.0&audience=fairlead+%26+co" });
    expect(asked[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
  });

  it("of Azure Pipelines is asked for with the service connection", async () => {
    expect(await azure()).toBe(token);
    expect(asked[0]).toMatchObject({ method: "POST", url: "/token?api-version=7.1&serviceConnectionId=an%2Fid" });
    expect(asked[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
  });
});

describe.each([
  ["GitHub Actions", github, ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"], /id-token: write/],
  ["Azure Pipelines", azure, ["SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN"], /SYSTEM_ACCESSTOKEN: \$\(System/],
] as const)("without a token of %s", (_name, ask, variables, remedy) => {
  it.each(variables)("for want of %s it is said what to do", async (variable) => {
    delete process.env[variable];
    await expect(ask()).rejects.toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      message: expect.stringMatching(remedy),
    });
    expect(asked).toEqual([]);
  });

  it.each([
    ["a refusal", 403, "{}"],
    ["an answer without it", 200, "{}"],
    ["an answer that is no JSON", 200, "<html>"],
    ["null", 200, "null"],
    ["one that is no JWT", 200, '{"value":"x","oidcToken":"x"}'],
    ["a list", 200, '{"value":[],"oidcToken":[]}'],
  ])("for %s it is refused, without the secret", async (_what, status, body) => {
    answer = { status, body };
    const failing = ask();
    await expect(failing).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
    await expect(failing).rejects.toThrow(/gave no token \(HTTP \d+\)/);
    await expect(failing).rejects.not.toThrow(new RegExp(SECRET));
  });

  it("since nobody answers, it is said so", async () => {
    server.close();
    server.closeAllConnections();
    await expect(ask()).rejects.toMatchObject({
      code: ErrorCode.UNREACHABLE,
      message: expect.stringMatching(/cannot be asked for a token: ECONNREFUSED/),
    });
  });
});
