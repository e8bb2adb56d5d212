import { readFileSync } from "node:fs";
import { KubeConfig } from "@kubernetes/client-node";
import type { Endpoint, EndpointTls } from "../load/endpoint.ts";

/** The endpoint that kubectl would use. @throws Error if the kubeconfig names none */
export function endpointOfKubeconfig(file: string): Endpoint {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(file);
  const cluster = kubeconfig.getCurrentCluster();
  const user = kubeconfig.getCurrentUser();
  if (!cluster) throw new Error(`${file} has no current cluster`);
  const url = new URL(cluster.server);
  const pem = (inline: string | undefined, path: string | undefined): string | undefined => {
    if (inline) return Buffer.from(inline, "base64").toString();
    return path && readFileSync(path, "utf8");
  };
  const cert = pem(user?.certData, user?.certFile);
  const key = pem(user?.keyData, user?.keyFile);
  const tls: EndpointTls = {
    ca: pem(cluster.caData, cluster.caFile) ?? "",
    ...(cluster.tlsServerName && { servername: cluster.tlsServerName }),
    ...(cert && { cert }),
    ...(key && { key }),
  };
  return {
    host: url.hostname,
    port: Number(url.port),
    tls: url.protocol === "https:" ? tls : undefined,
    headers: user?.token ? { Authorization: `Bearer ${user.token}` } : {},
  };
}
