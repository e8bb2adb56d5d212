/** A label's key and value as Kubernetes takes them (k8s.io/apimachinery, pkg/util/validation). */
const NAME = /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
/** Prefixes that mean something to Kubernetes or to us: a relay's administrator must not say it for the hub. */
const RESERVED = /(^|\.)(kubernetes\.io|k8s\.io|x-k8s\.io|fairlead\.dev)$/;

/**
 * The labels of a cluster that a Kubernetes object can have. The relay takes any text; one that Kubernetes refuses would
 * keep the whole object out.
 *
 * @returns them, and the keys of the others
 */
export function profileLabels(labels: Readonly<Record<string, string>>): {
  labels: Record<string, string>;
  leftOut: string[];
} {
  const taken: Record<string, string> = {};
  const leftOut: string[] = [];
  for (const [key, value] of Object.entries(labels)) {
    if (isKey(key) && (value === "" || NAME.test(value))) taken[key] = value;
    else leftOut.push(key);
  }
  return { labels: taken, leftOut };
}

function isKey(key: string): boolean {
  const slash = key.indexOf("/");
  if (slash < 0) return key !== "__proto__" && NAME.test(key);
  const prefix = key.slice(0, slash);
  return PREFIX.test(prefix) && !RESERVED.test(prefix) && NAME.test(key.slice(slash + 1));
}
