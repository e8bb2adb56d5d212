import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type Http2Server } from "node:http2";
import { type AddressInfo, connect as dial } from "node:net";
import { afterEach, describe, expect, it } from "@jest/globals";
import { IdleSessions, type IdleSessionsOptions } from "./idle-sessions.ts";

const LONG = 600_000;
let server: Http2Server;
const clients: ClientHttp2Session[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  server.close();
});

/** A server on loopback whose calls end when they are told to. @returns its port */
async function listen(options: IdleSessionsOptions): Promise<number> {
  const idle = new IdleSessions(options);
  server = createServer();
  server.on("session", (session) => idle.add(session));
  server.on("stream", (stream) => stream.respond({ ":status": 200 }, { endStream: false }));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

function client(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`).on("error", () => {});
  clients.push(session);
  return session;
}

describe("a connection without a call", () => {
  it("is ended, by a peer that says nothing at all", async () => {
    const socket = dial(await listen({ firstCallMs: 50, idleMs: LONG }), "127.0.0.1");
    await once(socket.resume(), "close");
  });

  it("is ended with GOAWAY, by a peer that has said hello", async () => {
    const session = client(await listen({ firstCallMs: 50, idleMs: LONG }));
    const [code] = await once(session, "goaway");
    expect(code).toBe(0);
    await once(session, "close");
  });

  it("is ended after its last call, and not between two of them", async () => {
    const session = client(await listen({ firstCallMs: LONG, idleMs: 100 }));
    for (let i = 0; i < 3; i++) {
      const stream = session.request({ ":path": "/" });
      await once(stream, "response");
      await new Promise((resolve) => setTimeout(resolve, 150)); // longer than it may be idle
      expect(session.closed).toBe(false);
      stream.close();
      await once(stream, "close");
    }
    await once(session, "close");
  });
});
