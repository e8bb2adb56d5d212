import { Hop, REQUESTER_ENDS_MS, stopped } from "@fairlead/protocol";
import type { DirectEndpoint } from "./direct/direct-endpoint.ts";
import type { AccessServiceHandler } from "./lanes/access-service.ts";
import type { Attachments } from "./lanes/attachments.ts";
import type { PublicPort } from "./port/public-port.ts";

/** How long agents have to attach to another relay before clients go there, in milliseconds. */
const AGENTS_MOVE_MS = 1_000;
/** How often is looked whether a step is over, in milliseconds. */
const LOOK_MS = 10;

/** What a relay stops. */
export interface Stopped {
  port: PublicPort;
  access: AccessServiceHandler;
  direct: DirectEndpoint;
  attachments: Attachments;
}

/**
 * Stops a relay so that no request fails where another relay is in its place: agents go there first, then clients, and
 * this one serves what still comes until both have gone. What is under way may end within the grace.
 *
 * @param graceMs how long all of it may take, in milliseconds
 */
export async function drain({ port, access, direct, attachments }: Stopped, graceMs: number): Promise<void> {
  const deadline = Date.now() + graceMs;
  const passes = async (isOver: () => boolean, ms: number): Promise<void> => {
    const until = Math.min(deadline, Date.now() + ms);
    // Once at least: a connection that is told twice in one moment that it ends (GOAWAY) is a fault to connect-node.
    do await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    while (!isOver() && Date.now() < until);
  };
  attachments.handOver();
  await passes(() => attachments.all().length === 0, AGENTS_MOVE_MS);
  port.drain();
  await passes(() => access.idleLanes === 0, REQUESTER_ENDS_MS);
  attachments.drain();
  await passes(() => {
    access.endIdle();
    return access.busyLanes === 0 && direct.underWay === 0;
  }, graceMs);
  access.cutAll(stopped(Hop.RELAY));
  await passes(() => direct.underWay === 0, graceMs); // once, if the deadline is over: what was told has gone out then
  port.destroy();
}
