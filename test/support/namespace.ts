import { randomBytes } from "node:crypto";
import type { ApiClient } from "./api-client.ts";

/** A namespace for one test, so that tests see nothing of each other. Nobody deletes it: the test bed is thrown away. */
export async function createNamespace(
  admin: ApiClient,
  labels: Readonly<Record<string, string>> = {},
): Promise<string> {
  const name = `test-${randomBytes(4).toString("hex")}`;
  await admin.create("/api/v1/namespaces", { metadata: { name, labels } });
  return name;
}

export async function createConfigMap(
  admin: ApiClient,
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>> = {},
): Promise<void> {
  await admin.create(`/api/v1/namespaces/${namespace}/configmaps`, { metadata: { name }, data });
}
