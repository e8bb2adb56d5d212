import { create } from "@bufbuild/protobuf";
import { type CheckResponse, CheckResponseSchema, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";
import { ask } from "./apiserver-request.ts";
import { checkLeastPrivilege } from "./least-privilege.ts";

/** How long an answer counts, in milliseconds: an agent's replicas all ask. */
const FRESH_MS = 3_000;

/** Tries what every request needs: an apiserver that is ready, and an account that may impersonate and nothing else. */
export class ClusterCheck {
  readonly #apiserver: Apiserver;
  #last: Promise<CheckResponse> | undefined;
  #untilMs = 0;
  #version = "";

  constructor(apiserver: Apiserver) {
    this.#apiserver = apiserver;
  }

  /** `IdentityProxyService.Check`. */
  check(): Promise<CheckResponse> {
    if (this.#last && this.#untilMs > Date.now()) return this.#last;
    this.#untilMs = Date.now() + FRESH_MS;
    this.#last = this.#check();
    return this.#last;
  }

  async #check(): Promise<CheckResponse> {
    try {
      await this.#checkReady();
      this.#version = await this.#readVersion();
      const { mode } = await checkLeastPrivilege(this.#apiserver);
      return create(CheckResponseSchema, { report: { kubernetesVersion: this.#version, capped: mode === "capped" } });
    } catch (error) {
      const problem = FairleadError.from(error, Hop.IDENTITY_PROXY).toMessage();
      return create(CheckResponseSchema, { problem, report: { kubernetesVersion: this.#version } });
    }
  }

  async #checkReady(): Promise<void> {
    const { status } = await ask(this.#apiserver, { method: "GET", path: "/readyz" });
    const refused = this.#apiserver.judge(status);
    if (refused) throw refused;
    if (status < 500) return;
    const sentence = `the apiserver is up and not ready (its /readyz answers ${status}); look there at /readyz?verbose`;
    throw new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence);
  }

  async #readVersion(): Promise<string> {
    const { body } = await ask(this.#apiserver, { method: "GET", path: "/version" });
    const { gitVersion } = Object(body);
    return typeof gitVersion === "string" ? gitVersion.slice(0, MAX_VERSION_LENGTH) : "";
  }
}

/** Longest version that is passed on. */
const MAX_VERSION_LENGTH = 64;
