/** A TCP port of a Service of the cluster. */
export interface ServicePort {
  namespace: string;
  name: string;
  /** 1 to 65535. */
  port: number;
}

/** The protocol that a connection to a Service is asked for by, in the place of an HTTP upgrade's. */
export const TCP_UPGRADE = "tcp.fairlead.dev";

/** An API group that no apiserver serves: what is below it ends at the identity proxy. */
const OWN_PREFIX = "/apis/tunnel.fairlead.dev";
/** Names of Services and namespaces have no dot (RFC 1123 labels), and so nothing that a path or a list could mistake. */
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const PORT = "[1-9]\\d{0,4}";
const TARGET = new RegExp(
  `^${OWN_PREFIX.replaceAll(".", "\\.")}/v1alpha1/namespaces/(${LABEL})/services/(${LABEL}):(${PORT})/portforward$`,
);
const TEXT = new RegExp(`^(${LABEL})/(${LABEL}):(${PORT})$`);

/**
 * The target of a request for a connection to a Service. It has Kubernetes' own form, so that relay and scopes judge it
 * by resource and subresource as they do a port-forward to a pod.
 */
export function serviceTarget({ namespace, name, port }: ServicePort): string {
  return `${OWN_PREFIX}/v1alpha1/namespaces/${namespace}/services/${name}:${port}/portforward`;
}

/** Whether a target is below the prefix that never goes on to the apiserver. */
export function isOwnTarget(target: string): boolean {
  return target.startsWith(OWN_PREFIX) && /^([/?]|$)/.test(target.slice(OWN_PREFIX.length));
}

/** The port that a target names, if it is exactly what {@link serviceTarget} makes; undefined for any other. */
export function servicePortOf(target: string): ServicePort | undefined {
  return fromMatch(TARGET.exec(target));
}

/** Reads `NAMESPACE/NAME:PORT`; undefined for any other text, patterns and host names among them. */
export function parseServicePort(text: string): ServicePort | undefined {
  return fromMatch(TEXT.exec(text));
}

/** Whether a text can be the name of a Service or of a namespace (RFC 1123 label). */
export function isServiceLabel(text: string): boolean {
  return LABEL_ALONE.test(text);
}

const LABEL_ALONE = new RegExp(`^${LABEL}$`);

/** As the list of a cluster's owner and error sentences have it: `NAMESPACE/NAME:PORT`. */
export function servicePortText({ namespace, name, port }: ServicePort): string {
  return `${namespace}/${name}:${port}`;
}

function fromMatch(match: RegExpExecArray | null): ServicePort | undefined {
  const [, namespace, name, digits] = match ?? [];
  const port = Number(digits);
  return namespace !== undefined && name !== undefined && port <= 65_535 ? { namespace, name, port } : undefined;
}
