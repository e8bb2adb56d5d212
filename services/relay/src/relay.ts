import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { TokenVerifier } from "@fairlead/authentication";
import { EXPIRY_INTERVAL_MS } from "@fairlead/authorization";
import type { Logger, RunningService } from "@fairlead/service";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import { AccessRules } from "./access/access-rules.ts";
import { ClusterStates } from "./clusters/cluster-states.ts";
import { Clusters } from "./clusters/clusters.ts";
import { StateWebhook, secretOf } from "./clusters/state-webhook.ts";
import type { RelayConfig, WebhookConfig } from "./config.ts";
import { DirectEndpoint } from "./direct/direct-endpoint.ts";
import { drain } from "./drain.ts";
import { Agents } from "./enrolment/agents.ts";
import { AccessServiceHandler } from "./lanes/access-service.ts";
import { Attachments } from "./lanes/attachments.ts";
import { TunnelServiceHandler } from "./lanes/tunnel-service.ts";
import { ExchangeLimits } from "./limits/exchange-limits.ts";
import { PublicPort, type RequestHandler } from "./port/public-port.ts";
import { TlsFiles } from "./port/tls-files.ts";
import { RelayModule, RPC_HANDLER, STORE } from "./relay.module.ts";
import { keepUp } from "./store/keep-up.ts";
import type { Store } from "./store/store.ts";

/** Starts the relay. @throws Error if the configuration, the database or the port cannot be used */
export async function startRelay(config: RelayConfig, log: Logger): Promise<RunningService> {
  const adapter = new FastifyAdapter();
  const app = await NestFactory.create<NestFastifyApplication>(RelayModule.with(config, log), adapter, {
    logger: false,
    abortOnError: false,
  });
  await app.init();
  await adapter.getInstance().ready();
  const access = app.get(AccessServiceHandler);
  const attachments = app.get(Attachments);
  const limits = app.get(ExchangeLimits);
  const verifier = app.get(TokenVerifier);
  const tls = await TlsFiles.open(config.tls, log);
  const handle = requestHandler(app.get(RPC_HANDLER), adapter);
  const tunnel = app.get(TunnelServiceHandler);
  const direct = app.get(DirectEndpoint);
  const port = new PublicPort(tls.current, { access, tunnel, direct, handle });
  const { host } = config.listen;
  const url = `https://${host.includes(":") ? `[${host}]` : host}:${await port.listen(host, config.listen.port)}`;
  tls.watch((renewed) => port.renewTls(renewed));
  const expiry = setInterval(() => {
    access.endExpired(Date.now());
    tunnel.endExpired(Date.now());
  }, EXPIRY_INTERVAL_MS);
  const others =
    config.database.kind === "postgresql"
      ? keepUp([app.get(Clusters), app.get(AccessRules), app.get(Agents)], () => access.recheck(), log)
      : undefined;
  const webhook = config.webhook && (await openWebhook(config.webhook, app.get(ClusterStates), log));
  log.info({ url }, "listening");
  return {
    ready: { url },
    notReady: () => undefined,
    counts: () => ({
      sessions: port.sessionCount,
      waiting_connections: port.waitingCount,
      agents: attachments.all().length,
      agent_lanes: attachments.all().reduce((sum, attachment) => sum + attachment.laneCount, 0),
      waiting_exchanges: attachments.waitingCount,
      admitted_exchanges: limits.exchanges,
      outdated_authentication_configurations: verifier.isOutdated ? 1 : 0,
      direct_exchanges: direct.underWay,
      ...access.counts,
    }),
    totals: () => [{ name: "refused_exchanges", label: "limit", values: limits.refusals }],
    stop: async (graceMs) => {
      webhook?.stop();
      tls.stop();
      others?.();
      await drain({ port, access, direct, attachments }, graceMs);
      clearInterval(expiry);
      await app.close();
      await app.get<Store>(STORE).destroy();
    },
  };
}

async function openWebhook(
  { url, secretFile }: WebhookConfig,
  states: ClusterStates,
  log: Logger,
): Promise<StateWebhook> {
  return new StateWebhook(states, { url, secret: secretOf(await readFile(secretFile, "utf8")), log });
}

/** RPCs to connect-node, all else to Nest. */
function requestHandler(rpc: RequestHandler, adapter: FastifyAdapter): RequestHandler {
  const fastify = adapter.getInstance();
  return (request, response) => {
    try {
      if (request.url === undefined) throw new TypeError("a request without a path");
      if (request.url.startsWith("/fairlead.")) rpc(request, response);
      // Fastify's types know one protocol an instance; its routing takes both kinds of requests.
      else fastify.routing(request as IncomingMessage, response as ServerResponse);
    } catch {
      // connect-node and find-my-way throw for an authority or a path that is no URL
      response.statusCode = 400;
      response.end();
    }
  };
}
