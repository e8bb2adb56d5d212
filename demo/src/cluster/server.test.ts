import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type ClusterFixture, startFixture } from "./cluster-fixture.ts";
import { fieldAt, listAt, textAt } from "./kubernetes-object.ts";

const configMapsPath = "/api/v1/namespaces/default/configmaps";
let cluster: ClusterFixture;

beforeAll(async () => {
  cluster = await startFixture();
});
afterAll(() => cluster.close());

function create(name: string) {
  return cluster.ask(configMapsPath, { method: "POST", body: { metadata: { name }, data: { a: "1" } } });
}

describe("the demo cluster", () => {
  it("calls itself a demo in its version", async () => {
    const { answer } = await cluster.ask("/version");
    expect(answer.gitVersion).toMatch(/fairlead-demo$/);
  });

  it("refuses an update that starts from an old resourceVersion", async () => {
    const { answer } = await create("conflicted");
    const path = `${configMapsPath}/conflicted`;
    const first = await cluster.ask(path, { method: "PUT", body: { ...answer, data: { a: "2" } } });
    const second = await cluster.ask(path, { method: "PUT", body: { ...answer, data: { a: "3" } } });
    expect(first.code).toBe(200);
    expect(second).toMatchObject({ code: 409, answer: { kind: "Status", reason: "Conflict" } });
  });

  it("changes nothing in a dry run", async () => {
    const path = `${configMapsPath}?dryRun=All`;
    const body = { metadata: { name: "dry" } };
    expect(await cluster.ask(path, { method: "POST", body })).toMatchObject({ code: 201 });
    expect(await cluster.ask(`${configMapsPath}/dry`)).toMatchObject({ code: 404, answer: { reason: "NotFound" } });
  });

  it("refuses an unknown field only when validation is strict", async () => {
    const body = { metadata: { name: "strict" }, wrong: 1 };
    const strict = await cluster.ask(`${configMapsPath}?fieldValidation=Strict`, { method: "POST", body });
    const lenient = await cluster.ask(configMapsPath, { method: "POST", body });
    expect(textAt(strict.answer, "message")).toContain('unknown field "wrong"');
    expect(lenient.code).toBe(201);
  });

  it("refuses a body over 3 MiB", async () => {
    const body = { metadata: { name: "big" }, data: { x: "x".repeat(3 * 1024 * 1024) } };
    expect(await cluster.ask(configMapsPath, { method: "POST", body })).toMatchObject({ code: 413 });
  });

  it("lists in chunks that add up to the whole", async () => {
    const names: string[] = [];
    let token = "";
    do {
      const { answer } = await cluster.ask(`/api/v1/pods?limit=1&continue=${token}`);
      names.push(...listAt(answer, "items").map((pod) => textAt(pod, "metadata", "name")));
      token = textAt(answer, "metadata", "continue");
    } while (token !== "");
    const whole = await cluster.ask("/api/v1/pods");
    expect(names).toEqual(listAt(whole.answer, "items").map((pod) => textAt(pod, "metadata", "name")));
  });

  it("answers an unchanged aggregated discovery with 304", async () => {
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    const first = await cluster.open("/apis", { headers: { accept } });
    first.resume();
    const headers = { accept, "if-none-match": String(first.headers.etag) };
    const second = await cluster.open("/apis", { headers });
    second.resume();
    expect([first.statusCode, second.statusCode]).toEqual([200, 304]);
  });

  it("watches on from the version of a list", async () => {
    const { answer } = await cluster.ask(configMapsPath);
    const from = textAt(answer, "metadata", "resourceVersion");
    await create("arrived");
    const response = await cluster.open(`${configMapsPath}?watch=true&resourceVersion=${from}`);
    for await (const chunk of response) {
      const event: unknown = JSON.parse(String(chunk));
      expect(textAt(event, "type")).toBe("ADDED");
      expect(fieldAt(event, "object", "metadata", "name")).toBe("arrived");
      break;
    }
  });

  it("ends a followed log when its pod is gone", async () => {
    const pods = "/api/v1/namespaces/default/pods";
    const { answer } = await cluster.ask(`${pods}?labelSelector=app%3Dorders`);
    const pod = textAt(listAt(answer, "items")[0], "metadata", "name");
    const log = await cluster.open(`${pods}/${pod}/log?follow=true`);
    await cluster.ask(`${pods}/${pod}`, { method: "DELETE" });
    let text = "";
    for await (const chunk of log) text += chunk;
    expect(text).toContain("demo orders: listening");
  });
});
