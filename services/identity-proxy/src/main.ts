#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import { openVerifier } from "@fairlead/authentication";
import { Hop } from "@fairlead/protocol";
import { addProcessOptions, runService, type ServiceCommandOptions, splitAddress } from "@fairlead/service";
import { Command } from "commander";
import { ActingAs } from "./acting-as.ts";
import { Apiserver } from "./apiserver.ts";
import { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { ClusterCheck } from "./cluster-check.ts";
import { checkUids, leftOut } from "./extras.ts";
import { ListedServices } from "./forward/listed-services.ts";
import { ServiceForwards } from "./forward/service-forwards.ts";
import { identityProxy } from "./identity-proxy.ts";
import { LaneServer, type ListenOptions } from "./lane-server.ts";
import { checkLeastPrivilege } from "./least-privilege.ts";

interface Options extends ServiceCommandOptions {
  listen: string;
  cluster: string;
  tlsCert?: string;
  tlsKey?: string;
  clientCa?: string;
  authentication: string;
  requireBoundTokens?: boolean;
  requireCap?: boolean;
  allowAs?: boolean;
  service: string[];
  serviceAccountIssuer?: string;
  kubeconfig?: string;
  context?: string;
}

const command = new Command("fairlead-identity-proxy")
  .description("Verifies callers inside the cluster and passes their requests to kube-apiserver by impersonation.")
  .requiredOption("--listen <address>", "unix:PATH beside the agent, or HOST:PORT with mutual TLS")
  .option("--tls-cert <file>", "certificate for HOST:PORT")
  .option("--tls-key <file>", "its key")
  .option("--client-ca <file>", "authority that signed the agent's certificate")
  .requiredOption("--cluster <name>", "the name that the relay has for this cluster; requests for others are refused")
  .requiredOption(
    "--authentication <file>",
    "AuthenticationConfiguration (apiserver.config.k8s.io/v1): whose tokens count",
  )
  .option("--require-bound-tokens", "take only tokens that are bound to a key of the caller's (DPoP, RFC 9449)")
  .option(
    "--require-cap",
    "start only where the apiserver caps what everybody may do through here (fairlead rbac --cap)",
  )
  .option("--allow-as", "let callers act as others (kubectl --as), as far as their own RBAC in the cluster goes")
  .option(
    "--service <namespace/name:port>",
    "let callers connect to this Service (fairlead forward), as far as their own RBAC in the cluster goes; may be repeated, and without it there is none",
    (text: string, before: string[]) => [...before, text],
    [],
  )
  .option(
    "--service-account-issuer <issuer>",
    "pass on tokens of the cluster's own service accounts unchanged (the apiserver's flag of this name says the issuer)",
  )
  .option("--kubeconfig <file>", "how to reach the apiserver; without it, the pod's service account")
  .option("--context <name>", "context of the kubeconfig")
  .addHelpText(
    "after",
    "\nExamples:\n  fairlead-identity-proxy --listen unix:/run/fairlead/identity.sock --cluster prod-eu1 --authentication auth.yaml\n" +
      "  fairlead-identity-proxy --listen 0.0.0.0:8444 --cluster prod-eu1 --tls-cert tls.crt --tls-key tls.key --client-ca ca.crt --authentication auth.yaml\n" +
      "  fairlead-identity-proxy --listen unix:/run/fairlead/identity.sock --cluster prod-eu1 --authentication auth.yaml --service shop/web:80",
  );

const NO_CAP =
  "--require-cap: the account may impersonate without a cap; give it the ClusterRole of `fairlead rbac --cap` and no other";
const NOT_PASSED =
  "--service-account-issuer: such tokens are neither capped nor bound to a key; leave out --require-cap and --require-bound-tokens";
const LEFT_OUT =
  "the account may not impersonate these extras, so they are left out; give it the ClusterRole of `fairlead rbac --authentication FILE`";

const options = addProcessOptions(command).parse().opts<Options>();
await runService("identity-proxy", { private: options.private, graceMs: options.grace * 1000 }, async (log) => {
  const listed = new ListedServices(options.service);
  const verifier = await openVerifier(options.authentication, Hop.IDENTITY_PROXY, log);
  const apiserver = new Apiserver({ kubeconfig: options.kubeconfig, context: options.context });
  const rights = await checkLeastPrivilege(apiserver);
  const { mode } = rights;
  if (options.requireCap && mode !== "capped") throw new Error(NO_CAP);
  if (options.serviceAccountIssuer !== undefined && (options.requireCap || options.requireBoundTokens)) {
    throw new Error(NOT_PASSED);
  }
  checkUids(verifier.mapped, rights);
  const withoutRight = leftOut(verifier.mapped, rights);
  if (withoutRight.length > 0) log.warn({ extras: withoutRight }, LEFT_OUT);
  const callers = new Callers(verifier, options.requireBoundTokens);
  const carryOn = new CarryOn(callers, log);
  const clusterCheck = new ClusterCheck(apiserver);
  const forwards = new ServiceForwards(listed, apiserver);
  const prepareFor = identityProxy({
    ...{ cluster: options.cluster, callers, apiserver, rights, log, carryOn, forwards },
    actingAs: options.allowAs ? new ActingAs(apiserver, rights) : undefined,
    serviceAccountIssuer: options.serviceAccountIssuer,
  });
  const server = new LaneServer(listenOptions(options), {
    prepareFor,
    carryOn: (credential) => carryOn.judge(credential),
    check: () => clusterCheck.check(),
  });
  const address = await server.start();
  log.info({ address, impersonation: mode }, "serving");
  return {
    ready: { address },
    notReady: () => undefined,
    counts: () => ({
      ...server.counts,
      apiserver_sockets: apiserver.sockets,
      service_sockets: forwards.sockets,
      listed_services: listed.count,
      capped: mode === "capped" ? 1 : 0,
      left_out_extras: leftOut(verifier.mapped, rights).length,
      outdated_authentication_configurations: verifier.isOutdated ? 1 : 0,
    }),
    stop: (graceMs) => server.stop(graceMs),
  };
});

function listenOptions({ listen, tlsCert, tlsKey, clientCa }: Options): ListenOptions {
  if (listen.startsWith("unix:")) return { kind: "unix", path: listen.slice("unix:".length) };
  const [host, port] = splitAddress(listen);
  if (!tlsCert || !tlsKey || !clientCa) {
    throw new Error("--listen HOST:PORT needs --tls-cert, --tls-key and --client-ca: only the agent may come in");
  }
  return { kind: "tls", host, port, cert: tlsCert, key: tlsKey, clientCa };
}
