import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { type ConnectionOptions, connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { CertificateAuthority, expiryOf, selfSigned } from "./index.ts";

const DAY_MS = 24 * 60 * 60_000;
let authority: CertificateAuthority;
let stranger: CertificateAuthority;
const close: (() => Promise<void>)[] = [];

beforeAll(async () => {
  authority = await CertificateAuthority.create("our authority", 2);
  stranger = await CertificateAuthority.create("our authority", 2); // by name the same
});

afterEach(async () => {
  await Promise.all(close.splice(0).map((end) => end()));
});

/** Does a TLS handshake with a server. @returns what the server saw of the client, or the error of either side */
async function handshake(server: TlsOptions, client: ConnectionOptions): Promise<string> {
  const listening = createServer(server);
  const sockets: TLSSocket[] = [];
  const seen = Promise.withResolvers<string>();
  listening.on("secureConnection", (socket) => {
    sockets.push(socket);
    seen.resolve(socket.getPeerX509Certificate()?.subject ?? "nobody");
  });
  listening.on("tlsClientError", (error: NodeJS.ErrnoException) => seen.resolve(error.code ?? error.message));
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as AddressInfo;
  const socket = connect({ host: "127.0.0.1", port, ...client });
  close.push(async () => {
    for (const open of [socket, ...sockets]) open.destroy();
    await new Promise<void>((resolve) => listening.close(() => resolve()));
  });
  const refused = new Promise<string>((resolve) =>
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)),
  );
  const connected = new Promise<string>((resolve) => socket.once("secureConnect", () => resolve(seen.promise)));
  return Promise.race([refused, connected]);
}

const serverKey = (hosts: string[], days = 1) => authority.issue({ commonName: "server", hosts, days });
const clientKey = (days = 1) => authority.issue({ commonName: "client", days });

describe("a server's certificate", () => {
  it.each([["127.0.0.1"], ["localhost"], ["relay.example.com"]])("is believed for %s", async (host) => {
    const tls = await serverKey(["127.0.0.1", "localhost", "relay.example.com"]);
    const name = host === "127.0.0.1" ? {} : { servername: host };
    expect(await handshake(tls, { ca: authority.pem, ...name })).toBe("nobody");
  });

  it("is believed for an IPv6 address", async () => {
    const { subjectAltName } = new X509Certificate((await serverKey(["::1"])).cert);
    expect(subjectAltName).toMatch(/IP Address:0:0:0:0:0:0:0:1/);
  });

  it("is not believed for another host", async () => {
    const tls = await serverKey(["relay.example.com"]);
    expect(await handshake(tls, { ca: authority.pem })).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(await handshake(tls, { ca: authority.pem, servername: "server" })).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  });

  it("is not believed under an authority of the same name", async () => {
    const code = await handshake(await serverKey(["127.0.0.1"]), { ca: stranger.pem });
    expect(code).toMatch(/UNABLE_TO_VERIFY|CERT_SIGNATURE_FAILURE|UNABLE_TO_GET_ISSUER/);
  });

  it("is not believed when it has expired", async () => {
    const code = await handshake(await serverKey(["127.0.0.1"], -0.001), { ca: authority.pem });
    expect(code).toBe("CERT_HAS_EXPIRED");
  });

  it("cannot sign another: it is no authority", async () => {
    const certificate = new X509Certificate((await serverKey(["127.0.0.1"])).cert);
    expect(certificate.ca).toBe(false);
    expect(new X509Certificate(authority.pem).ca).toBe(true);
    expect(certificate.checkIssued(new X509Certificate(authority.pem))).toBe(true);
  });

  it("says when it ends", async () => {
    const { cert } = await serverKey(["127.0.0.1"], 30);
    expect(Math.abs(expiryOf(cert).getTime() - Date.now() - 30 * DAY_MS)).toBeLessThan(60_000);
  });

  it("is valid for a clock that is an hour behind", async () => {
    const { validFromDate } = new X509Certificate((await serverKey(["127.0.0.1"])).cert);
    expect(Date.now() - validFromDate.getTime()).toBeGreaterThan(59 * 60_000);
  });

  it("has a positive serial number of its own, at most 20 bytes long (RFC 5280, 4.1.2.2)", async () => {
    const issued = await Promise.all(Array.from({ length: 20 }, () => clientKey()));
    const serials = issued.map(({ cert }) => new X509Certificate(cert).serialNumber);
    expect(new Set(serials).size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^01[0-9A-F]{30}$/);
  });

  it("has a key of its own, which is not the authority's", async () => {
    const [a, b] = await Promise.all([serverKey(["127.0.0.1"]), serverKey(["127.0.0.1"])]);
    expect(a?.key).not.toBe(b?.key);
    expect(a?.key).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(authority.pem).not.toMatch(/PRIVATE/);
  });
});

describe("a client's certificate", () => {
  const mutual = async (ca = authority.pem): Promise<TlsOptions> => ({
    ...(await serverKey(["127.0.0.1"])),
    ca,
    requestCert: true,
    rejectUnauthorized: true,
    maxVersion: "TLSv1.2", // the client then hears of the refusal within its handshake
  });

  it("is known by its name", async () => {
    expect(await handshake(await mutual(), { ca: authority.pem, ...(await clientKey()) })).toBe("CN=client");
  });

  it("is refused under another authority", async () => {
    const foreign = await stranger.issue({ commonName: "client", days: 1 });
    expect(await handshake(await mutual(), { ca: authority.pem, ...foreign })).not.toBe("CN=client");
  });

  it("is refused when it is missing", async () => {
    expect(await handshake(await mutual(), { ca: authority.pem })).not.toBe("nobody");
  });

  it("is refused when it is a server's", async () => {
    const wrong = await serverKey(["127.0.0.1"]);
    expect(await handshake(await mutual(), { ca: authority.pem, ...wrong })).not.toBe("CN=server");
  });

  it("does not serve as a server's", async () => {
    const code = await handshake(await clientKey(), { ca: authority.pem, checkServerIdentity: () => undefined });
    expect(code).toBe("INVALID_PURPOSE");
  });
});

describe("a certificate that vouches for itself", () => {
  it("is believed by whoever has it", async () => {
    const own = await selfSigned({ commonName: "fairlead proxy prod-eu1", hosts: ["127.0.0.1", "localhost"], days: 1 });
    expect(await handshake(own, { ca: own.cert })).toBe("nobody");
  });

  it("is not believed by others", async () => {
    const own = await selfSigned({ commonName: "own", hosts: ["127.0.0.1"], days: 1 });
    const other = await selfSigned({ commonName: "own", hosts: ["127.0.0.1"], days: 1 });
    expect(await handshake(own, { ca: other.cert })).not.toBe("nobody");
    expect(await handshake(own, {})).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
  });

  it("vouches for no other", async () => {
    const own = await selfSigned({ commonName: "own", hosts: ["127.0.0.1"], days: 1 });
    expect(new X509Certificate(own.cert).ca).toBe(false);
  });
});
