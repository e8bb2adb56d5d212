import type { Socket } from "node:net";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { serverNameOf } from "@fairlead/protocol";
import { Failure, reasonOf } from "./checks.ts";
import { type RelayAddress, STEP_MS } from "./relay-route.ts";

/** What verification says of a chain that does not end at an authority that counts (OpenSSL, X509_verify_cert_error_string). */
const UNTRUSTED = /^(UNABLE_TO_(VERIFY|GET_ISSUER)|SELF_SIGNED|DEPTH_ZERO_SELF_SIGNED|CERT_UNTRUSTED)/;

/** What node adds for whoever runs node. */
const NODES_ADVICE = /; if the root CA is installed locally.*$/;

/**
 * Makes TLS on a connection to the relay, with its certificate verified.
 *
 * @param socket belongs to the outcome from here on
 * @returns the connection. Either protocol may have been chosen: {@link http2Look} tells
 * @throws Failure that names the certificate that was shown
 */
export async function tlsLook(socket: Socket, { host, tls }: RelayAddress): Promise<TLSSocket> {
  const ALPNProtocols = ["h2", "http/1.1"];
  const secure = connect({ socket, host, ...serverNameOf(host), ...tls, ALPNProtocols, minVersion: "TLSv1.2" });
  let shown: PeerCertificate | undefined;
  // Before node's own listener, which verifies, and closes the connection if that fails.
  secure.prependOnceListener("secure", () => {
    shown = secure.getPeerCertificate();
  });
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const timer = setTimeout(() => reject(new Error(`no handshake within ${STEP_MS / 1_000} s`)), STEP_MS);
  secure.once("secureConnect", () => resolve(secure));
  secure.on("error", reject);
  secure.once("close", () => reject(new Error("the connection was closed within the handshake")));
  try {
    return await promise;
  } catch (cause) {
    secure.destroy();
    throw failureOf(cause, shown, host);
  } finally {
    clearTimeout(timer);
  }
}

/** What a certificate says of itself, in one line. */
export function certificateLine({ subject, issuer, valid_to: until }: PeerCertificate): string {
  return `certificate of ${subject?.CN ?? "nobody"}, by ${issuer?.CN ?? issuer?.O ?? "nobody"}, until ${isoOf(until)}`;
}

function failureOf(cause: unknown, shown: PeerCertificate | undefined, host: string): Failure {
  const code = String(Object(cause).code ?? "");
  const reason = reasonOf(cause).replace(NODES_ADVICE, "");
  const seen = shown?.subject ? `${reason} (${certificateLine(shown)})` : reason;
  const fail = (remedy: string): Failure => new Failure("tls", seen, remedy, { cause });
  const now = new Date().toISOString();
  if (code === "CERT_NOT_YET_VALID") {
    const early = `${seen}: it counts from ${isoOf(shown?.valid_from)} on, and here it is ${now}`;
    return new Failure("clock", early, "set this machine's clock (NTP)", { cause });
  }
  if (code === "CERT_HAS_EXPIRED")
    return fail(`renew the relay's certificate; if it is not past, this machine's clock is wrong: it says ${now}`);
  if (UNTRUSTED.test(code))
    return fail(
      "give the authority of the relay's certificate with --relay-ca FILE; if that is not who signed this one, something on the way answers in the relay's place",
    );
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return fail(`check that ${host} leads to the relay: another machine answers, or the certificate lacks this name`);
  if (/wrong version number|packet length too long|unknown protocol|EPROTO/i.test(`${code} ${reason}`))
    return fail("what answers there speaks no TLS: check the port, and for a portal or proxy on the way");
  return fail("something ends the handshake: a firewall that looks at names, or a machine that is not the relay");
}

function isoOf(time: string | undefined): string {
  const date = new Date(time ?? "");
  return Number.isNaN(date.getTime()) ? "an unknown time" : date.toISOString();
}
