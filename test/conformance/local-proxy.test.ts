import { readFile } from "node:fs/promises";
import { connect } from "node:tls";
import { describe, expect, it } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";

const { cluster } = await setScene();

describe("heads at every hop", () => {
  it("of almost 1 MiB reach the apiserver", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["X-Large", "x".repeat(1_000_000)]);
    expect(answer.status).toBe(200);
  });

  it("of more than 1 MiB are answered with 431 and a Status", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["X-Large", "x".repeat(1_100_000)]);
    expect(answer.status).toBe(431);
    expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", code: 431 });
    expect(JSON.parse(answer.body).message).toMatch(/fairlead: client proxy: .*larger than 1 MiB/);
  });
});

describe("the local proxy", () => {
  it("refuses a web page, by its Origin", async () => {
    const answer = await rawRequest(cluster.kubeconfig, "/version", ["Origin", "https://example.com"]);
    expect(answer.status).toBe(403);
  });

  const malformed: [string, string][] = [
    ["a foreign Host (DNS rebinding)", "GET /version HTTP/1.1\r\nHost: evil.example\r\n"],
    ["no credential", "GET /version HTTP/1.1\r\nHost: HOST\r\n"],
    ["a wrong credential", "GET /version HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer wrong\r\n"],
    ["two Authorization headers", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nAUTH\r\n"],
    ["an absolute target", "GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n"],
    ["a backslash in the target", "GET /..\\..\\version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\n"],
    [
      "Content-Length with Transfer-Encoding",
      "POST /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ],
    [
      "two Content-Lengths",
      "POST /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    ],
    ["a folded header", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nX-Fold: a\r\n b\r\n"],
    ["an h2c upgrade", "GET /version HTTP/1.1\r\nHost: HOST\r\nAUTH\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"],
  ];

  it.each(malformed)("refuses %s", async (_, head) => {
    expect(await rawStatus(head)).toMatch(/^HTTP\/1\.1 (400|401|403) /);
  });
});

/** Sends bytes as they are and returns the first line of the answer. */
async function rawStatus(template: string): Promise<string> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(await readFile(cluster.kubeconfig, "utf8"));
  const { server = "", caData = "" } = kubeconfig.getCurrentCluster() ?? {};
  const { hostname, host, port } = new URL(server);
  const head = template
    .replaceAll("AUTH", `Authorization: Bearer ${kubeconfig.getCurrentUser()?.token}`)
    .replaceAll("HOST", host);
  const socket = connect({ host: hostname, port: Number(port), ca: Buffer.from(caData, "base64") });
  socket.write(`${head}\r\n`);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.once("data", (chunk) => resolve(chunk.toString("latin1").split("\r\n")[0] ?? "")).once("error", reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
