import { Hop, type HopTiming } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { serverTiming } from "./timings.ts";

const timing = (hop: Hop, durationUs: number): HopTiming => ({
  $typeName: "fairlead.tunnel.v1alpha1.HopTiming",
  hop,
  durationUs,
});

describe("the hops' timings", () => {
  it("are no header if none were asked for", () => {
    expect(serverTiming([], { hop: Hop.CLIENT_PROXY, startedAt: performance.now() })).toEqual([]);
  });

  it("are one header, the nearest hop first, in milliseconds", () => {
    const timings = [timing(Hop.APISERVER, 1_000), timing(Hop.IDENTITY_PROXY, 2_345), timing(Hop.RELAY, 4_000_000)];
    const [name, value] = serverTiming(timings, { hop: Hop.CLIENT_PROXY, startedAt: performance.now() - 5_000 });
    expect(name).toBe("Server-Timing");
    expect(value).toMatch(
      /^client-proxy;dur=50\d\d\.\d\d, relay;dur=4000\.00, identity-proxy;dur=2\.35, apiserver;dur=1\.00$/,
    );
  });

  it("have one figure of a hop that the request came in at, the one with all behind it", () => {
    const timings = [timing(Hop.APISERVER, 1_000), timing(Hop.RELAY, 4_000_000)];
    const [, value] = serverTiming(timings, { hop: Hop.RELAY, startedAt: performance.now() - 5_000 });
    expect(value).toMatch(/^relay;dur=50\d\d\.\d\d, apiserver;dur=1\.00$/);
  });
});
