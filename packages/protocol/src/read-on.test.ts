import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createSecureServer,
  createServer,
  type ServerOptions,
} from "node:http2";
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { dial } from "./dial.ts";
import { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { GrpcClientStream } from "./grpc-client-stream.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcServerStream } from "./grpc-server-stream.ts";
import { LANE_CLIENT_OPTIONS, LANE_SERVER_OPTIONS } from "./http2-settings.ts";
import { settled } from "./lane-fixture.ts";
import type { PeerAddress } from "./peer-address.ts";
import { receiveWindows } from "./receive-windows.ts";
import { PEER_CERT, PEER_KEY } from "./tls-fixture.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LANES = 100;
const HEADERS = { ":method": "POST", ":path": "/fairlead.test/Call" };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  jest.restoreAllMocks();
});

/** Where a server listens: on a Unix socket, or on loopback with TLS. */
async function listening(server: Server, over: "unix" | "tls"): Promise<PeerAddress> {
  const path = join(tmpdir(), `fairlead-read-on-${process.pid}.sock`);
  await once(over === "unix" ? server.listen(path) : server.listen(0, "127.0.0.1"), "listening");
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  if (over === "unix") return { path };
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port, tls: { ca: PEER_CERT } };
}

/** A server of lanes that sends back each message, and lets its peers send `window` bytes ahead. */
function echo(over: "unix" | "tls", window: number): Promise<PeerAddress> {
  const settings = { ...LANE_SERVER_OPTIONS.settings, initialWindowSize: window };
  const options: ServerOptions = { ...LANE_SERVER_OPTIONS, settings };
  const server =
    over === "unix" ? createServer(options) : createSecureServer({ ...options, cert: PEER_CERT, key: PEER_KEY });
  server.on("session", (session) => {
    session.setLocalWindowSize(window);
    ends.push(() => session.destroy());
  });
  server.on("stream", (stream) => {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const nothing = () => {};
    call.start({
      message: (message) => void call.send(message),
      ended: () => call.end(),
      drained: nothing,
      closed: nothing,
    });
  });
  return listening(server, over);
}

/** Lets the peer send `window` bytes ahead on a connection, and waits until it knows. */
async function widen(session: ClientHttp2Session, window: number): Promise<void> {
  session.setLocalWindowSize(window);
  session.settings({ initialWindowSize: window });
  await once(session, "localSettings");
  await new Promise((resolve) => session.ping(resolve));
}

/** Opens a connection by its first stream, with windows that stay at `window`. */
async function opened(connection: GrpcConnection, window: number): Promise<ClientHttp2Stream> {
  jest.spyOn(receiveWindows, "received").mockImplementation(() => {});
  ends.push(() => connection.close());
  const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Stream>();
  connection.request({ headers: HEADERS, opened: resolve, failed: reject });
  const stream = await promise;
  stream.on("error", () => {});
  if (stream.session) await widen(stream.session as ClientHttp2Session, window);
  return stream;
}

/** Sends a megabyte in frames of 64 KiB. @returns how many bytes came back when the call has ended well */
function sendMegabyte(connection: GrpcConnection): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const call = new GrpcClientStream(connection, "/fairlead.test/Call", { peerHop: Hop.RELAY });
  let bytes = 0;
  call.start({
    message: (message) => {
      bytes += message.length;
    },
    ended: () => {},
    drained: () => {},
    closed: (error) => (error ? reject(error) : resolve(bytes)),
  });
  for (let i = 0; i < 16; i++) call.send(Buffer.alloc(64 * KIB));
  call.end();
  return promise;
}

describe.each<["unix" | "tls", number]>([
  ["unix", MIB],
  ["tls", 16 * MIB],
])("a hundred streams over %s that send and echo a megabyte each at the same moment", (over, window) => {
  it("stall node's HTTP/2 by itself; once they do not, ReadOn can go", async () => {
    const socket = await dial(await echo(over, window), new AbortController().signal);
    const session = connectHttp2("http://localhost", { ...LANE_CLIENT_OPTIONS, createConnection: () => socket });
    ends.push(() => socket.destroy());
    await once(session, "remoteSettings");
    await widen(session, window);
    for (let i = 0; i < LANES; i++) {
      const stream = session
        .request(HEADERS)
        .on("error", () => {})
        .resume();
      stream.end(Buffer.concat([Buffer.from([0, 0, 16, 0, 0]), Buffer.alloc(MIB)]));
    }
    expect(await settled(() => socket.bytesRead)).toBeLessThan(LANES * MIB);
  });

  it("get all of it back by our client", async () => {
    const peer = await echo(over, window);
    const connection = new GrpcConnection(() => peer);
    await opened(connection, window);
    const bytes = await Promise.all(Array.from({ length: LANES }, () => sendMegabyte(connection)));
    expect(bytes).toEqual(bytes.map(() => MIB));
  }, 60_000);
});

/** An HTTP/2 frame (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe("a peer that reads nothing and sends without end", () => {
  it("is read no further than its window and 1 MiB", async () => {
    const windows = Buffer.from([0, 4, 1, 0, 0, 0]); // SETTINGS_INITIAL_WINDOW_SIZE: 16 MiB
    const grant = Buffer.from([1, 0, 0, 0]);
    const sockets: Socket[] = [];
    const server = createPlainServer((socket) => {
      sockets.push(socket.on("error", () => {}));
      ends.push(() => socket.destroy());
      socket.write(Buffer.concat([frame(4, 0, 0, windows), frame(8, 0, 0, grant), frame(4, 1, 0, Buffer.alloc(0))]));
      socket.resume();
    });
    const peer = await listening(server, "unix");
    const connection = new GrpcConnection(() => peer);
    ends.push(() => connection.close());
    const call = new GrpcClientStream(connection, "/fairlead.test/Call", { peerHop: Hop.RELAY });
    call.start({ message: () => {}, ended: () => {}, drained: () => {}, closed: () => {} });
    call.send(Buffer.alloc(64 * KIB));
    const socket = await until(() => sockets.find(({ bytesRead }) => bytesRead > 64 * KIB));
    socket.pause();
    for (let i = 0; i < 64; i++) call.send(Buffer.alloc(64 * KIB));
    const bytes = Buffer.concat(Array.from({ length: 6_000 }, () => frame(0, 0, 1, Buffer.alloc(1))));
    socket.write(frame(1, 4, 1, Buffer.from([0x88]))); // HEADERS: 200
    const pour = (): void => {
      while (socket.write(bytes));
    };
    socket.on("drain", pour);
    pour();
    const taken = await settled(() => socket.bytesWritten - socket.writableLength);
    expect(taken).toBeGreaterThan(MIB);
    expect(taken).toBeLessThan(5 * MIB); // 256 KiB, 1 MiB, what one turn reads more, and what the kernel holds
  });
});

async function until<T>(what: () => T | undefined): Promise<T> {
  for (;;) {
    const found = what();
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
