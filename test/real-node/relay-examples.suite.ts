import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parse, parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../support/api-client.ts";
import { CHARTS, Helm } from "../support/helm.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { sharedNode } from "../support/shared-node.ts";

/** What the examples' README says that they are for. */
const [RELEASE, NAMESPACE] = ["fairlead-relay", "fairlead-relay"];
const EXAMPLES = join(CHARTS, "fairlead-relay/examples");
const files = readdirSync(EXAMPLES).filter((name) => name.endsWith(".yaml"));
const ofValues = files.filter((name) => name.endsWith("-values.yaml"));
const ofObjects = files.filter((name) => !ofValues.includes(name));
const issuer = "authentication.jwt[0].issuer.url=https://issuer.invalid";

/** The relay's Service, as far as it is looked into here. */
interface Service {
  readonly metadata: { readonly annotations?: object };
  readonly spec: { readonly type: string; readonly ports: readonly { readonly name: string; readonly port: number }[] };
}

/** A Service that an example leads to. */
interface Backend {
  readonly name: string;
  /** One of its ports, by name or by number. */
  readonly port: unknown;
}

describeOnRealNode()("the examples of the relay's chart", () => {
  let node: RealNode;
  let helm: Helm;

  beforeAll(async () => {
    node = await sharedNode();
    helm = await Helm.find(node.dir);
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
  }, 900_000);

  afterAll(() => node?.reset());

  const render = (...more: string[]) =>
    helm.run([...["template", RELEASE, join(CHARTS, "fairlead-relay"), "-n", NAMESPACE, "--set", issuer], ...more]);
  const taken = (yaml: string) => node.admin(["apply", "--dry-run=server", "--filename=-"], yaml);

  it("are those that their README names", () => {
    const readme = readFileSync(join(EXAMPLES, "README.md"), "utf8");
    const named = [...readme.matchAll(/^\| `(\S+\.yaml)` \|/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual(files.sort());
    expect([ofValues.length, ofObjects.length]).toEqual([2, 3]);
  });

  it.each(ofValues)("%s: has values that the chart takes, and the apiserver what comes of them", async (name) => {
    const file = join(EXAMPLES, name);
    const rendered = await render("--values", file);
    const { service } = parse(readFileSync(file, "utf8"));
    const { metadata, spec } = serviceOf(rendered);
    expect(metadata.annotations).toEqual(service.annotations);
    expect(spec.type).toBe("LoadBalancer");
    const portsNamed = [...JSON.stringify(service.annotations).matchAll(/port_(\d+)_/g)].map(([, port]) =>
      Number(port),
    );
    expect(spec.ports.map(({ port }) => port)).toEqual(expect.arrayContaining(portsNamed));
    expect(await taken(rendered)).toMatch(/^service\/fairlead-relay created \(server dry run\)$/m);
  });

  it.each(ofObjects)(
    "%s: leads to the chart's Service, and the apiserver takes it if it has its kind",
    async (name) => {
      const objects = objectsOf(readFileSync(join(EXAMPLES, name), "utf8"));
      const { spec } = serviceOf(await render());
      const backends = objects.flatMap(backendsOf);
      expect(backends).toHaveLength(1);
      expect(backends[0]?.name).toBe(RELEASE);
      expect(spec.ports.flatMap((each): unknown[] => [each.name, each.port])).toContain(backends[0]?.port);
      for (const object of objects) {
        expect(object.metadata?.namespace).toBe(NAMESPACE);
        if (object.kind !== "Ingress") continue; // no apiserver has the others by itself
        const said = await taken(JSON.stringify(object));
        expect(said).toBe("ingress.networking.k8s.io/fairlead-relay created (server dry run)\n");
      }
    },
  );
});

const objectsOf = (yaml: string): KubernetesObject[] => parseAllDocuments(yaml).map((document) => document.toJSON());

function serviceOf(rendered: string): Service {
  const service: object | undefined = objectsOf(rendered).find(({ kind }) => kind === "Service");
  if (service === undefined) throw new Error("the chart makes no Service");
  return service as Service;
}

/** Of an Ingress, or of a route of the Gateway API; a Gateway has none. */
function backendsOf({ spec }: KubernetesObject): Backend[] {
  const { rules = [] } = spec as { rules?: { http?: { paths: { backend: Ingress }[] }; backendRefs?: Backend[] }[] };
  return rules.flatMap(({ http, backendRefs = [] }) => [
    ...backendRefs.map(({ name, port }) => ({ name, port })),
    ...(http?.paths ?? []).map(({ backend: { service } }) => ({
      name: service.name,
      port: service.port.name ?? service.port.number,
    })),
  ]);
}

/** The backend of an Ingress. */
interface Ingress {
  readonly service: { readonly name: string; readonly port: { readonly name?: string; readonly number?: number } };
}
