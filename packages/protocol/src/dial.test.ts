import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createServer as createTlsServer,
  getCACertificates,
  setDefaultCACertificates,
  TLSSocket,
  type TlsOptions,
} from "node:tls";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { ConnectProxy, type ProxyOptions, withProxies } from "./connect-proxy-fixture.ts";
import { dial } from "./dial.ts";
import { Mailbox } from "./lane-fixture.ts";
import type { PeerAddress } from "./peer-address.ts";
import { PEER_CERT, PEER_KEY } from "./tls-fixture.ts";

const ends: (() => unknown)[] = [];
beforeEach(() => {
  ends.push(withProxies({}));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  jest.useRealTimers();
});

const never = new AbortController().signal;

/** A server, and the sockets that come to it by an event of its. */
async function listen(server: Server, event = "connection", path?: string) {
  const sockets = new Mailbox<Socket>();
  server.on(event, (socket: Socket) => sockets.put(socket));
  server.on("connection", (socket: Socket) => {
    ends.push(() => socket.destroy());
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => (path ? server.listen(path, resolve) : server.listen(0, "127.0.0.1", resolve)));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  return { sockets, port: path ? 0 : (server.address() as AddressInfo).port };
}

/** A TLS server that speaks HTTP/2 by its own account. */
function tlsPeer(options: TlsOptions = {}) {
  return listen(
    createTlsServer({ cert: PEER_CERT, key: PEER_KEY, ALPNProtocols: ["h2"], ...options }),
    "secureConnection",
  );
}

/** A server of TCP that says nothing. */
function silentPeer() {
  return listen(createServer());
}

async function dialed(peer: PeerAddress): Promise<Socket> {
  const socket = await dial(peer, never);
  ends.push(() => socket.destroy());
  return socket;
}

/** Shows that bytes go from one end to the other. */
async function expectJoined(socket: Socket, peer: Socket): Promise<void> {
  socket.write("hello");
  expect(String(await new Promise((resolve) => peer.once("data", resolve)))).toBe("hello");
}

describe("a peer is dialled", () => {
  it("at a TCP port", async () => {
    const { sockets, port } = await silentPeer();
    const socket = await dialed({ host: "127.0.0.1", port });
    expect(socket).not.toBeInstanceOf(TLSSocket);
    await expectJoined(socket, await sockets.take());
  });

  it("at a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dial-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "peer.sock");
    const { sockets } = await listen(createServer(), "connection", path);
    await expectJoined(await dialed({ path }), await sockets.take());
  });

  it.each([
    ["localhost", "localhost"],
    ["127.0.0.1", false],
  ])("over TLS, as %s: HTTP/2 by ALPN, the server name %s, and no warning", async (host, name) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning);
    process.on("warning", onWarning);
    ends.push(() => process.off("warning", onWarning));
    const { sockets, port } = await tlsPeer();
    const socket = await dialed({ host, port, tls: { ca: PEER_CERT } });
    const peer = (await sockets.take()) as TLSSocket & { servername: unknown };
    expect([peer.alpnProtocol, peer.servername]).toEqual(["h2", name]);
    await expectJoined(socket, peer);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });

  it("over TLS with a certificate of its own, if it has one", async () => {
    const { sockets, port } = await tlsPeer({ requestCert: true, ca: PEER_CERT });
    await dialed({ host: "127.0.0.1", port, tls: { ca: PEER_CERT, cert: PEER_CERT, key: PEER_KEY } });
    expect(((await sockets.take()) as TLSSocket).authorized).toBe(true);
  });
});

describe("a peer is not taken", () => {
  it.each<[string, TlsOptions]>([
    ["speaks no ALPN", { ALPNProtocols: [] }],
    ["speaks HTTP/1.1 only", { ALPNProtocols: ["http/1.1"] }],
  ])("that %s", async (_what, options) => {
    const { port } = await tlsPeer(options);
    const dialing = dial({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }, never);
    await expect(dialing).rejects.toThrow(/does not speak HTTP\/2|no application protocol/);
  });

  it.each([
    ["is not trusted", {}, "127.0.0.1", "self-signed certificate"],
    [
      "is another name's",
      { ca: PEER_CERT, servername: "other.test" },
      "127.0.0.1",
      "other.test. is not in the cert's altnames",
    ],
  ])("whose certificate %s, and it is shown nothing", async (_what, tls, host, sentence) => {
    const { sockets, port } = await tlsPeer();
    await expect(dial({ host, port, tls }, never)).rejects.toThrow(sentence);
    if (sockets.size > 0) expect((await sockets.take()).bytesRead).toBe(0);
  });

  it("whose TLS is older than 1.2", async () => {
    const { port } = await tlsPeer({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
    await expect(dial({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }, never)).rejects.toThrow(/protocol/);
  });

  it("where nobody listens", async () => {
    await expect(dial({ host: "127.0.0.1", port: 1 }, never)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(dial({ path: "/nowhere/peer.sock" }, never)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it.each(["end", "destroy", "resetAndDestroy"] as const)("that closes within the handshake (%s)", async (how) => {
    const { sockets, port } = await silentPeer();
    const dialing = dial({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }, never);
    void sockets.take().then((socket) => socket[how]());
    await expect(dialing).rejects.toThrow();
  });

  it("that speaks no TLS", async () => {
    const { sockets, port } = await silentPeer();
    const dialing = dial({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }, never);
    void sockets.take().then((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(dialing).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_SSL_/) });
  });

  it("that does not answer within 10 s, and the connection is closed", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask"] });
    const { sockets, port } = await silentPeer();
    const dialing = dial({ host: "127.0.0.1", port, tls: {} }, never);
    const failed = expect(dialing).rejects.toThrow("no connection in time");
    const socket = await sockets.take();
    socket.resume();
    jest.advanceTimersByTime(10_000);
    await failed;
    await new Promise((resolve) => socket.once("close", resolve));
    expect(jest.getTimerCount()).toBe(0);
  });

  it("once its caller gives up, with the caller's reason, and the connection is closed", async () => {
    const { sockets, port } = await silentPeer();
    const giveUp = new AbortController();
    const reason = new Error("the connection was closed");
    const dialing = dial({ host: "127.0.0.1", port, tls: {} }, giveUp.signal);
    const failed = expect(dialing).rejects.toBe(reason);
    const socket = await sockets.take();
    socket.resume();
    giveUp.abort(reason);
    await failed;
    await new Promise((resolve) => socket.once("close", resolve));
    await expect(dial({ host: "127.0.0.1", port }, giveUp.signal)).rejects.toBe(reason);
    expect(sockets.size).toBe(0);
  });

  it("or is, and no timer is left either way", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask"] });
    const { port } = await tlsPeer();
    await dialed({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } });
    expect(jest.getTimerCount()).toBe(0);
    await expect(dial({ host: "127.0.0.1", port, tls: {} }, never)).rejects.toThrow();
    expect(jest.getTimerCount()).toBe(0);
  });

  it("and what was dialled stays when the caller gives up later", async () => {
    const { sockets, port } = await tlsPeer();
    const giveUp = new AbortController();
    const socket = await dial({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }, giveUp.signal);
    ends.push(() => socket.destroy());
    giveUp.abort(new Error("late"));
    await expectJoined(socket, await sockets.take());
  });
});

describe("a peer behind a proxy", () => {
  async function proxied(options: ProxyOptions, credentials = "user:s3cret@") {
    const proxy = await ConnectProxy.start(options);
    ends.push(() => proxy.close());
    const scheme = options.tls ? "https" : "http";
    ends.push(withProxies({ HTTPS_PROXY: `${scheme}://${credentials}127.0.0.1:${proxy.port}` }));
    return { proxy, name: `127.0.0.1:${proxy.port}` };
  }
  const peer = { host: "relay.test", port: 8443, tls: { ca: PEER_CERT } };

  it("is spoken to by TLS from end to end: the proxy sees its name, and nothing else", async () => {
    const { sockets, port } = await tlsPeer();
    const { proxy } = await proxied({ to: port });
    const socket = await dialed(peer);
    const other = (await sockets.take()) as TLSSocket & { servername: unknown };
    expect([other.alpnProtocol, other.servername]).toEqual(["h2", "relay.test"]);
    await expectJoined(socket, other);
    const authorization = `Basic ${Buffer.from("user:s3cret").toString("base64")}`;
    const headers = expect.objectContaining({ host: "relay.test:8443", "proxy-authorization": authorization });
    expect(proxy.asked).toEqual([{ target: "relay.test:8443", headers }]);
    expect(proxy.passed).not.toContain("hello");
    socket.destroy();
    while (proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it("may be behind a proxy that is spoken to over TLS", async () => {
    const authorities = getCACertificates("default");
    ends.push(() => setDefaultCACertificates(authorities));
    setDefaultCACertificates([...authorities, PEER_CERT]);
    const { sockets, port } = await tlsPeer();
    const { proxy } = await proxied({ to: port, tls: true });
    await expectJoined(await dialed(peer), await sockets.take());
    expect(proxy.asked).toHaveLength(1);
  });

  it.each([
    ["is not trusted", { ...peer, tls: {} }, "self-signed certificate"],
    ["is another name's", { ...peer, host: "other.test" }, "other.test. is not in the cert's altnames"],
    ["is another address's", { ...peer, host: "10.0.0.1" }, "10.0.0.1 is not in the cert's list"],
  ])("is not taken if its certificate %s", async (_what, address, sentence) => {
    const { sockets, port } = await tlsPeer();
    const { proxy } = await proxied({ to: port });
    await expect(dial(address, never)).rejects.toThrow(sentence);
    if (sockets.size > 0) expect((await sockets.take()).bytesRead).toBe(0);
    while (proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it.each(["HTTP/1.1 407 no\r\n\r\n", "HTTP/1.1 403 no\r\n\r\n"])(
    "is not reached by another way if the proxy refuses with %j, and no credential is told",
    async (answer) => {
      const { name } = await proxied({ answer });
      const error = await dial(peer, never).then(
        () => undefined,
        (cause: Error) => cause,
      );
      expect(error?.message).toMatch(`the proxy ${name} does not connect to relay.test:8443: `);
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toMatch(/s3cret|user|Basic/);
    },
  );

  it.each([
    ["the proxy does not answer", (port: number) => ({ answer: "", port })],
    ["the peer behind it does not answer", (port: number) => ({ to: port })],
  ])("is given up after 10 s while %s", async (_what, options) => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask"] });
    const { sockets, port } = await silentPeer();
    const { proxy } = await proxied(options(port));
    const failed = expect(dial(peer, never)).rejects.toThrow("no connection in time");
    await proxy.came;
    if ("to" in options(port))
      await new Promise((resolve) => void sockets.take().then((socket) => socket.once("data", resolve)));
    jest.advanceTimersByTime(10_000);
    await failed;
    while (proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(jest.getTimerCount()).toBe(0);
  });

  it("fails if it closes behind the proxy within the handshake", async () => {
    const { sockets, port } = await silentPeer();
    await proxied({ to: port });
    void sockets.take().then((socket) => socket.resetAndDestroy());
    await expect(dial(peer, never)).rejects.toThrow();
  });

  it("is a TLS peer elsewhere only: loopback, plain TCP and what NO_PROXY names are reached directly", async () => {
    const tls = await tlsPeer();
    const plain = await silentPeer();
    const { proxy } = await proxied({ answer: "HTTP/1.1 403 no\r\n\r\n" });
    for (const host of ["127.0.0.1", "localhost"]) await dialed({ host, port: tls.port, tls: { ca: PEER_CERT } });
    await dialed({ host: "127.0.0.1", port: plain.port });
    process.env.NO_PROXY = "relay.test";
    await expect(dial(peer, never)).rejects.toMatchObject({ syscall: "getaddrinfo" });
    expect(proxy.asked).toEqual([]);
  });

  it("is not dialled at all where the environment names what is no proxy", async () => {
    ends.push(withProxies({ HTTPS_PROXY: "socks5://user:s3cret@127.0.0.1:1080" }));
    await expect(dial(peer, never)).rejects.toThrow("HTTPS_PROXY is not the address of an HTTP proxy");
  });
});
