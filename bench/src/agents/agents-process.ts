import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createSecureContext } from "node:tls";
import { AgentIdentity } from "@fairlead/agent-identity";
import { requestedKey } from "@fairlead/certificates";
import { EnrolmentService, GrpcConnection, Hop, type PeerAddress, unaryCall } from "@fairlead/protocol";
import { answerQuestions } from "../asked-process.ts";
import { inTurns } from "../measure/in-turns.ts";
import { type AgentsAnswer, type AgentsQuestion, STARTING } from "./agents-host.ts";
import { LightAgent, type LightAgentEvents } from "./light-agent.ts";
import { serveEndpoint } from "./serve-endpoint.ts";

/* Many light agents, for its parent. */

const agents: LightAgent[] = [];
let attached = 0;
let lastAtMs = 0;
const losses = new Map<string, number>();

/** Counts one agent. @param first called when it is attached */
function counting(first: () => void): LightAgentEvents {
  let isAttached = false;
  return {
    attached: () => {
      isAttached = true;
      attached += 1;
      lastAtMs = performance.timeOrigin + performance.now();
      first();
    },
    lost: (error) => {
      if (isAttached) attached -= 1;
      isAttached = false;
      const reason = error?.message ?? "ended by the relay";
      losses.set(reason, (losses.get(reason) ?? 0) + 1);
    },
  };
}

async function startAll({ host, port, ca, joinTokens, serves }: AgentsQuestion & { do: "start" }): Promise<void> {
  const secureContext = createSecureContext({ ca, minVersion: "TLSv1.2" });
  const address = (): PeerAddress => ({ host, port, tls: { secureContext } });
  const left = joinTokens.values();
  const serve = serves && serveEndpoint(serves);
  const relay = new GrpcConnection(address);
  await inTurns(joinTokens.length, STARTING, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const identity = await join(relay, left.next().value ?? "");
    const agent = new LightAgent(address, identity, counting(resolve), serve);
    agents.push(agent);
    agent.start();
    await promise;
  });
  relay.close();
}

async function join(relay: GrpcConnection, joinToken: string): Promise<AgentIdentity> {
  const { key, request: certificateRequest } = await requestedKey();
  const credential = { case: "joinToken" as const, value: joinToken };
  const request = { credential, certificateRequest };
  const { certificate } = await unaryCall(relay, EnrolmentService.method.join, request, { peerHop: Hop.RELAY });
  const der = certificate?.certificate ?? new Uint8Array();
  return new AgentIdentity({ key, certificate: new X509Certificate(der).toString() });
}

async function awaitAll(withinMs: number): Promise<void> {
  const untilMs = performance.now() + withinMs;
  while (attached < agents.length && performance.now() < untilMs) await sleep(10);
}

answerQuestions(async (question: AgentsQuestion): Promise<AgentsAnswer> => {
  if (question.do === "start") await startAll(question);
  if (question.do === "await all") await awaitAll(question.withinMs);
  if (question.do === "forget losses") losses.clear();
  return { attached, lastAtMs, losses: Object.fromEntries(losses) };
});
