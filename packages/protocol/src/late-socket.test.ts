import { once } from "node:events";
import { connect, createSecureServer } from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, expect, it } from "@jest/globals";
import { ConnectProxy, withProxies } from "./connect-proxy-fixture.ts";
import { LateSocket } from "./late-socket.ts";
import { PEER_CERT, PEER_KEY } from "./tls-fixture.ts";

let server: Server | undefined;
let proxy: ConnectProxy | undefined;
let restore = (): void => {};
afterEach(async () => {
  restore();
  await proxy?.close();
  proxy = undefined;
  server?.close();
});

/** A server that sends back what comes, and ends when it has ended. */
async function echo(): Promise<number> {
  server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

it("carries what is written before it is there, both ways, to the end", async () => {
  const socket = new LateSocket({ host: "127.0.0.1", port: await echo() });
  const sent = Buffer.alloc(1_000_000, "fairlead");
  socket.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(sent)).toBe(true);
});

it("fails as dial does", async () => {
  const socket = new LateSocket({ host: "127.0.0.1", port: 1 });
  const [error] = await once(socket, "error");
  expect(error.message).toMatch(/ECONNREFUSED/);
});

it("is given up before it is there, and the dialling with it", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const accepted = once(silent, "connection");
  const socket = new LateSocket({ host: "127.0.0.1", port, tls: {} });
  const [peer] = await accepted;
  socket.destroy();
  await Promise.all([once(socket, "close"), once(peer.resume(), "close")]); // long before a handshake may take
  silent.close();
}, 5_000);

it("has HTTP/2 go through the proxy that the environment names", async () => {
  proxy = await ConnectProxy.start({ answer: "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n" });
  restore = withProxies({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  const session = connect("https://relay.test", {
    createConnection: () => new LateSocket({ host: "relay.test", port: 443, tls: {} }),
  });
  const [error] = await once(session, "error");
  expect(error.message).toMatch(/does not connect to relay.test:443: it wants credentials \(HTTP 407\)/);
  expect(proxy.asked).toMatchObject([{ target: "relay.test:443" }]);
});

it("has HTTP/2 get through such a proxy, to a peer that is verified", async () => {
  const peer = createSecureServer({ cert: PEER_CERT, key: PEER_KEY }, (_request, response) => response.end("ok"));
  server = peer;
  await once(peer.listen(0, "127.0.0.1"), "listening");
  proxy = await ConnectProxy.start({ to: (peer.address() as AddressInfo).port });
  restore = withProxies({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  const session = connect("https://relay.test", {
    createConnection: () => new LateSocket({ host: "relay.test", port: 443, tls: { ca: PEER_CERT } }),
  });
  const stream = session.request({ ":path": "/" });
  let answer = "";
  for await (const chunk of stream) answer += chunk;
  expect(answer).toBe("ok");
  session.close();
});
