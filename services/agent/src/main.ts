#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import { runService } from "@fairlead/service";
import { Agent } from "./agent.ts";
import { doctorCommand } from "./doctor/doctor-command.ts";
import { Enrolment } from "./enrolment/enrolment.ts";
import { joinCredential, type ReadCredential } from "./enrolment/join-credential.ts";
import { Renewal } from "./enrolment/renewal.ts";
import type { StateStore } from "./enrolment/state-store.ts";
import { startIdentityProxy } from "./identity-proxy-process.ts";
import { agentCommand, identityProxyPeer, type Options, relayPeer, stateOf } from "./options.ts";
import { VERSION } from "./version.ts";

const command = agentCommand().action(runAgent);
command.addCommand(doctorCommand().configureHelp({ showGlobalOptions: true }));
await command.parseAsync();

async function runAgent(options: Options): Promise<void> {
  await runService("agent", { private: options.private, graceMs: options.grace * 1000 }, async (log) => {
    const { store, uid: clusterUid, nodeCount } = await stateOf(options, log);
    const relay = relayPeer(options);
    const credential = joinCredential(options);
    const enrolment = new Enrolment({ relay: () => relay.address(), store, credential, clusterUid, log });
    await checkCanJoin(store, credential);
    const beside = besideIdentityProxy(options);
    const renewal = new Renewal(enrolment, log);
    const agent = new Agent({
      relay,
      identityProxy: identityProxyPeer(options, beside?.address ?? options.identityProxy),
      enrolment,
      clusterUid,
      nodeCount,
      version: VERSION,
      log,
    });
    agent.start();
    renewal.start();
    let stopping = false;
    void beside?.ended.then((code) => {
      if (stopping) return;
      log.fatal({ code }, "the identity proxy beside the agent has ended");
      process.exit(1);
    });
    return {
      ready: { relay: options.relay },
      notReady: () => agent.problem,
      counts: () => agent.counts,
      stop: async (graceMs) => {
        stopping = true;
        renewal.stop();
        await agent.stop(graceMs);
        await beside?.stop();
      },
    };
  });
}

/** Else the agent would wait for ever, and nobody would look. @throws Error if it has no certificate and cannot get one */
async function checkCanJoin(store: StateStore, credential: ReadCredential): Promise<void> {
  const { state } = await store.load();
  if (state.certificate !== undefined || credential() !== undefined) return;
  throw new Error(
    "the agent has not joined yet: give --join-token-file FILE, and there what `fairlead clusters create` prints; or --join-service-account-token-file FILE",
  );
}

function besideIdentityProxy({ kubeconfig, cluster, authentication, identityProxy, context }: Options) {
  if (kubeconfig === undefined) return undefined;
  if (identityProxy !== undefined) throw new Error("give --identity-proxy or --kubeconfig, not both");
  if (authentication === undefined) throw new Error("--kubeconfig needs --authentication: whose tokens count");
  if (cluster === undefined)
    throw new Error("--kubeconfig needs --cluster: the name that the relay has for the cluster");
  return startIdentityProxy({ kubeconfig, cluster, authentication, context });
}
