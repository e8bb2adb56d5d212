import { Agent, request as httpRequest } from "node:http";
import { createServer as createHttpsServer, request as httpsRequest } from "node:https";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { followConnecting } from "./connecting.ts";
import { ORIGIN_CERT, ORIGIN_KEY } from "./tls-fixture.ts";
import { WireServer } from "./wire-fixture.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  jest.useRealTimers();
  for (const end of ends.splice(0)) await end();
});

async function listening(server = new WireServer()): Promise<WireServer> {
  await server.start();
  ends.push(() => server.close());
  return server;
}

/** Only timers are faked: sockets and their events stay real. */
function fakeTimers(): void {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask", "performance", "Date"] });
}

describe("the connection of a request", () => {
  it("is made when TCP is, without TLS", async () => {
    const server = await listening();
    const request = httpRequest({ host: "127.0.0.1", port: server.port, agent: false });
    const connecting = followConnecting(request);
    expect(connecting.made).toBe(false);
    request.on("error", () => {}).end();
    await (await server.accept()).head();
    expect(connecting.made).toBe(true);
    request.destroy();
  });

  it("is not made when nobody listens", async () => {
    const request = httpRequest({ host: "127.0.0.1", port: 1, agent: false });
    const connecting = followConnecting(request);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => request.on("error", resolve));
    request.end();
    expect((await failed).code).toBe("ECONNREFUSED");
    expect(connecting.made).toBe(false);
  });

  it("is not made when the server's certificate is not trusted", async () => {
    const tls = { cert: ORIGIN_CERT, key: ORIGIN_KEY };
    const server = await listening(new WireServer(createTlsServer(tls), "secureConnection"));
    const request = httpsRequest({ host: "127.0.0.1", port: server.port, agent: false });
    const connecting = followConnecting(request);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => request.on("error", resolve));
    request.end();
    expect((await failed).code).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    expect(connecting.made).toBe(false);
  });

  it("is made when TLS is", async () => {
    const server = createHttpsServer({ cert: ORIGIN_CERT, key: ORIGIN_KEY }, (_request, response) =>
      response.end("ok"),
    );
    const wires = await listening(new WireServer(server, "secureConnection"));
    const request = httpsRequest({ host: "127.0.0.1", port: wires.port, agent: false, ca: ORIGIN_CERT });
    const connecting = followConnecting(request);
    await new Promise((resolve) => request.on("response", resolve).end());
    expect(connecting.made).toBe(true);
    request.destroy();
  });

  it("is given up after 4 s when the server takes TCP and says nothing in TLS", async () => {
    const server = await listening();
    fakeTimers();
    const request = httpsRequest({ host: "127.0.0.1", port: server.port, agent: false });
    const connecting = followConnecting(request);
    const failed = new Promise<Error>((resolve) => request.on("error", resolve));
    request.end();
    await (await server.accept()).until(1); // the ClientHello
    jest.advanceTimersByTime(3_999);
    expect(request.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    expect((await failed).message).toBe("no connection within 4 s");
    expect(connecting.made).toBe(false);
  });

  it("has no limit once it is made: a watch may be silent for ever", async () => {
    const server = await listening();
    fakeTimers();
    const request = httpRequest({ host: "127.0.0.1", port: server.port, agent: false });
    followConnecting(request);
    request.on("error", () => {}).end();
    await (await server.accept()).head();
    jest.advanceTimersByTime(24 * 60 * 60_000);
    expect(request.destroyed).toBe(false);
    request.destroy();
  });

  it("is made from the start for a kept connection", async () => {
    const server = await listening();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = () => httpRequest({ host: "127.0.0.1", port: server.port, agent });
    const first = send();
    const answered = new Promise<void>((resolve) => {
      first.on("response", (response) => response.resume().on("close", () => resolve()));
    });
    first.end();
    const wire = await server.accept();
    await wire.head();
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await answered;

    const second = send();
    const connecting = followConnecting(second);
    second.on("error", () => {}).end();
    await new Promise((resolve) => second.on("socket", resolve));
    expect([second.reusedSocket, connecting.made]).toEqual([true, true]);
    second.destroy();
    agent.destroy();
  });
});
