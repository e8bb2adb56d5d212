import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type Server } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { CertificateAuthority } from "@fairlead/certificates";
import { UpstreamPool } from "@fairlead/http-bridge";
import { AccessService, GrpcConnection, methodPath } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { LaneServer, type ListenOptions } from "./lane-server.ts";
import { Requester } from "./requester-fixture.ts";

const PATH = methodPath(AccessService.method.exchange);
let folder: string;
let upstream: Server;
let authority: CertificateAuthority;
let stranger: CertificateAuthority;
const close: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  authority = await CertificateAuthority.create("agents", 1);
  stranger = await CertificateAuthority.create("agents", 1);
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  upstream = createHttpServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  for (const end of close.splice(0).reverse()) await end();
  await new Promise<void>((resolve) => {
    upstream.close(() => resolve());
    upstream.closeAllConnections();
  });
  await rm(folder, { recursive: true });
});

/** A lane server whose requests go to a plain server. @returns it and where it listens */
async function start(listen: ListenOptions): Promise<{ server: LaneServer; address: string }> {
  const { port } = upstream.address() as AddressInfo;
  const headers = ["Host", "upstream"];
  const pool = new UpstreamPool({ host: "127.0.0.1", port });
  close.push(() => pool.retire());
  const server = new LaneServer(listen, { prepareFor: () => () => ({ pool, headers }) });
  const address = await server.start();
  close.push(() => server.stop(0));
  return { server, address };
}

function requester(address: string, tls?: ConnectionOptions): Requester {
  const client = new GrpcConnection(() => {
    if (tls === undefined) return { path: address.slice("unix:".length) };
    const { hostname, port } = new URL(address);
    return { host: hostname, port: Number(port), tls };
  });
  close.push(() => client.close());
  return new Requester(client);
}

const socketPath = () => join(folder, "run", "identity.sock");
const unix = (): ListenOptions => ({ kind: "unix", path: socketPath() });
const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe("on a Unix socket, the identity proxy", () => {
  it("is for its own user only: the socket is 0600, the folder 0700", async () => {
    const { address } = await start(unix());
    expect(address).toBe(`unix:${socketPath()}`);
    expect(await mode(socketPath())).toBe("600");
    expect(await mode(join(folder, "run"))).toBe("700");
  });

  it("leaves the process's umask as it was", async () => {
    const before = process.umask();
    await start(unix());
    expect(process.umask()).toBe(before);
  });

  it("serves lanes, one exchange after the other", async () => {
    const { server, address } = await start(unix());
    const lane = requester(address);
    await lane.opened;
    for (let i = 0; i < 3; i++) expect((await lane.exchange({})).body).toBe("ok");
    expect(server.counts).toEqual({ sessions: 1, lanes: 1 });
  });

  it("takes the place of a socket that a killed process left", async () => {
    const { server } = await start(unix());
    await server.stop(0);
    await writeFile(socketPath(), "");
    const { address } = await start(unix());
    expect(await mode(socketPath())).toBe("600");
    await requester(address).opened;
  });

  it("removes its socket when it stops", async () => {
    const { server } = await start(unix());
    await server.stop(0);
    await expect(stat(socketPath())).rejects.toThrow(/ENOENT/);
  });

  it("cannot start where there is no room for a socket", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    await expect(start({ kind: "unix", path: join(file, "identity.sock") })).rejects.toThrow(/EEXIST|ENOTDIR/);
  });
});

describe("by mutual TLS, the identity proxy", () => {
  async function listenTls(): Promise<ListenOptions> {
    const own = await authority.issue({ commonName: "identity-proxy", hosts: ["127.0.0.1"], days: 1 });
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    return {
      kind: "tls",
      host: "127.0.0.1",
      port: 0,
      cert: await file("tls.crt", own.cert),
      key: await file("tls.key", own.key),
      clientCa: await file("ca.crt", authority.pem),
    };
  }

  /** Credentials of a client: its certificate is the given authority's, or none. */
  async function client(signer?: CertificateAuthority, trusted = authority) {
    const own = await signer?.issue({ commonName: "agent", days: 1 });
    return { ca: trusted.pem, ...(own && { key: own.key, cert: own.cert }) };
  }

  it("serves an agent whose certificate its authority signed", async () => {
    const { server, address } = await start(await listenTls());
    const lane = requester(address, await client(authority));
    await lane.opened;
    expect((await lane.exchange({})).body).toBe("ok");
    expect(server.counts).toEqual({ sessions: 1, lanes: 1 });
  });

  it("refuses a client without certificate", async () => {
    const { server, address } = await start(await listenTls());
    await expect(requester(address, await client()).opened).rejects.toThrow(/connection was lost/);
    expect(server.counts.lanes).toBe(0);
  });

  it("refuses a client whose certificate is of another authority of the same name", async () => {
    const { server, address } = await start(await listenTls());
    await expect(requester(address, await client(stranger)).opened).rejects.toThrow(/connection was lost/);
    expect(server.counts.lanes).toBe(0);
  });

  it("refuses a client that shows a server's certificate", async () => {
    const { address } = await start(await listenTls());
    const wrong = await authority.issue({ commonName: "identity-proxy", hosts: ["127.0.0.1"], days: 1 });
    const credential = { ca: authority.pem, key: wrong.key, cert: wrong.cert };
    await expect(requester(address, credential).opened).rejects.toThrow(/connection was lost/);
  });

  it("is not believed by an agent that trusts another authority", async () => {
    const { address } = await start(await listenTls());
    const lane = requester(address, await client(authority, stranger));
    await expect(lane.opened).rejects.toThrow(/certificate/);
  });

  it("refuses TLS 1.2 and plain text", async () => {
    const { address } = await start(await listenTls());
    const { port } = new URL(address);
    const own = await authority.issue({ commonName: "agent", days: 1 });
    const old = connectTls({ host: "127.0.0.1", port: Number(port), ca: authority.pem, ...own, maxVersion: "TLSv1.2" });
    const [error] = await once(old, "error").catch((reason) => [reason]);
    expect(String(error)).toMatch(/protocol|alert/i);
    const plain = connectSocket(Number(port), "127.0.0.1");
    plain.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    plain.resume();
    await once(plain, "close");
  });
});

describe("what is no lane", () => {
  let session: ClientHttp2Session;

  beforeEach(async () => {
    await start(unix());
    session = connect("http://localhost", { createConnection: () => connectSocket(socketPath()) });
    await once(session, "connect");
    close.push(() => new Promise<void>((resolve) => session.close(resolve)));
  });

  const headersOf = async (headers: Record<string, string>) => {
    const stream = session.request(headers, { endStream: true });
    const [answer] = await once(stream, "response");
    stream.resume();
    await once(stream, "close");
    return answer;
  };

  it.each([
    ["another method of the service", { ":method": "POST", ":path": `${PATH}X` }],
    ["another service", { ":method": "POST", ":path": "/fairlead.tunnel.v1alpha1.TunnelService/Attach" }],
    ["a path of Kubernetes'", { ":method": "POST", ":path": "/api/v1/namespaces" }],
    ["GET on the lane's path", { ":method": "GET", ":path": PATH }],
    ["the lane's path with a query", { ":method": "POST", ":path": `${PATH}?a=b` }],
  ])("is answered with UNIMPLEMENTED: %s", async (_what, headers) => {
    expect(await headersOf(headers)).toMatchObject({ ":status": 200, "grpc-status": "12" });
  });

  it("may be reset by its peer, in any way: the process lives on", async () => {
    for (const code of [0x1, 0x2, 0x3, 0x7, 0x8, 0xb, 0xff]) {
      const stream = session.request({ ":method": "POST", ":path": "/nope" });
      stream.on("error", () => {});
      stream.write("x");
      stream.close(code);
      await new Promise<void>((resolve) => stream.on("close", resolve));
    }
    expect(await headersOf({ ":method": "POST", ":path": "/nope" })).toMatchObject({ "grpc-status": "12" });
  });
});

describe("when it stops, the identity proxy", () => {
  it("ends idle lanes in good order and takes no new one", async () => {
    const { server, address } = await start(unix());
    const lane = requester(address);
    await lane.opened;
    await server.stop(10_000);
    expect(server.counts.lanes).toBe(0);
    await expect(requester(address).opened).rejects.toThrow();
  });

  it("lets an exchange end within the grace", async () => {
    let answer: (() => void) | undefined;
    upstream.removeAllListeners("request");
    const asked = new Promise<void>((resolve) =>
      upstream.on("request", (_request, response) => {
        answer = () => void response.end("late");
        resolve();
      }),
    );
    const { server, address } = await start(unix());
    const lane = requester(address);
    await lane.opened;
    const answered = lane.exchange({});
    await asked;
    const stopped = server.stop(10_000);
    answer?.();
    expect((await answered).body).toBe("late");
    await stopped;
    expect(server.counts.lanes).toBe(0);
  });

  it("cuts an exchange at the end of the grace", async () => {
    upstream.removeAllListeners("request");
    const asked = once(upstream, "request");
    const { server, address } = await start(unix());
    const lane = requester(address);
    await lane.opened;
    const answered = lane.exchange({});
    await asked;
    const refused = expect(answered).rejects.toThrow();
    await server.stop(100);
    await refused;
    expect(server.counts.lanes).toBe(0);
  });
});
