import { create, equals } from "@bufbuild/protobuf";
import {
  type Condition,
  ConditionSchema,
  ErrorCode,
  FairleadError,
  type GrpcConnection,
  Hop,
  IdentityProxyService,
  unaryCall,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";

/** How often the identity proxy is asked, in milliseconds. */
const CHECK_MS = 10_000;

/** Whom health asks, and whom it tells. */
export interface ClusterHealthOptions {
  identityProxy: GrpcConnection;
  /** How many nodes the cluster has; 0 if it cannot be known. */
  nodeCount(): Promise<number>;
  /** It is another than before. */
  changed(condition: Condition): void;
  log: Logger;
}

/** Asks the identity proxy, again and again, whether requests would get through, and what the cluster is. */
export class ClusterHealth {
  readonly #options: ClusterHealthOptions;
  #timer: NodeJS.Timeout | undefined;
  #condition: Condition | undefined;
  #stopped = false;
  /** How many looks are under way. */
  #checks = 0;

  constructor(options: ClusterHealthOptions) {
    this.#options = options;
  }

  /** As it was found last; undefined before the first answer. */
  get condition(): Condition | undefined {
    return this.#condition;
  }

  /** Looks now, and again from time to time. */
  start(): void {
    clearTimeout(this.#timer);
    this.#checks++;
    void this.#check().finally(() => {
      if (--this.#checks === 0 && !this.#stopped) this.#timer = setTimeout(() => this.start(), CHECK_MS);
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #check(): Promise<void> {
    const condition = await this.#ask();
    if (this.#stopped || (this.#condition && equals(ConditionSchema, condition, this.#condition))) return;
    const { problem } = condition;
    if (problem) this.#options.log.error({ reason: problem.message }, "requests would fail now");
    else if (this.#condition?.problem) this.#options.log.info("requests would get through again");
    this.#condition = condition;
    this.#options.changed(condition);
  }

  async #ask(): Promise<Condition> {
    const { identityProxy, nodeCount } = this.#options;
    try {
      const options = { peerHop: Hop.IDENTITY_PROXY };
      const [{ problem, report }, nodes] = await Promise.all([
        unaryCall(identityProxy, IdentityProxyService.method.check, {}, options),
        nodeCount(),
      ]);
      const { kubernetesVersion = "", capped = false } = report ?? {};
      return create(ConditionSchema, { problem, report: { kubernetesVersion, capped, nodeCount: nodes } });
    } catch (error) {
      return create(ConditionSchema, { problem: identityProxyAway(error), report: this.#condition?.report });
    }
  }
}

/** What the relay is told when the identity proxy does not answer. */
export function identityProxyAway(cause: unknown) {
  const sentence = "the agent cannot reach the identity proxy beside it; check that it runs";
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.IDENTITY_PROXY, sentence, { cause }).toMessage();
}
