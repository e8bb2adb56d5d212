import { once } from "node:events";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { RedirectListener } from "./redirect-listener.ts";

const STATE = "the-state";
let listener: RedirectListener;
let redirect: URL;
let giveUp: AbortController;

beforeEach(async () => {
  listener = new RedirectListener(STATE);
  redirect = new URL(await listener.listen(0));
  giveUp = new AbortController();
});
afterEach(() => listener.close());

function visit(
  path: string,
  { host = redirect.host, method = "GET" } = {},
): Promise<{ status: number; body: string; headers: object }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: redirect.port, path, method, headers: { host }, agent: false });
    sent.on("error", reject).on("response", async (response) => {
      let body = "";
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode ?? 0, body, headers: response.headers });
    });
    sent.end();
  });
}

const finish = async (url: URL) => url.searchParams.get("code");

describe("the listener for a browser that comes back", () => {
  it("is on loopback alone, at an exact address", () => {
    expect(redirect.hostname).toBe("127.0.0.1");
    expect(redirect.pathname).toBe("/callback");
  });

  it("takes what has this login's state, and tells the browser after the login is done", async () => {
    const finished = listener.finished(giveUp.signal, finish);
    const { status, body, headers } = await visit(`/callback?code=c1&state=${STATE}`);
    expect(await finished).toBe("c1");
    expect({ status, body }).toEqual({ status: 200, body: expect.stringContaining("You are logged in") });
    expect(headers).toMatchObject({ "content-security-policy": "default-src 'none'", "cache-control": "no-store" });
  });

  it("tells the browser that the login failed, and its caller why", async () => {
    const finished = listener.finished(giveUp.signal, async () => {
      throw new Error("the code was used before");
    });
    const [answer] = await Promise.all([
      visit(`/callback?code=c1&state=${STATE}`),
      expect(finished).rejects.toThrow("used before"),
    ]);
    expect(answer).toMatchObject({ status: 400, body: expect.stringContaining("The login failed") });
  });

  it.each([
    ["another state", "/callback?code=c1&state=other", {}, 400],
    ["no state", "/callback?code=c1", {}, 400],
    ["two states", `/callback?code=c1&state=${STATE}&state=other`, {}, 400],
    ["the state twice", `/callback?code=c1&state=${STATE}&state=${STATE}`, {}, 400],
    ["another path", `/callback/x?code=c1&state=${STATE}`, {}, 404],
    [
      "a name that leads to loopback (DNS rebinding)",
      `/callback?code=c1&state=${STATE}`,
      { host: "evil.example" },
      404,
    ],
    ["another method", `/callback?code=c1&state=${STATE}`, { method: "POST" }, 404],
    ["a target of another origin", `http://evil.example/callback?code=c1&state=${STATE}`, {}, 404],
  ])("turns away a request with %s, and waits on", async (_what, path, how, status) => {
    const finished = listener.finished(giveUp.signal, finish);
    expect((await visit(path, how)).status).toBe(status);
    const [, code] = await Promise.all([visit(`/callback?code=mine&state=${STATE}`), finished]);
    expect(code).toBe("mine");
  });

  it("shows nothing of a request in its page", async () => {
    const { body } = await visit("/callback?state=<script>alert(1)</script>&code=x");
    expect(body).not.toContain("script");
  });

  it("waits no longer than it is told", async () => {
    const finished = listener.finished(giveUp.signal, finish);
    giveUp.abort(new Error("five minutes are over"));
    await expect(finished).rejects.toThrow("five minutes are over");
    await expect(listener.finished(giveUp.signal, finish)).rejects.toThrow("five minutes are over");
  });

  it("takes it once, and answers whoever comes again", async () => {
    const finished = listener.finished(giveUp.signal, finish);
    await visit(`/callback?code=c1&state=${STATE}`);
    expect((await visit(`/callback?code=c2&state=${STATE}`)).status).toBe(409);
    expect(await finished).toBe("c1");
  });

  it("is not kept open by a connection that says nothing", async () => {
    const silent = connect(Number(redirect.port), "127.0.0.1");
    await once(silent, "connect");
    const closed = once(silent, "close");
    const [, code] = await Promise.all([
      visit(`/callback?code=c1&state=${STATE}`),
      listener.finished(giveUp.signal, finish),
    ]);
    listener.close();
    await closed;
    expect(code).toBe("c1");
  });

  it("says so if the port is taken", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve(Number(Object(server.address()).port)));
    });
    const other = new RedirectListener(STATE);
    await expect(other.listen(port)).rejects.toThrow(
      `port ${port} of this machine is taken; give another --redirect-port`,
    );
    other.close();
    server.close();
  });
});
