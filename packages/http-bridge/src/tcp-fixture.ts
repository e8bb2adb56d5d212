import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import { ErrorCode, FairleadError, Hop, Lane, newExchangeId, RequestHeadSchema } from "@fairlead/protocol";
import { Bridge } from "./bridge-fixture.ts";
import { InboundTcp } from "./inbound-tcp.ts";
import type { TcpUpstream } from "./upstream.ts";
import { WireServer } from "./wire-fixture.ts";

/** A connection's whole way: a server on loopback, a lane, and a dial to an origin. */
export interface TcpScene {
  /** The port that clients connect to. */
  port: number;
  bridge: Bridge;
  origin: WireServer;
  /** Why connections were cut, in order. */
  faults: FairleadError[];
  /** The statuses that the serving end said that it answers. */
  answered: number[];
  /** How often a lane was free again. */
  released(): number;
}

/**
 * Builds it.
 *
 * @param ends gets what ends it, to be called last to first
 * @param upstream what is to be otherwise
 */
export async function tcpScene(ends: (() => unknown)[], upstream: Partial<TcpUpstream> = {}): Promise<TcpScene> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  const answered: number[] = [];
  const bridge = await Bridge.start({
    keepFrames: false,
    prepare: () => ({ ...tcpUpstream(origin.port), answered: (status) => void answered.push(status), ...upstream }),
  });
  ends.push(() => bridge.close());
  const faults: FairleadError[] = [];
  let released = 0;
  const events = { released: () => void released++, failed: (error: FairleadError) => void faults.push(error) };
  const local = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    ends.push(() => socket.destroy());
    const lane = new Lane(bridge.openStream(), "requester", Hop.RELAY);
    const opened = (): void => new InboundTcp(socket, lane, tcpHead(), events).start();
    lane.start({ frame: opened, drained: () => {}, idle: () => {}, closed: () => {} });
  });
  await new Promise<void>((resolve) => local.listen(0, "127.0.0.1", resolve));
  ends.push(() => new Promise((resolve) => local.close(resolve)));
  const { port } = local.address() as AddressInfo;
  return { port, bridge, origin, faults, answered, released: () => released };
}

/** Dials a port of this machine. */
export function tcpUpstream(port: number): TcpUpstream {
  return {
    connect: (): Socket => connect({ host: "127.0.0.1", port, allowHalfOpen: true }),
    explain: (cause, connected) => {
      const { code } = cause as NodeJS.ErrnoException;
      return new FairleadError(connected ? ErrorCode.CONNECTION_LOST : ErrorCode.UNREACHABLE, Hop.SERVICE, code ?? "");
    },
  };
}

/** A request for a connection. */
export function tcpHead(upgrade = "tcp.fairlead.dev") {
  return create(RequestHeadSchema, { exchangeId: newExchangeId(), method: "POST", target: "/", upgrade });
}
