import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "@jest/globals";
import { ConnectProxy, type ProxyOptions, withProxies } from "./connect-proxy-fixture.ts";
import { connectThrough, proxyFor } from "./http-proxy.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const plain = { tls: false, authorization: undefined };

/** The proxy for a peer in an environment of these variables alone. */
function proxyIn(variables: Record<string, string>, host = "relay.test", port = 443) {
  const restore = withProxies(variables);
  try {
    return proxyFor(host, port);
  } finally {
    restore();
  }
}

describe("the proxy for a peer", () => {
  it.each([
    ["HTTPS_PROXY", "http://proxy.test:3128", { ...plain, host: "proxy.test", port: 3128 }],
    ["https_proxy", "http://proxy.test:3128/", { ...plain, host: "proxy.test", port: 3128 }],
    ["HTTPS_PROXY", "http://proxy.test", { ...plain, host: "proxy.test", port: 80 }],
    ["HTTPS_PROXY", "https://proxy.test", { ...plain, tls: true, host: "proxy.test", port: 443 }],
    ["HTTPS_PROXY", "proxy.test:3128", { ...plain, host: "proxy.test", port: 3128 }],
    ["HTTPS_PROXY", "10.0.0.1:3128", { ...plain, host: "10.0.0.1", port: 3128 }],
    ["HTTPS_PROXY", "http://[fd00::1]:3128", { ...plain, host: "fd00::1", port: 3128 }],
    ["HTTPS_PROXY", "http://127.0.0.1:3128", { ...plain, host: "127.0.0.1", port: 3128 }],
  ])("is what %s=%s says", (name, value, expected) => {
    expect(proxyIn({ [name]: value })).toEqual(expected);
  });

  it.each([
    ["user:secret@", "user:secret"],
    ["user@", "user:"],
    [":secret@", ":secret"],
    ["us%40er:p%3Ass%2F%25@", "us@er:p:ss/%"],
    ["%C3%BCser:%E2%82%AC@", "üser:€"],
  ])("is shown the credentials %s of its URL", (userinfo, credentials) => {
    const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
    expect(proxyIn({ HTTPS_PROXY: `http://${userinfo}proxy.test:1` })).toMatchObject({ authorization });
    expect(proxyIn({ HTTPS_PROXY: `${userinfo}proxy.test:1` })).toMatchObject({ authorization, host: "proxy.test" });
  });

  it("is what the variable in lower case says, if both are there", () => {
    const both = { HTTPS_PROXY: "http://upper.test", https_proxy: "http://lower.test" };
    expect(proxyIn(both)).toMatchObject({ host: "lower.test" });
    expect(proxyIn({ ...both, no_proxy: "x.test", NO_PROXY: "relay.test" })).toBeDefined();
    expect(proxyIn({ ...both, no_proxy: "relay.test", NO_PROXY: "x.test" })).toBeUndefined();
  });

  it.each([
    {},
    { HTTPS_PROXY: "" },
    { HTTP_PROXY: "http://p.test" },
    { http_proxy: "http://p.test" },
    { ALL_PROXY: "socks5://p.test" },
  ])("is none where the environment has %j", (variables) =>
    expect(proxyIn(variables as Record<string, string>)).toBeUndefined(),
  );

  it.each([
    "localhost",
    "LOCALHOST",
    "x.localhost",
    "localhost.",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "::ffff:127.0.0.1",
  ])("is none for the loopback peer %s", (host) =>
    expect(proxyIn({ HTTPS_PROXY: "http://p.test" }, host)).toBeUndefined(),
  );

  it.each(["localhost.test", "xlocalhost", "128.0.0.1", "::2", "fd00::1", "127.0.0.1.test", "relay.test"])(
    "is there for the peer %s",
    (host) => {
      expect(proxyIn({ HTTPS_PROXY: "http://p.test" }, host)).toBeDefined();
    },
  );

  it.each([
    ["*", "relay.test"],
    ["relay.test", "relay.test"],
    ["RELAY.test", "relay.TEST"],
    ["x.test, relay.test", "relay.test"],
    ["x.test relay.test", "relay.test"],
    ["relay.test:443", "relay.test"],
    [".test", "relay.test"],
    ["*.test", "relay.test"],
    ["test", "relay.test"],
    ["example.test", "a.b.example.test"],
    ["10.1.2.3", "10.1.2.3"],
    ["10.0.0.0/8", "10.1.2.3"],
    ["x,10.1.2.3/32 ,y", "10.1.2.3"],
    ["0.0.0.0/0", "10.1.2.3"],
    ["[fd00::1]", "fd00::1"],
    ["fd00::/8", "fd00::1"],
  ])("is none where NO_PROXY is %s and the peer %s", (exempt, host) => {
    expect(proxyIn({ HTTPS_PROXY: "http://p.test", NO_PROXY: exempt }, host)).toBeUndefined();
    expect(proxyIn({ HTTPS_PROXY: "http://p.test", no_proxy: exempt }, host)).toBeUndefined();
  });

  it.each([
    ["relay.test:444", "relay.test"],
    ["elay.test", "relay.test"],
    ["a.relay.test", "relay.test"],
    ["relay", "relay.test"],
    [",, ,", "relay.test"],
    ["10.0.0.0/8", "11.0.0.0"],
    ["10.0.0.0/8", "10.0.0.1.test"],
    ["10.0.0.0/33", "10.0.0.0"],
    ["10.0.0.0/", "10.0.0.1"],
    ["10.0.0.0/8/8", "10.0.0.1"],
    ["x/8", "10.0.0.1"],
    ["fd00::/129", "fd00::1"],
    ["fd00::/8", "10.0.0.1"],
    ["10", "10.0.0.1"],
    ["0.1", "10.0.0.1"],
  ])("is there where NO_PROXY is %s and the peer %s", (exempt, host) => {
    expect(proxyIn({ HTTPS_PROXY: "http://p.test", NO_PROXY: exempt }, host)).toBeDefined();
  });

  it.each([
    "socks5://user:secret@p.test:1080",
    "ftp://user:secret@p.test",
    "http://user:secret@",
    "http://user:secret@p.test:99999",
    "http://user:secret@p test",
    "http://user:secret%@p.test",
    "http://user:secret%ff@p.test",
    "user:secret",
  ])("is refused if it is %s, and nothing of that is shown", (value) => {
    const thrown = ((): unknown => {
      try {
        return proxyIn({ HTTPS_PROXY: value });
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toMatchObject({ message: "HTTPS_PROXY is not the address of an HTTP proxy; give http://HOST:PORT" });
    expect([(thrown as Error).cause, JSON.stringify(thrown, Object.getOwnPropertyNames(thrown))]).toEqual([
      undefined,
      expect.not.stringMatching(/user|secret/),
    ]);
  });
});

async function proxyOn(options: ProxyOptions) {
  const proxy = await ConnectProxy.start(options);
  ends.push(() => proxy.close());
  const address = { tls: false, host: "127.0.0.1", port: proxy.port, authorization: "Basic c2VjcmV0" };
  return { proxy, address, name: `127.0.0.1:${proxy.port}` };
}

/** A peer that sends back what it gets. */
async function echo(): Promise<number> {
  const server = createServer((socket) => {
    ends.push(() => socket.destroy());
    socket.on("error", () => {}).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const never = new AbortController().signal;

describe("a connection through a proxy", () => {
  it.each([
    ["relay.test", 443, "relay.test:443"],
    ["10.0.0.1", 8443, "10.0.0.1:8443"],
    ["fd00::1", 443, "[fd00::1]:443"],
  ])("to %s %i is asked for with CONNECT, and carries bytes both ways", async (host, port, target) => {
    const { proxy, address } = await proxyOn({ to: await echo() });
    const socket = await connectThrough(address, host, port, never);
    ends.push(() => socket.destroy());
    socket.write("hello");
    expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("hello");
    expect(proxy.asked).toEqual([
      { target, headers: expect.objectContaining({ host: target, "proxy-authorization": "Basic c2VjcmV0" }) },
    ]);
    expect(proxy.passed).toBe("hello");
  });

  it("shows no credentials if there are none", async () => {
    const { proxy, address } = await proxyOn({ to: await echo() });
    (await connectThrough({ ...address, authorization: undefined }, "relay.test", 443, never)).destroy();
    expect(Object.keys(proxy.asked[0]?.headers ?? {})).not.toContain("proxy-authorization");
  });

  it("gives the bytes that came with the proxy's answer", async () => {
    const { address } = await proxyOn({ answer: "HTTP/1.1 200 OK\r\n\r\nfirst" });
    const socket = await connectThrough(address, "relay.test", 443, never);
    ends.push(() => socket.destroy());
    expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("first");
  });

  it.each([
    ["HTTP/1.1 407 Basic c2VjcmV0\r\nContent-Length: 2\r\n\r\nno", "it wants credentials (HTTP 407)"],
    ["HTTP/1.1 403 Basic c2VjcmV0\r\n\r\nBasic c2VjcmV0", "it answers HTTP 403"],
    ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "it answers HTTP 502"],
    ["HTTP/1.1 302 Found\r\nLocation: http://evil.test\r\n\r\n", "it answers HTTP 302"],
    ["HTTP/1.1 199 x\r\n\r\n", "it answers HTTP 199"],
    ["SSH-2.0-Basic c2VjcmV0\r\n\r\n", "Parse Error: Expected HTTP/, RTSP/ or ICE/"],
  ])("that the proxy answers with %j is refused, with the proxy named and nothing repeated", async (answer, reason) => {
    const { address, name } = await proxyOn({ answer });
    const failed = connectThrough(address, "relay.test", 443, never);
    const error = await failed.then(
      () => undefined,
      (cause: Error) => cause,
    );
    expect(error?.message).toBe(`the proxy ${name} does not connect to relay.test:443: ${reason}`);
    expect([error?.cause, JSON.stringify(error, Object.getOwnPropertyNames(error))]).toEqual([
      undefined,
      expect.not.stringContaining("c2VjcmV0"),
    ]);
  });

  it("fails where no proxy listens, with the proxy named", async () => {
    const nowhere = { tls: false, host: "127.0.0.1", port: 1, authorization: "Basic c2VjcmV0" };
    await expect(connectThrough(nowhere, "relay.test", 443, never)).rejects.toThrow(
      "the proxy 127.0.0.1:1 does not connect to relay.test:443: connect ECONNREFUSED 127.0.0.1:1",
    );
  });

  it("fails when the proxy closes without an answer", async () => {
    const { proxy, address, name } = await proxyOn({ answer: "" });
    const failed = connectThrough(address, "relay.test", 443, never);
    void proxy.came.then(() => proxy.close());
    await expect(failed).rejects.toThrow(`the proxy ${name} does not connect to relay.test:443: socket hang up`);
  });

  it("is given up, and closed, while the proxy does not answer", async () => {
    const { proxy, address, name } = await proxyOn({ answer: "" });
    const giveUp = new AbortController();
    const failed = connectThrough(address, "relay.test", 443, giveUp.signal);
    await proxy.came;
    giveUp.abort(new Error("no connection in time"));
    await expect(failed).rejects.toThrow(`the proxy ${name} does not connect to relay.test:443: no connection in time`);
    while (proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it("is not given up any more once it is there", async () => {
    const { address } = await proxyOn({ to: await echo() });
    const giveUp = new AbortController();
    const socket = await connectThrough(address, "relay.test", 443, giveUp.signal);
    ends.push(() => socket.destroy());
    giveUp.abort(new Error("late"));
    socket.write("hello");
    expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("hello");
  });

  it("to a proxy that speaks TLS is refused if the proxy's certificate is not trusted", async () => {
    const { proxy, address } = await proxyOn({ to: await echo(), tls: true });
    const failed = connectThrough({ ...address, tls: true }, "relay.test", 443, never);
    await expect(failed).rejects.toThrow("self-signed certificate");
    expect(proxy.asked).toEqual([]);
  });
});
