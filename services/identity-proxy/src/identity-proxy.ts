import type { Subject } from "@fairlead/authentication";
import { checkScope, narrowed } from "@fairlead/authorization";
import type { Prepare, TcpUpstream, Upstream } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { ActingAs } from "./acting-as.ts";
import type { Apiserver, ApiserverConnection } from "./apiserver.ts";
import type { Callers } from "./callers.ts";
import type { CarryOn } from "./carry-on.ts";
import { permitted } from "./extras.ts";
import { connectionFault, passedToService } from "./forward/refusals.ts";
import type { ServiceForwards } from "./forward/service-forwards.ts";
import {
  asksForImpersonation,
  callerToken,
  type Impersonated,
  impersonatingHeaders,
  impersonationRefused,
} from "./impersonation.ts";
import { type LaneWay, wayExtras } from "./lane-way.ts";
import type { Rights } from "./least-privilege.ts";
import { type PassedToken, passedToken, passedUpstream } from "./passed-tokens.ts";
import { RequestRecord } from "./request-record.ts";
import { requestedIdentity } from "./requested-identity.ts";

/** What an identity proxy decides by. */
export interface IdentityProxyOptions {
  /** The name that the relay has for this cluster. */
  cluster: string;
  callers: Callers;
  apiserver: Apiserver;
  rights: Rights;
  log: Logger;
  /** Hears of the exchanges that begin, for newer tokens to carry them on. */
  carryOn: CarryOn;
  /** Which of the cluster's Services may be connected to. */
  forwards: ServiceForwards;
  /** Whether callers may act as others (`--as`), as far as their own rights go; undefined: never. */
  actingAs?: ActingAs | undefined;
  /** The issuer of the cluster's own service accounts, if their tokens are passed on; undefined: they are not. */
  serviceAccountIssuer?: string | undefined;
}

/**
 * Decides for each request who the caller is, by the caller's own token, and how it goes on to the apiserver.
 *
 * @returns for the way that a lane's requests come, what {@link Prepare} says; it refuses with TOKEN_REFUSED,
 *   ACCESS_DENIED, MALFORMED_REQUEST or ISSUER_UNAVAILABLE
 */
export function identityProxy(options: IdentityProxyOptions): (way: LaneWay) => Prepare {
  const { cluster, callers, apiserver, rights, log, carryOn, forwards, actingAs, serviceAccountIssuer } = options;
  const record = new RequestRecord(log);
  const judge = (status: number) => apiserver.judge(status);

  /** The request of a caller whose token was verified. */
  const impersonating = (
    caller: Subject,
    head: RequestHead,
    way: LaneWay,
    connection: ApiserverConnection,
  ): ReturnType<Prepare> => {
    checkScope(head, Hop.IDENTITY_PROXY);
    const narrow = narrowed(caller, head.scope); // nothing below knows the caller's other groups
    const subject = { ...narrow, extra: permitted(narrow.extra ?? {}, rights) };
    const startedAt = performance.now();
    const as = (acted: Impersonated): ReturnType<Prepare> => {
      const { host, pool, token } = connection;
      const who = { ...acted, extra: { ...acted.extra, ...permitted(wayExtras(way, head), rights) } };
      const answered = record.of(head, who, startedAt, subject.user);
      if (forwards.isFor(head)) return connecting(caller, head, who, answered);
      const headers = impersonatingHeaders(head, who, host, token);
      return { pool, headers, answered, judge, ...carryOn.begin(head, caller) };
    };
    if (!asksForImpersonation(head)) return as(subject);
    if (!actingAs) throw impersonationRefused();
    return actingAs.authorize(subject, requestedIdentity(head)).then(as);
  };

  /** The request for a connection to a Service. */
  const connecting = async (
    caller: Subject,
    head: RequestHead,
    who: Impersonated,
    answered: (status: number) => void,
  ): Promise<TcpUpstream> => {
    const { port, connect } = await forwards.route(head, who);
    return {
      answered,
      connect: () => {
        const socket = connect();
        record.ofConnection(head, who, caller.user, socket);
        return socket;
      },
      explain: (cause, connected) => {
        const fault = connectionFault(port, cause, connected);
        if (!connected) record.refused(head, fault);
        return fault;
      },
      ...carryOn.begin(head, caller),
    };
  };

  /** The request of one of the cluster's own service accounts: the apiserver is to judge its token. */
  const passing = async (passed: PassedToken, head: RequestHead): Promise<Upstream> => {
    checkScope(head, Hop.IDENTITY_PROXY);
    if (forwards.isFor(head)) throw passedToService();
    if (asksForImpersonation(head)) throw impersonationRefused();
    const upstream = passedUpstream(head, passed, await apiserver.connection());
    const who = { user: passed.user, groups: [], uid: undefined };
    return { ...upstream, answered: record.of(head, who, performance.now(), passed.user) };
  };

  const refuse = (head: RequestHead, error: unknown): never => {
    record.refused(head, error);
    throw error;
  };
  return (way) => (head) => {
    try {
      if (head.cluster !== cluster) throw otherCluster(head.cluster);
      const token = callerToken(head);
      const known = callers.known(token);
      const connection = apiserver.current;
      const prepared =
        known && connection
          ? impersonating(known, head, way, connection) // at once: most requests come behind another
          : prepareAnew(token, head, way);
      return prepared instanceof Promise ? prepared.catch((error: unknown) => refuse(head, error)) : prepared;
    } catch (error) {
      return refuse(head, error);
    }
  };

  async function prepareAnew(
    token: string | undefined,
    head: RequestHead,
    way: LaneWay,
  ): Promise<Upstream | TcpUpstream> {
    const passed = passedToken(token, serviceAccountIssuer);
    if (passed) return passing(passed, head);
    const caller = await callers.authenticate(token, head);
    return impersonating(caller, head, way, await apiserver.connection());
  }
}

/**
 * A relay that carries a request to another cluster than it is for, by fault or by intent: a proof would be as good here,
 * since it is bound to the name that the request has.
 */
function otherCluster(name: string): FairleadError {
  const sentence = `the request is for the cluster ${JSON.stringify(name)}, and this is another; --cluster of the identity proxy is the name that its relay has for it`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}
