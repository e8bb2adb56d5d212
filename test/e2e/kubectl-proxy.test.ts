import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { KubectlProxy } from "../support/kubectl-proxy.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin, describeWithNode } = await setScene();

describe.each(kubectls(cluster))("HTTP through the proxy of $name", ({ kubectl }) => {
  let proxy: KubectlProxy;
  let namespace: string;
  let configMaps: string;

  beforeAll(async () => {
    proxy = await KubectlProxy.start(kubectl);
    namespace = await createNamespace(admin);
    configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
  });

  afterAll(() => proxy.stop());

  it("answers a GET as the apiserver does", async () => {
    await createConfigMap(admin, namespace, "lantern", { colour: "green" });
    const { statusCode, body } = await proxy.get(`${configMaps}/lantern`);
    expect(statusCode).toBe(200);
    expect(JSON.parse(body.toString())).toEqual(await admin.get(`${configMaps}/lantern`));
  });

  it("compresses an answer above 128 KiB when asked to, and says so", async () => {
    await createConfigMap(admin, namespace, "ballast", { stones: "stone ".repeat(50_000) });
    const plain = await proxy.get(`${configMaps}/ballast`, { "accept-encoding": "identity" });
    expect(plain.headers["content-encoding"]).toBeUndefined();

    const zipped = await proxy.get(`${configMaps}/ballast`, { "accept-encoding": "gzip" });
    expect(zipped.headers).toMatchObject({ "content-encoding": "gzip" });
    expect(zipped.headers.vary).toMatch(/Accept-Encoding/i);
    expect(zipped.body.length).toBeLessThan(plain.body.length / 10);
    expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
  });

  it("does not compress a small answer", async () => {
    const { headers } = await proxy.get("/version", { "accept-encoding": "gzip" });
    expect(headers["content-encoding"]).toBeUndefined();
  });

  it("keeps the headers by which discovery is revalidated: ETag, public, 304", async () => {
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const first = await proxy.get("/apis", { accept });
    expect(first.statusCode).toBe(200);
    expect(first.headers["content-type"]).toBe(accept);
    expect(first.headers["cache-control"]).toBe("public");
    const { etag } = first.headers;
    expect(etag).toMatch(/^"[0-9A-F]+"$/);

    const second = await proxy.get("/apis", { accept, "if-none-match": etag });
    expect(second).toMatchObject({ statusCode: 304, body: Buffer.alloc(0) });
  });

  it("passes on a Warning header as the apiserver wrote it", async () => {
    const { rawHeaders } = await proxy.get(`/api/v1/namespaces/${namespace}/endpoints`);
    const sentence = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
    expect(rawHeaders).toEqual(expect.arrayContaining(["Warning", `299 - "${sentence}"`]));
  });

  it("gives the apiserver's own refusal of what it cannot produce", async () => {
    const { statusCode, body } = await proxy.get(configMaps, { accept: "application/x-cargo" });
    expect(statusCode).toBe(406);
    expect(JSON.parse(body.toString())).toMatchObject({ kind: "Status", reason: "NotAcceptable" });
  });

  it("passes on protobuf as it is", async () => {
    await createConfigMap(admin, namespace, "anchor", { weight: "heavy" });
    const accept = "application/vnd.kubernetes.protobuf";
    const { headers, body } = await proxy.get(`${configMaps}/anchor`, { accept });
    expect(headers["content-type"]).toBe(accept);
    // The envelope's magic number (apimachinery, runtime/serializer/protobuf).
    expect(body.subarray(0, 4).toString("latin1")).toBe("k8s\0");
    expect(body.length).toBe(Number(headers["content-length"]));
    expect(body.includes("heavy")).toBe(true);
  });
});

describeWithNode.each(streamingKubectls(cluster))("exec through the proxy of $name", ({ kubectl }) => {
  it("is refused by kubectl proxy itself, unless it is told otherwise", async () => {
    const proxy = await KubectlProxy.start(kubectl);
    const path = "/api/v1/namespaces/default/pods/p1/exec?command=true&stdout=true";
    expect(await proxy.get(path)).toMatchObject({ statusCode: 403 });
    await proxy.stop();
  });

  it("works when kubectl proxy is told to let it through", async () => {
    const proxy = await KubectlProxy.start(kubectl, "--reject-paths=^/nothing$");
    const server = `--server=http://127.0.0.1:${proxy.port}`;
    const env = { KUBECONFIG: "/dev/null" };
    const args = ["exec", server, "-i", "p1", "--", "sh", "-c", "cat; exit 7"];
    const outcome = await kubectl.run(args, { env, stdin: "ahoy\n" });
    expect(outcome).toMatchObject({ code: 7, stdout: "ahoy\n" });
    await proxy.stop();
  });
});
