import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { impersonationRules } from "@fairlead/authorization";
import { CertificateAuthority } from "@fairlead/certificates";
import { KubeConfig } from "@kubernetes/client-node";

/** Stands for an apiserver that does not read what it is sent, as no real one can be made to. */
export class SlowOrigin {
  /** A kubeconfig whose user may do nothing at all, which an identity proxy is content with. */
  readonly kubeconfig: string;
  readonly #server: Server;
  readonly #unread: ReadonlySet<IncomingMessage>;

  private constructor(server: Server, unread: ReadonlySet<IncomingMessage>, kubeconfig: string) {
    this.#server = server;
    this.#unread = unread;
    this.kubeconfig = kubeconfig;
  }

  /**
   * Reads nothing of bodies that go to /unread until {@link SlowOrigin.readOn}, and answers whatever else with how many bytes it has got.
   *
   * @param folder for the kubeconfig
   */
  static async start(folder: string): Promise<SlowOrigin> {
    const authority = await CertificateAuthority.create("fairlead test authority", 30);
    const { cert, key } = await authority.issue({ commonName: "slow origin", hosts: ["127.0.0.1"], days: 30 });
    const unread = new Set<IncomingMessage>();
    const server = createServer({ cert, key }, async (incoming, response) => {
      if (incoming.url === "/unread") return void unread.add(incoming);
      const bytes = (await text(incoming)).length;
      const isReview = /\/selfsubject\w+$/.test(incoming.url ?? "");
      response.writeHead(isReview ? 201 : 200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(isReview ? impersonator : { bytes }));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromClusterAndUser(
      {
        name: "origin",
        server: `https://127.0.0.1:${port}`,
        caData: Buffer.from(authority.pem).toString("base64"),
        skipTLSVerify: false,
      },
      { name: "impersonator", token: "impersonator" },
    );
    const file = join(folder, "slow-origin.kubeconfig");
    await writeFile(file, kubeconfig.exportConfig(), { mode: 0o600 });
    return new SlowOrigin(server, unread, file);
  }

  /** Reads what it has left unread so far, and all that follows. */
  readOn(): void {
    for (const incoming of this.#unread) incoming.resume();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

/** What the identity proxy asks for at its start: that its account may impersonate, and nothing else. */
const impersonator = {
  kind: "SelfSubjectRulesReview",
  apiVersion: "authorization.k8s.io/v1",
  status: { resourceRules: impersonationRules(), nonResourceRules: [], incomplete: false },
};
