import { describe, expect, it } from "@jest/globals";
import { kubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin } = await setScene();

function configMap(name: string, colour: string): string {
  return JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { colour } });
}

describe.each(kubectls(cluster))("writing with $name", ({ kubectl }) => {
  it("applies: creates, changes, and leaves alone what is the same", async () => {
    const namespace = await createNamespace(admin);
    const apply = (colour: string) =>
      kubectl.run(["apply", "-n", namespace, "-f", "-"], { stdin: configMap("buoy", colour) });

    expect(await apply("red")).toMatchObject({ code: 0, stdout: "configmap/buoy created\n" });
    expect(await apply("green")).toMatchObject({ code: 0, stdout: "configmap/buoy configured\n" });
    expect(await apply("green")).toMatchObject({ code: 0, stdout: "configmap/buoy unchanged\n" });
    const stored = await admin.get(`/api/v1/namespaces/${namespace}/configmaps/buoy`);
    expect(stored).toMatchObject({ data: { colour: "green" } });
  });

  it("applies on the server, as the field manager kubectl", async () => {
    const namespace = await createNamespace(admin);
    const args = ["apply", "--server-side", "-n", namespace, "-f", "-"];
    const outcome = await kubectl.run(args, { stdin: configMap("buoy", "red") });
    expect(outcome).toMatchObject({ code: 0, stdout: "configmap/buoy serverside-applied\n" });
    const stored = await admin.get(`/api/v1/namespaces/${namespace}/configmaps/buoy`);
    expect(stored.metadata?.managedFields).toMatchObject([{ manager: "kubectl", operation: "Apply" }]);
  });

  it("is told by the server whose fields it would overwrite", async () => {
    const namespace = await createNamespace(admin);
    const args = ["apply", "--server-side", "-n", namespace, "-f", "-"];
    const first = [...args, "--field-manager=harbour-master"];
    await kubectl.run(first, { stdin: configMap("buoy", "red") });
    const outcome = await kubectl.run(args, { stdin: configMap("buoy", "green") });
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toMatch(/conflict with "harbour-master": \.data\.colour/);
  });

  it("names the field manager after the User-Agent when the client names none", async () => {
    const namespace = await createNamespace(admin);
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const args = ["create", "--raw", path, "-f", "-"];
    expect(await kubectl.run(args, { stdin: configMap("buoy", "red") })).toMatchObject({ code: 0 });
    const stored = await admin.get(`${path}/buoy`);
    expect(stored.metadata?.managedFields).toMatchObject([
      { manager: expect.stringMatching(/^kubectl/), operation: "Update" },
    ]);
  });

  it("exits 1 from diff when there are differences, and 0 when there are none", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "buoy", { colour: "red" });
    const diff = (colour: string) =>
      kubectl.run(["diff", "-n", namespace, "-f", "-"], { stdin: configMap("buoy", colour) });

    const different = await diff("green");
    expect(different).toMatchObject({ code: 1 });
    expect(different.stdout).toMatch(/^- {2}colour: red\n\+ {2}colour: green$/m);
    expect(await diff("red")).toMatchObject({ code: 0, stdout: "" });
  });

  it("deletes, and waits until the object is gone", async () => {
    const namespace = await createNamespace(admin);
    await createConfigMap(admin, namespace, "buoy");
    const outcome = await kubectl.run(["delete", "configmap", "buoy", "-n", namespace]);
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringMatching(/^configmap "buoy" deleted/) });
    const gone = admin.get(`/api/v1/namespaces/${namespace}/configmaps/buoy`);
    await expect(gone).rejects.toMatchObject({ statusCode: 404 });
  });

  it("takes a megabyte of object", async () => {
    const namespace = await createNamespace(admin);
    const colour = "x".repeat(1_000_000);
    const args = ["create", "-n", namespace, "-f", "-"];
    const outcome = await kubectl.run(args, { stdin: configMap("buoy", colour) });
    expect(outcome).toMatchObject({ code: 0, stdout: "configmap/buoy created\n" });
    const stored = await admin.get(`/api/v1/namespaces/${namespace}/configmaps/buoy`);
    expect(stored).toMatchObject({ data: { colour } });
  });

  it("shows every warning of the apiserver, commas and quotes included", async () => {
    const namespace = await createNamespace(admin, { "pod-security.kubernetes.io/warn": "restricted" });
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "hull" },
      spec: { containers: [{ name: "c", image: "local", colour: "red" }] },
    };
    const args = ["create", "--validate=warn", "-n", namespace, "-f", "-"];
    const outcome = await kubectl.run(args, { stdin: JSON.stringify(pod) });
    expect(outcome).toMatchObject({ code: 0, stdout: "pod/hull created\n" });
    expect(outcome.stderr).toMatch(/^Warning: unknown field "spec\.containers\[0\]\.colour"$/m);
    expect(outcome.stderr).toMatch(
      /^Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(container "c" must set .+\), unrestricted capabilities/m,
    );
  });
});
