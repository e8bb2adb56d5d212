import { connect, type Socket } from "node:net";
import {
  isOwnTarget,
  type ServicePort,
  servicePortOf,
  servicePortText,
  serviceTarget,
  TCP_UPGRADE,
} from "@fairlead/authorization";
import { ErrorCode, exchangeIdText, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Apiserver } from "../apiserver.ts";
import { ask } from "../apiserver-request.ts";
import { type Impersonated, impersonationHeaders } from "../impersonation.ts";
import { mayDo } from "../self-review.ts";
import type { ListedServices } from "./listed-services.ts";
import { unlisted, withoutRight } from "./refusals.ts";
import { serviceAddress } from "./service-address.ts";

/** How long a connection to a Service may take, in milliseconds. People are to hear within 5 s. */
const CONNECT_TIMEOUT_MS = 4_000;
/** How often a quiet peer is asked whether it is still there, in milliseconds: a pod may go without a word. */
const KEEP_ALIVE_MS = 30_000;

/** Dials an address. */
type Dial = (host: string, port: number) => Socket;

/** A Service that somebody may connect to. */
export interface ServiceRoute {
  port: ServicePort;
  /** Dials it. */
  connect(): Socket;
}

/**
 * Lets people connect to Services of the cluster: those that its owner has listed, as far as their own RBAC goes.
 *
 * Who decides: the owner's list, since a hostile relay must open nothing by itself; then the caller's right to `create`
 * the subresource `proxy` of the Service, which is what Kubernetes asks of who reaches a Service by way of its API; then
 * the Service as it is now, read as the caller.
 */
export class ServiceForwards {
  readonly #listed: ListedServices;
  readonly #apiserver: Apiserver;
  readonly #dial: Dial;
  readonly #open = new Set<Socket>();

  /** @param dial otherwise than by TCP to that address; for tests */
  constructor(listed: ListedServices, apiserver: Apiserver, dial: Dial = dialTcp) {
    this.#listed = listed;
    this.#apiserver = apiserver;
    this.#dial = dial;
  }

  /** How many connections there are. */
  get sockets(): number {
    return this.#open.size;
  }

  /** Whether a request is for a connection to a Service. All that is below our prefix is, and nothing of it goes on. */
  isFor(head: RequestHead): boolean {
    return isOwnTarget(head.target);
  }

  /**
   * Judges a request for a connection.
   *
   * @param who as whom it is carried out
   * @throws FairleadError MALFORMED_REQUEST, ACCESS_DENIED, UNREACHABLE, OWN_CREDENTIAL_REFUSED
   */
  async route(head: RequestHead, who: Impersonated): Promise<ServiceRoute> {
    const port = askedPort(head);
    if (!this.#listed.has(port)) throw unlisted(port);
    const name = `${port.name}:${port.port}`; // as the apiserver asks for services/NAME:PORT/proxy
    const reviewed = { verb: "create", resource: "services", subresource: "proxy", namespace: port.namespace, name };
    if (!(await mayDo(this.#apiserver, who, reviewed)))
      throw withoutRight(who, "create services/proxy", { ...port, name });
    const address = serviceAddress(await this.#read(head, who, port), port);
    return { port, connect: () => this.#connect(address, port.port) };
  }

  /** The Service as the caller may see it. It is in the cluster's audit log under the exchange's id. */
  async #read(head: RequestHead, who: Impersonated, { namespace, name, port }: ServicePort): Promise<unknown> {
    const path = `/api/v1/namespaces/${namespace}/services/${name}`;
    const headers = [...impersonationHeaders(who), "Audit-ID", exchangeIdText(head.exchangeId)];
    const { status, body } = await ask(this.#apiserver, { method: "GET", path, headers });
    const ownFault = this.#apiserver.judge(status);
    if (ownFault) throw ownFault;
    if (status === 200) return body;
    const service = servicePortText({ namespace, name, port });
    if (status === 404) throw new FairleadError(ErrorCode.UNREACHABLE, Hop.SERVICE, `there is no Service ${service}`);
    if (status === 403) {
      throw withoutRight(who, "get services", { namespace, name }, messageOf(body));
    }
    const sentence = `the apiserver answers ${status} when it is asked for the Service ${service}`;
    throw new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence);
  }

  #connect(address: string, port: number): Socket {
    const socket = this.#dial(address, port);
    const timer = setTimeout(() => socket.destroy(new Error("no connection within 4 s")), CONNECT_TIMEOUT_MS);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.once("connect", () => clearTimeout(timer));
    socket.once("close", () => {
      clearTimeout(timer);
      this.#open.delete(socket);
    });
    this.#open.add(socket);
    return socket;
  }
}

/** The sentence of a Status. */
function messageOf(status: unknown): string | undefined {
  const { message } = Object(status);
  return typeof message === "string" ? message : undefined;
}

function dialTcp(host: string, port: number): Socket {
  return connect({ host, port, allowHalfOpen: true });
}

/** @throws FairleadError MALFORMED_REQUEST for what is below our prefix and is no request for a connection */
function askedPort({ method, target, upgrade }: RequestHead): ServicePort {
  const port = servicePortOf(target);
  if (port && method === "POST" && (upgrade === "" || upgrade === TCP_UPGRADE)) return port;
  const example = serviceTarget({ namespace: "NAMESPACE", name: "NAME", port: 80 });
  const sentence = `this is no request for a connection to a Service: POST ${example} with the upgrade ${TCP_UPGRADE} is one`;
  throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.IDENTITY_PROXY, sentence);
}
