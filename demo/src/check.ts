import { execFile } from "node:child_process";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import {
  AuthorizationV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  Log,
  type V1Pod,
  type V1Status,
  Watch,
} from "@kubernetes/client-node";
import { tell } from "./progress.ts";

const run = promisify(execFile);
/** How long one check may take, in milliseconds. */
const CHECK_MS = 20_000;

/** A check that does not fit the cluster, with the reason. */
class Skipped extends Error {}

/**
 * Runs get, watch, logs and exec through the tunnel with @kubernetes/client-node, and kubectl where there is one.
 *
 * @returns whether all went well; what could not be tried is said, and does not count as a failure
 */
export async function check(kubeconfigFile: string): Promise<boolean> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(kubeconfigFile);
  const checks: [string, () => Promise<string>][] = [
    ["get", () => get(kubeconfig)],
    ["watch", () => watch(kubeconfig)],
    ["logs", () => logs(kubeconfig)],
    ["exec", () => exec(kubeconfig)],
    ["kubectl", () => kubectl(kubeconfigFile)],
  ];
  let passed = 0;
  let failed = 0;
  for (const [name, one] of checks) {
    try {
      tell(`  ✓ ${name}: ${await withTimeout(one())}`);
      passed++;
    } catch (error) {
      if (!(error instanceof Skipped)) failed++;
      const reason = error instanceof Error ? error.message : String(error);
      tell(error instanceof Skipped ? `  - ${name} was not tried: ${reason}` : `  ✗ ${name}: ${reason}`);
    }
  }
  return failed === 0 && passed > 0;
}

async function get(kubeconfig: KubeConfig): Promise<string> {
  const { items } = await kubeconfig.makeApiClient(CoreV1Api).listNamespace();
  if (!items.some((namespace) => namespace.metadata?.name === "default")) throw new Error("no namespace default");
  return `${items.length} namespaces`;
}

/** The events that a watch starts with are answer enough: they come only once its head has passed. */
async function watch(kubeconfig: KubeConfig): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = await new Watch(kubeconfig).watch(
    "/api/v1/namespaces",
    {},
    (type, object) => resolve(`${type} ${object?.metadata?.name ?? ""}`),
    (error) => reject(error ?? new Error("the watch ended before an event")),
  );
  try {
    return await promise;
  } finally {
    request.abort();
  }
}

async function logs(kubeconfig: KubeConfig): Promise<string> {
  const { namespace, name, container } = await runningPod(kubeconfig);
  const output = new PassThrough();
  const [[chunk]] = await Promise.all([
    once(output, "data"),
    new Log(kubeconfig).log(namespace, name, container, output, { tailLines: 5 }),
  ]);
  const [line = ""] = String(chunk).split("\n");
  return `${name}: ${line.slice(0, 60)}`;
}

async function exec(kubeconfig: KubeConfig): Promise<string> {
  const { namespace, name, container } = await runningPod(kubeconfig);
  const resourceAttributes = { namespace, verb: "create", resource: "pods", subresource: "exec" };
  const review = await kubeconfig
    .makeApiClient(AuthorizationV1Api)
    .createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } });
  if (!review.status?.allowed) throw new Skipped("the cluster does not allow it to the demo's person (see --role)");
  const output = new PassThrough();
  const { promise, resolve } = Promise.withResolvers<V1Status>();
  const command = ["sh", "-c", "echo hello; exit 7"];
  await new Exec(kubeconfig).exec(namespace, name, container, command, output, null, null, false, resolve);
  const status = await promise;
  const text = String(output.read()).trim();
  const code = status.details?.causes?.find((cause) => cause.reason === "ExitCode")?.message;
  if (text !== "hello" || code !== "7") throw new Error(`it printed ${text} and ended with ${code ?? status.status}`);
  return `${name}: printed hello, exit code 7`;
}

async function kubectl(kubeconfigFile: string): Promise<string> {
  try {
    const args = ["--kubeconfig", kubeconfigFile, "get", "pods", "--all-namespaces", "--output", "name"];
    const { stdout } = await run("kubectl", args, { timeout: CHECK_MS });
    return `${stdout.trim().split("\n").filter(Boolean).length} pods`;
  } catch (error) {
    if (Object(error).code === "ENOENT") throw new Skipped("there is no kubectl on the PATH");
    throw new Error(String(Object(error).stderr || error).trim());
  }
}

async function runningPod(kubeconfig: KubeConfig): Promise<{ namespace: string; name: string; container: string }> {
  const { items } = await kubeconfig.makeApiClient(CoreV1Api).listPodForAllNamespaces();
  const pod = items.find((one: V1Pod) => one.status?.phase === "Running");
  const { namespace, name } = pod?.metadata ?? {};
  const container = pod?.spec?.containers[0]?.name;
  if (!namespace || !name || !container) throw new Skipped("no pod runs in the cluster");
  return { namespace, name, container };
}

async function withTimeout(result: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result within ${CHECK_MS / 1000} s`)), CHECK_MS);
  });
  try {
    return await Promise.race([result, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
