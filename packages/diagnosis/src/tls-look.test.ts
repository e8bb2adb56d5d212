import { once } from "node:events";
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net";
import { createServer } from "node:tls";
import { CertificateAuthority, type CertificateOptions } from "@fairlead/certificates";
import { afterEach, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { tlsLook } from "./tls-look.ts";

let authority: CertificateAuthority;
let server: Server | undefined;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test authority", 1);
});
afterEach(() => {
  jest.restoreAllMocks();
  server?.close();
});

async function listen(made: Server): Promise<number> {
  server = made;
  await once(made.listen(0, "127.0.0.1"), "listening");
  return (made.address() as AddressInfo).port;
}

/** Serves TLS. @returns the port */
async function serve(says: Partial<CertificateOptions> = {}): Promise<number> {
  const certified = await authority.issue({ commonName: "test relay", hosts: ["127.0.0.1"], days: 1, ...says });
  return listen(createServer({ ...certified, ALPNProtocols: ["h2"] }, (socket) => socket.on("error", () => {})));
}

async function look(port: number, ca = authority.pem) {
  const address = { host: "127.0.0.1", port, tls: { ca: Buffer.from(ca) } };
  const secure = await tlsLook(
    connect(port, "127.0.0.1").on("error", () => {}),
    address,
  );
  secure.destroy();
  return secure;
}

describe("TLS", () => {
  it("is made, with HTTP/2 agreed on", async () => {
    expect((await look(await serve())).alpnProtocol).toBe("h2");
  });

  it("fails with who signed the certificate, if that is nobody who counts", async () => {
    const other = await CertificateAuthority.create("other authority", 1);
    await expect(look(await serve(), other.pem)).rejects.toMatchObject({
      check: "tls",
      seen: expect.stringMatching(
        /^unable to verify the first certificate \(certificate of test relay, by test authority, until 20/,
      ),
      remedy: expect.stringContaining("--relay-ca"),
    });
  });

  it("fails if the certificate has expired, and says what time it is here", async () => {
    await expect(look(await serve({ days: -0.01 }))).rejects.toMatchObject({
      ...{ check: "tls", seen: expect.stringContaining("certificate has expired") },
      remedy: expect.stringContaining(new Date().toISOString().slice(0, 13)),
    });
  });

  it("blames the clock if the certificate is not valid yet", async () => {
    const later = Date.now() + 7_200_000;
    jest.spyOn(Date, "now").mockReturnValue(later);
    const port = await serve();
    jest.restoreAllMocks();
    await expect(look(port)).rejects.toMatchObject({ check: "clock", remedy: expect.stringContaining("NTP") });
  });

  it("fails if the certificate is for another name", async () => {
    await expect(look(await serve({ hosts: ["relay.example.com"] }))).rejects.toMatchObject({
      ...{ check: "tls", remedy: expect.stringContaining("another machine answers") },
    });
  });

  it("fails if what answers speaks no TLS", async () => {
    const port = await listen(createTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
    await expect(look(port)).rejects.toMatchObject({ check: "tls", remedy: expect.stringContaining("speaks no TLS") });
  });

  it("fails if the handshake is cut", async () => {
    const port = await listen(createTcpServer((socket) => socket.once("data", () => socket.destroy())));
    await expect(look(port)).rejects.toMatchObject({ check: "tls", remedy: expect.stringContaining("firewall") });
  });
});
