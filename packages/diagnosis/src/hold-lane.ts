import { AccessService, GrpcClientStream, GrpcConnection, Hop, Lane, methodPath } from "@fairlead/protocol";
import type { RelayAddress } from "./relay-route.ts";
import { heldTooShort } from "./sessions.ts";

/**
 * Holds a connection to the relay open, with an idle lane on it, as an agent's or a client's is for hours.
 *
 * @param forMs for how long, in milliseconds
 * @throws Failure if it is cut before
 */
export async function holdLane(address: RelayAddress, forMs: number): Promise<string> {
  const connection = new GrpcConnection(() => address);
  const stream = new GrpcClientStream(connection, methodPath(AccessService.method.exchange), { peerHop: Hop.RELAY });
  const lane = new Lane(stream, "requester", Hop.RELAY);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const startedAt = performance.now();
  const timer = setTimeout(resolve, forMs);
  lane.start({
    frame: () => {},
    drained: () => {},
    idle: () => {},
    closed: (error) => reject(heldTooShort(performance.now() - startedAt, error?.message ?? "the relay ended it")),
  });
  try {
    await promise;
    return `one was held for ${forMs / 1_000} s`;
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}
