import { readFile, stat } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { CertificateAuthority } from "../support/certificate-authority.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { imageFiles, importServiceImages, type ServiceImages } from "../support/service-images.ts";
import { sharedNode } from "../support/shared-node.ts";

const namespace = "restricted";
const services = ["relay", "agent", "identity-proxy"] as const;
/** The most that an image may take, in MiB, as README.md says it. */
const MOST_MIB = 56;
/** Of each service, packages of npm that it cannot be without. */
const needed = {
  relay: ["fastify", "kysely", "pg"],
  agent: ["@kubernetes/client-node", "@peculiar/x509"],
  "identity-proxy": ["@kubernetes/client-node", "@marcbachmann/cel-js"],
};
/** What all images have beside npm's: pins.json. */
const debian = ["base-files", "ca-certificates", "gcc-12-base", "libc6", "libgcc-s1", "libstdc++6", "tzdata"];

/** Something in a bill of materials. */
interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

/** No runAsUser: that it is not root is for the image to say. */
const restricted = {
  runAsNonRoot: true,
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

function pod(name: string, container: object, spec: object = {}) {
  const containers = [{ name, imagePullPolicy: "Never", securityContext: restricted, ...container }];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 1, containers, ...spec },
  };
}

describeOnRealNode()("the images, where Pod Security is `restricted`", () => {
  let node: RealNode;
  let images: ServiceImages;
  const image = (service: string): string => `${images.repository}/${service}:${images.tag}`;
  const admin = (...args: string[]): Promise<string> => node.admin(["--namespace", namespace, ...args]);

  beforeAll(async () => {
    node = await sharedNode();
    images = await importServiceImages(node);
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels } });
  }, 900_000);

  afterAll(() => node?.reset());

  it("are of no use to a pod that asks for more", async () => {
    const more = pod("more", { image: image("relay"), securityContext: { ...restricted, runAsNonRoot: false } });
    await expect(node.apply(more)).rejects.toThrow('violates PodSecurity "restricted:latest": runAsNonRoot != true');
  });

  it.each(services)("start: %s --help", async (service) => {
    await node.apply(pod(`${service}-help`, { image: image(service), args: ["--help"] }));
    await admin("wait", `pod/${service}-help`, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s");
    expect(await admin("logs", `${service}-help`)).toMatch(new RegExp(`^Usage: fairlead-${service} `));
  });

  it.each(services)("come with a bill of materials that has what is in them: %s", async (service) => {
    const bill = JSON.parse(await readFile((await imageFiles(service)).bill, "utf8"));
    expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.5", version: 1 });
    expect(bill.metadata.component).toMatchObject({ type: "container", name: `fairlead-${service}` });
    const components: Component[] = bill.components;
    for (const { name, version, purl } of components) {
      expect(purl).toMatch(/^pkg:(npm\/(%40[\w.-]+\/)?[\w.-]+@[\w.-]+$|deb\/debian\/)/);
      expect(decodeURIComponent(purl)).toContain(`/${name}@${version}`);
    }
    const names = (type: string) => components.filter(({ purl }) => purl.startsWith(type)).map(({ name }) => name);
    expect(names("pkg:npm/")).toEqual(expect.arrayContaining(needed[service]));
    expect(names("pkg:deb/debian/").sort()).toEqual(debian);
    expect(names("pkg:npm/")).not.toEqual(expect.arrayContaining(["jest"])); // what is only built with
    expect(new Set(components.map(({ purl }) => purl)).size).toBe(components.length);
  });

  it.each(services)(`are no larger than ${MOST_MIB} MiB, as the page says: %s`, async (service) => {
    const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
    expect(readme).toContain(`none over ${MOST_MIB}`);
    const { size } = await stat((await imageFiles(service)).archive);
    expect(size / 2 ** 20).toBeLessThan(MOST_MIB);
  });

  it("take the relay to ready with its embedded store on an emptyDir", async () => {
    await applyRelayFiles(node);
    const container = {
      image: image("relay"),
      args: ["--config", "/etc/fairlead/relay.yaml", "--private", "0.0.0.0:9090"],
      readinessProbe: { httpGet: { path: "/readyz", port: 9090 }, periodSeconds: 1 },
      volumeMounts: [
        { name: "files", mountPath: "/etc/fairlead", readOnly: true },
        { name: "store", mountPath: "/var/lib/fairlead" },
      ],
    };
    const volumes = [
      { name: "files", secret: { secretName: "relay" } },
      { name: "store", emptyDir: {} },
    ];
    await node.apply(pod("relay", container, { securityContext: { fsGroup: 65_532 }, volumes }));
    await admin("wait", "pod/relay", "--for=condition=Ready", "--timeout=30s");
  });

  it("have no shell and nothing else that a stranger could run", async () => {
    const { code, stderr } = await node.kubectl.run(["-n", namespace, "exec", "relay", "--", "sh", "-c", "id"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('exec: "sh": executable file not found');
  });

  it("have the node that their bill says", async () => {
    const { components } = JSON.parse(await readFile((await imageFiles("relay")).bill, "utf8"));
    const node24 = components.find(({ name }: Component) => name.startsWith("node-linux-"));
    expect(await admin("exec", "relay", "--", "/usr/bin/node", "--version")).toBe(`v${node24.version}\n`);
  });

  it("run as nobody, who can write only where a volume is", async () => {
    const script = `
      import { appendFileSync } from "node:fs";
      const tried = ["/app/main.js", "/usr/bin/node", "/tmp/x", "/var/lib/fairlead/x"].map((path) => {
        try { appendFileSync(path, ""); return "written"; } catch (error) { return error.code; }
      });
      console.log(JSON.stringify([process.getuid(), process.getgid(), ...tried]));`;
    const node24 = ["/usr/bin/node", "--input-type=module", "--eval", script];
    expect(JSON.parse(await admin("exec", "relay", "--", ...node24))).toEqual([
      ...[65_532, 65_532],
      ...["EACCES", "EACCES", "EROFS", "written"],
    ]);
  });
});

/** A relay's configuration, with a certificate; its issuer is nowhere, which it finds out when a token comes. */
async function applyRelayFiles(node: RealNode): Promise<void> {
  const authority = await CertificateAuthority.create(node.dir, "relay-ca");
  const { certFile, keyFile } = await authority.issueServer("relay", ["relay.example.com"]);
  const configuration = {
    listen: "0.0.0.0:8443",
    tls: { certFile: "tls.crt", keyFile: "tls.key" },
    database: "/var/lib/fairlead/relay.db",
    authentication: "authentication.yaml",
  };
  const jwt = {
    issuer: { url: "https://issuer.invalid", audiences: ["fairlead"] },
    claimMappings: { username: { claim: "sub", prefix: "" } },
  };
  const authentication = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt: [jwt] };
  await node.apply({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "relay", namespace },
    stringData: {
      "relay.yaml": JSON.stringify(configuration),
      "authentication.yaml": JSON.stringify(authentication),
      "tls.crt": await readFile(certFile, "utf8"),
      "tls.key": await readFile(keyFile, "utf8"),
    },
  });
}
