import { type AddressInfo, connect, createServer } from "node:net";
import type { DelayOptions } from "./delay.ts";
import { DelayLine } from "./delay-line.ts";

/* A long cable: passes TCP connections on to a port of loopback, each byte later. A process of its own. */

process.once("message", ({ port, roundTripMs }: DelayOptions) => {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    new DelayLine(near, far, roundTripMs / 2);
    new DelayLine(far, near, roundTripMs / 2);
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
});
process.on("disconnect", () => process.exit());
