import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProofKey } from "@fairlead/authentication";
import type { Tunnel } from "@fairlead/demo";
import { afterAll, beforeAll, beforeEach } from "@jest/globals";
import type { JWTPayload } from "jose";
import { type Attempt, headOf, type Opening, wholeAnswer } from "./attempt.ts";
import { ChangedRelay } from "./changed-relay.ts";
import { startOtherAgent } from "./other-agent.ts";
import { rawRequest } from "./raw-request.ts";
import { SigningIssuer } from "./signing-issuer.ts";
import type { TestbedAddress } from "./testbed.ts";
import { alice, startTunnel } from "./tunnel.ts";

/** What tokens are for that both clusters take, and what those are for that only alice's takes. */
const AUDIENCES = ["fairlead", "fairlead:testbed"];
const OTHERS_JOIN_TOKEN = "flj_of-another-cluster";
/** The cluster that alice's client proxy is for, and another one whose agent is attached to the same relay. */
export const [ALICES, OTHER] = ["testbed", "other"];

/** A tunnel whose relay is hostile, everything else in it being real. */
export class HostileScene {
  relay!: ChangedRelay;
  issuer!: SigningIssuer;
  tunnel!: Tunnel;
  #thumbprint = "";
  #stops: (() => unknown)[] = [];

  /** To be called at the top of a test file. @param withOther whether the other cluster is needed */
  static set(testbed: TestbedAddress, withOther = false): HostileScene {
    const scene = new HostileScene();
    beforeAll(() => scene.#start(testbed, withOther));
    beforeEach(() => {
      scene.relay.attempt = {};
    });
    afterAll(async () => {
      for (const stop of scene.#stops.reverse()) await stop();
    });
    return scene;
  }

  /** A token that any holder can use; alice's, but for what `claims` says. */
  plainToken(claims: JWTPayload = {}): Promise<string> {
    return this.issuer.token(claims);
  }

  /** A token of alice's that is bound to the key of her client proxy. */
  boundToken(claims: JWTPayload = {}): Promise<string> {
    return this.issuer.token({ cnf: { jkt: this.#thumbprint }, ...claims });
  }

  /** Gives the client proxy another token. */
  async useToken(token: string): Promise<void> {
    await writeFile(this.tunnel.tokenFile(alice), token);
  }

  /** Has the client send a request, which the relay carries with one attempt. */
  async request(attempt: Attempt, path: string, headers: readonly string[] = [], method = "GET") {
    this.relay.attempt = attempt;
    return rawRequest(this.tunnel.kubeconfig, path, headers, method);
  }

  /** Has the client send a request which the relay holds back: no cluster has seen it, nor the proof in it. */
  async held(path: string, method = "GET"): Promise<Opening> {
    await this.request({ answer: ({ exchangeId }) => [wholeAnswer(exchangeId, 503, "")] }, path, [], method);
    this.relay.attempt = {};
    const frame = this.relay.seen.findLast((each) => headOf(each).target === path);
    if (frame === undefined) throw new Error(`the relay has seen no request for ${path}`);
    return frame;
  }

  async #start(testbed: TestbedAddress, withOther: boolean): Promise<void> {
    this.issuer = await SigningIssuer.start();
    this.#stops.push(() => this.issuer.stop());
    const folder = await mkdtemp(join(testbed.dir, "hostile-"));
    const keyFile = join(folder, "proof-key.pem");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await writeFile(keyFile, pem, { mode: 0o600 });
    this.#thumbprint = (await ProofKey.fromPem(pem)).thumbprint;
    const entries = [this.issuer.entry(AUDIENCES)];
    const { tunnel, stop } = await startTunnel(testbed, {
      folder,
      moreIssuers: { relay: entries, identityProxy: entries },
      args: (process) => (process === "client proxy" ? ["--dpop-key", keyFile] : []),
      relayUrlFor: async () => (await this.#startRelay(folder)).url,
    });
    this.tunnel = tunnel;
    this.#stops.push(() => this.relay.stop(), stop);
    if (!withOther) return;
    const other = { cluster: OTHER, joinToken: OTHERS_JOIN_TOKEN, jwt: [this.issuer.entry(["fairlead"])] };
    const agent = await startOtherAgent(tunnel, this.relay.url, other);
    this.#stops.push(() => agent.end());
  }

  async #startRelay(folder: string): Promise<ChangedRelay> {
    this.relay ??= await ChangedRelay.start(folder, ALICES, (token) => (token === OTHERS_JOIN_TOKEN ? OTHER : ALICES));
    return this.relay;
  }
}
