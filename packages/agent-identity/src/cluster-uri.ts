import type { X509Certificate } from "node:crypto";

const PREFIX = "fairlead:cluster:";
/** The one name of an agent's certificate, as node writes it. A cluster's name is a DNS label, so nothing is quoted. */
const ONE_URI = new RegExp(`^URI:${PREFIX}([a-z0-9-]{1,63})$`);

/** How an agent's certificate names its cluster, as a subject alternative name (RFC 5280, 4.2.1.6). */
export function clusterUri(cluster: string): string {
  return `${PREFIX}${cluster}`;
}

/** The cluster that an agent's certificate is for; undefined if it is no agent's. */
export function clusterOf(certificate: X509Certificate): string | undefined {
  return ONE_URI.exec(certificate.subjectAltName ?? "")?.[1];
}
