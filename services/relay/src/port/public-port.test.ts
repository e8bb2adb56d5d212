import { once } from "node:events";
import { connect } from "node:tls";
import { CertificateAuthority } from "@fairlead/certificates";
import { expect, it } from "@jest/globals";
import { PublicPort, type Served } from "./public-port.ts";

it("a renewed certificate is shown from the next connection on, and over HTTP/2 still; older versions of TLS stay refused", async () => {
  const authority = await CertificateAuthority.create("authority", 1);
  const issue = async () => {
    const { cert, key } = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
    return { cert: Buffer.from(cert), key: Buffer.from(key) };
  };
  const [first, second] = [await issue(), await issue()];
  const port = new PublicPort(first, {} as Served);
  const number = await port.listen("127.0.0.1", 0);
  const shown = async (options: object = {}) => {
    const socket = connect({ host: "127.0.0.1", port: number, ca: authority.pem, ALPNProtocols: ["h2"], ...options });
    await once(socket, "secureConnect");
    const seen = { cert: socket.getPeerX509Certificate()?.toString().trim(), alpn: socket.alpnProtocol };
    socket.destroy();
    return seen;
  };
  expect(await shown()).toEqual({ cert: first.cert.toString().trim(), alpn: "h2" });
  port.renewTls(second);
  expect(await shown()).toEqual({ cert: second.cert.toString().trim(), alpn: "h2" });
  await expect(shown({ maxVersion: "TLSv1.1", minVersion: "TLSv1.1" })).rejects.toThrow();
  port.drain();
  port.destroy();
});
